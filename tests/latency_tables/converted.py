"""Small networks around each kind of operator, as TensorFlow's converter writes them. Compares nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

Shape = tuple[int, ...]


#: what `networks()` has; here, so that collecting tests needs no TensorFlow
NAMES = (
    "conv_2d",
    "conv_2d first",
    "conv_2d linear",
    "conv_2d valid",
    "conv_2d dilated",
    "conv_2d grouped",
    "depthwise_conv_2d",
    "depthwise_conv_2d strided",
    "depthwise_conv_2d multiplied",
    "depthwise_conv_2d dilated",
    "add",
    "add relu",
    "add constant",
    "sub",
    "mul",
    "mul constant",
    "mean",
    "mean without dimensions",
    "average_pool_2d",
    "average_pool_2d valid",
    "max_pool_2d",
    "concatenation",
    "fully_connected",
    "fully_connected of three",
    "fully_connected after reshape",
    "softmax",
    "logistic",
    "hard_swish",
    "relu",
    "relu6",
    "reshape",
    "pad",
    "resize_bilinear",
    "resize_nearest_neighbor",
    "squeeze and excite",
    "inverted bottleneck",
)


@dataclass(frozen=True)
class Network:
    """A function of TensorFlow's operators, and the shapes of its inputs."""

    inputs: tuple[Shape, ...]
    function: Callable[..., Any]


@cache
def networks() -> dict[str, Network]:
    """By the operator kind that each is there for, with a suffix where there are several."""
    from mnas.nn.backend import tf

    random = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        return tf.constant(random.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape).astype(np.float32))

    def conv(
        channels: int, filters: int, kernel: int = 1, groups: int = 1, bias: bool = True, **options: Any
    ) -> Callable[[Any], Any]:
        w, b = weights(kernel, kernel, channels // groups, filters), weights(filters)
        settings = {"strides": 1, "padding": "SAME", **options}
        return lambda x: tf.nn.conv2d(x, w, **settings) + (b if bias else 0)

    def depthwise(
        channels: int, kernel: int, stride: int = 1, multiplier: int = 1, dilation: int = 1
    ) -> Callable[[Any], Any]:
        w, b = weights(kernel, kernel, channels, multiplier), weights(channels * multiplier)
        strides = (1, stride, stride, 1)
        return lambda x: tf.nn.depthwise_conv2d(x, w, strides, "SAME", dilations=(dilation,) * 2) + b

    def dense(depth: int, units: int) -> Callable[[Any], Any]:
        w, b = weights(depth, units), weights(units)
        return lambda x: tf.matmul(x, w) + b

    image, pair = ((1, 14, 14, 24),), ((1, 14, 14, 24),) * 2
    first, one, two = conv(3, 16, 3, strides=2), conv(24, 32), conv(24, 40)
    wide, dilated, grouped = conv(24, 8, 5, padding="VALID"), conv(24, 8, 3, dilations=2), conv(24, 16, 3, 4)
    squeeze, excite = conv(24, 6), conv(6, 24)
    layers = [
        depthwise(24, 3),
        depthwise(24, 5, 2),
        depthwise(24, 3, multiplier=2),
        depthwise(24, 3, dilation=2),
    ]
    dense2, dense3, dense4 = dense(24, 10), dense(24, 10), dense(24, 12)

    def gated(x: Any) -> Any:
        s = tf.reduce_mean(x, (1, 2), keepdims=True)
        return x * tf.sigmoid(excite(tf.nn.relu(squeeze(s))))

    def bottleneck(x: Any) -> Any:
        return x + tail(gated(tf.nn.relu6(layers[0](tf.nn.relu6(one24(x))))))

    one24, tail = conv(24, 24), conv(24, 24)
    return {
        "conv_2d": Network(image, lambda x: tf.nn.relu6(one(x))),
        "conv_2d first": Network(((1, 29, 31, 3),), lambda x: tf.nn.relu(first(x))),
        "conv_2d linear": Network(image, two),
        "conv_2d valid": Network(image, wide),
        "conv_2d dilated": Network(image, dilated),
        "conv_2d grouped": Network(image, grouped),
        "depthwise_conv_2d": Network(image, lambda x: tf.nn.relu6(layers[0](x))),
        "depthwise_conv_2d strided": Network(image, layers[1]),
        "depthwise_conv_2d multiplied": Network(image, layers[2]),
        "depthwise_conv_2d dilated": Network(image, layers[3]),
        "add": Network(pair, lambda x, y: x + y),
        "add relu": Network(pair, lambda x, y: tf.nn.relu(x + y)),
        "add constant": Network(image, lambda x: x + weights(24)),
        "sub": Network(pair, lambda x, y: x - y),
        "mul": Network((*image, (1, 1, 1, 24)), lambda x, y: x * y),
        "mul constant": Network(image, lambda x: x * 0.3),
        "mean": Network(image, lambda x: tf.reduce_mean(x, (1, 2), keepdims=True)),
        "mean without dimensions": Network(image, lambda x: tf.reduce_mean(x, (1, 2))),
        "average_pool_2d": Network(image, lambda x: tf.nn.avg_pool2d(x, 3, 2, "SAME")),
        "average_pool_2d valid": Network(image, lambda x: tf.nn.avg_pool2d(x, 7, 1, "VALID")),
        "max_pool_2d": Network(image, lambda x: tf.nn.max_pool2d(x, 3, 2, "SAME")),
        "concatenation": Network(((1, 14, 14, 24), (1, 14, 14, 8)), lambda x, y: tf.concat((x, y), 3)),
        "fully_connected": Network(((1, 24),), dense2),
        "fully_connected of three": Network(((1, 7, 24),), lambda x: tf.nn.relu(dense3(x))),
        "fully_connected after reshape": Network(((1, 1, 1, 24),), lambda x: dense4(tf.reshape(x, (1, 24)))),
        "softmax": Network(((1, 10),), tf.nn.softmax),
        "logistic": Network(image, tf.sigmoid),
        "hard_swish": Network(image, lambda x: x * tf.nn.relu6(x + 3) * (1 / 6)),
        "relu": Network(image, tf.nn.relu),
        "relu6": Network(image, tf.nn.relu6),
        "reshape": Network(image, lambda x: tf.reshape(x, (1, 14 * 14, 24))),
        "pad": Network(image, lambda x: tf.pad(x, ((0, 0), (0, 1), (1, 2), (0, 0)))),
        "resize_bilinear": Network(
            image, lambda x: tf.raw_ops.ResizeBilinear(images=x, size=(28, 28), half_pixel_centers=True)
        ),
        "resize_nearest_neighbor": Network(
            image,
            lambda x: tf.raw_ops.ResizeNearestNeighbor(images=x, size=(28, 28), half_pixel_centers=True),
        ),
        "squeeze and excite": Network(image, gated),
        "inverted bottleneck": Network(image, bottleneck),
    }


@cache
def convert(name: str, dtype: str) -> bytes:
    """The converter's model: `float32`, `int8` throughout, or `mixed`: int8 inside, float32 outside."""
    from mnas.nn.backend import tf

    network = networks()[name]
    signature = [tf.TensorSpec(shape, tf.float32) for shape in network.inputs]
    module = tf.Module()
    module.function = tf.function(network.function, input_signature=signature)
    concrete = module.function.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
    if dtype != "float32":
        random = np.random.default_rng(1)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [random.normal(size=shape).astype(np.float32) for shape in network.inputs] for _ in range(4)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if dtype == "int8":
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())
