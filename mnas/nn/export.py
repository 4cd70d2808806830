"""From a trained Keras model to a .tflite file, and that file's accuracy. Trains and times nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas.data import Images, model_input
from mnas.errors import BadInput, MnasError, TrainingFailed
from mnas.lower import DTYPES
from mnas.nn.backend import tf
from mnas.nn.quiet import quiet


def convert(model: Any, dtype: str, representative: NDArray[np.float32]) -> bytes:
    """Convert a keras.Model to a .tflite file's content; its input is one image [1, height, width, channels].

    `int8` is full-integer: int8 input and output, weights per output channel, activation ranges from all of
    `representative`. Nothing is printed and no file is left.

    Args:
        model: the trained model.
        dtype: `float32` or `int8`.
        representative: training images as the model takes them (mnas.data.model_input), float32
            [n, height, width, channels]; used by `int8` only, where more take longer.

    Raises:
        BadInput: another dtype, or representative images that the model does not take.
        MnasError: TensorFlow's converter fails.
    """
    if dtype not in DTYPES:
        raise BadInput(f"dtype {dtype!r}; allowed: {', '.join(DTYPES)}")
    shape = tuple(model.input_shape[1:])
    if dtype == "int8" and (representative.shape[1:] != shape or not len(representative)):
        raise BadInput(
            f"representative images have shape {representative.shape}; needed is [1 or more, *{shape}]"
        )
    spec = tf.TensorSpec([1, *shape], tf.float32, name="image")

    logits = tf.function(
        lambda image: model(image, training=False),
        input_signature=[spec],
        autograph=False,
        jit_compile=False,
    )

    def calibration() -> Iterator[list[NDArray[np.float32]]]:
        for index in range(len(representative)):
            yield [representative[index : index + 1].astype(np.float32)]

    try:
        with quiet():
            # the model is not handed over with its function: a Keras 3 model's variables would stay variables
            converter = tf.lite.TFLiteConverter.from_concrete_functions([logits.get_concrete_function()])
            if dtype == "int8":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.representative_dataset = calibration
                converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
                converter.inference_input_type = tf.int8
                converter.inference_output_type = tf.int8
            return bytes(converter.convert())
    except Exception as error:
        raise MnasError(f"TensorFlow cannot convert the model to {dtype}: {error}") from error


def tflite_accuracy(content: bytes, images: Images, threads: int = 2) -> float:
    """Share 0..1 of the images that a .tflite classifier gets right, one image at a time, as it will be used.

    Input that is not float32 is quantised by the file's own scale and zero point.

    Raises:
        BadInput: the content is no model that LiteRT runs, or does not take these images.
        TrainingFailed: an output is not finite.
    """
    interpreter = _interpreter(content, threads)
    (source, *others), sinks = interpreter.get_input_details(), interpreter.get_output_details()
    wanted = (1, *images.pixels.shape[1:])
    if others or len(sinks) != 1 or tuple(source["shape"]) != wanted:
        shapes = [tuple(map(int, detail["shape"])) for detail in (source, *others)]
        raise BadInput(
            f"the model has inputs {shapes} and {len(sinks)} outputs; needed: input {wanted}, one output"
        )
    right = 0
    for index, label in enumerate(images.labels):
        pixels = model_input(Images(images.pixels[index : index + 1], images.labels[index : index + 1]))
        interpreter.set_tensor(source["index"], quantised(pixels, source))
        interpreter.invoke()
        scores = interpreter.get_tensor(sinks[0]["index"])
        if not np.isfinite(scores).all():
            raise TrainingFailed("the model's outputs are not finite: training diverged")
        right += int(scores.argmax() == label)
    return right / len(images)


def quantised(values: NDArray[np.float32], tensor: dict[str, Any]) -> NDArray[Any]:
    """Real values in the element type, scale and zero point of an interpreter's tensor details."""
    dtype = np.dtype(tensor["dtype"])
    if dtype == np.float32:
        return values
    if dtype not in (np.dtype(np.int8), np.dtype(np.uint8)):
        raise BadInput(f"the model's input is {dtype}; float32, int8 and uint8 are possible")
    scale, zero_point = tensor["quantization"]
    limits = np.iinfo(dtype)
    quanta: NDArray[Any] = np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max)
    return quanta.astype(dtype)


def _interpreter(content: bytes, threads: int) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    try:
        with quiet():
            interpreter = Interpreter(model_content=content, num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise BadInput(f"LiteRT cannot run this model: {error}") from error
    return interpreter
