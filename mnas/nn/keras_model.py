"""From an architecture to an untrained Keras model. Knows no shapes: it builds what `lower` lists."""

from __future__ import annotations

from typing import Any

from latency_tables.ops import OpSpec
from mnas.architecture import Architecture
from mnas.lower import lower
from mnas.nn.backend import keras
from mnas.nn.batch_norm import BatchNormalization

#: batch normalisation's moving statistics must settle within the few hundred steps of proxy training
MOMENTUM = 0.9
EPSILON = 1e-3


def build(architecture: Architecture) -> keras.Model:
    """An untrained classifier: float32 images [n, height, width, channels] in, logits [n, classes] out.

    Convolutions with batch normalisation have no bias; kernels start as He et al. (2015) propose, the logits
    near zero. Seed with `keras.utils.set_random_seed` first. Its trainable parameters are `lower`'s.
    """
    lowered = lower(architecture)
    image = keras.Input(lowered.graph.inputs[0][1:], name="image")
    outputs: list[Any] = []
    for node, normalised, name in zip(lowered.graph, lowered.normalised, lowered.names, strict=True):
        inputs = [image if source < 0 else outputs[source] for source in node.sources]
        outputs.append(_apply(node.spec, name, normalised, inputs))
    return keras.Model(image, outputs[lowered.graph.outputs[0]], name="classifier")


def _apply(spec: OpSpec, name: str, normalised: bool, inputs: list[Any]) -> Any:
    tensor = _operator(spec, name, normalised)(inputs if len(inputs) > 1 else inputs[0])
    if normalised:
        tensor = BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, name=f"{name}_bn")(tensor)
    if spec.activation is not None:
        largest = {"relu6": 6.0, "relu": None}[spec.activation]
        tensor = keras.layers.ReLU(max_value=largest, name=f"{name}_{spec.activation}")(tensor)
    return tensor


def _operator(spec: OpSpec, name: str, normalised: bool) -> keras.layers.Layer:
    layers = keras.layers
    match spec.kind:
        case "conv_2d":
            return layers.Conv2D(
                spec.output[-1],
                spec.kernel,
                strides=spec.stride,
                padding=spec.padding,
                use_bias=not normalised,
                kernel_initializer="he_normal",
                name=name,
            )
        case "depthwise_conv_2d":
            return layers.DepthwiseConv2D(
                spec.kernel,
                strides=spec.stride,
                padding=spec.padding,
                use_bias=not normalised,
                # He's rule for one input channel; the layer's own fan-in counts all of them
                depthwise_initializer=keras.initializers.RandomNormal(stddev=_depthwise_deviation(spec)),
                name=name,
            )
        case "average_pool_2d":
            return layers.AveragePooling2D(spec.kernel, strides=spec.stride, padding=spec.padding, name=name)
        case "mean":
            return layers.GlobalAveragePooling2D(keepdims=len(spec.output) == 4, name=name)
        case "logistic":
            return layers.Activation("sigmoid", name=name)
        case "mul":
            return layers.Multiply(name=name)
        case "add":
            return layers.Add(name=name)
        case "reshape":  # what the converter makes of a sum of single pixels; here it is that sum
            return layers.Identity(name=name)
        case "fully_connected":
            return layers.Dense(
                spec.output[-1], kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), name=name
            )
        case _:
            raise AssertionError(f"lower made an operator that no layer is known for: {spec}")


def _depthwise_deviation(spec: OpSpec) -> float:
    height, width = spec.kernel or (1, 1)
    return float((2.0 / (height * width)) ** 0.5)
