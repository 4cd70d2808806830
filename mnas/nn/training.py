"""Training a network on images held in memory, and its accuracy. Knows no search, no file and no device.

The loop is a `tf.function` of one step, traced once per network; images stay uint8 in memory and a step
gathers its batch. On a CPU this starts in seconds where `keras.Model.fit` takes three times as long, and
XLA is no help there.

How far results repeat: on one machine, with the same versions and number of threads, the same architecture,
images, plan and seed give the same weights, bit for bit, whatever was trained before in the process.
Another CPU, another number of threads or another version of TensorFlow may sum in another order; accuracies
then differ by chance.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas.architecture import Architecture
from mnas.data import PIXEL_OFFSET, PIXEL_SCALE, Images
from mnas.errors import BadInput, TrainingFailed
from mnas.nn.backend import keras, tf
from mnas.nn.keras_model import build
from mnas.training_plan import TrainingPlan

#: of Adam, as Kingma and Ba (2015) recommend
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
OnStep = Callable[[int, int], None]

__all__ = ["TrainingPlan", "accuracy", "fit", "release", "train"]


def train(
    architecture: Architecture,
    images: Images,
    plan: TrainingPlan,
    seed: int,
    on_step: OnStep | None = None,
) -> Any:
    """Train `architecture` from scratch and return the keras.Model.

    Args:
        architecture: its input must have the images' height, width and channels.
        images: training images, scaled as mnas.data says.
        plan: how.
        seed: of initial weights, order and augmentation. Also seeds Python, NumPy and TensorFlow globally.
        on_step: told steps done and steps in all, after each.

    Raises:
        BadInput: images do not fit the architecture.
        TrainingFailed: the loss is no longer finite.
    """
    _check(architecture, images)
    keras.utils.set_random_seed(seed)
    model = build(architecture)
    fit(model, images, plan, seed, on_step)
    return model


def fit(model: Any, images: Images, plan: TrainingPlan, seed: int, on_step: OnStep | None = None) -> None:
    """Train a keras.Model in place, from the weights it has; `train` says the rest."""
    steps = plan.step_count(len(images))
    generator = np.random.default_rng(seed)
    step = _step_function(model, images, plan)
    augmented = plan.augment != "none"
    height, width = images.pixels.shape[1:3]
    for number, indices in enumerate(_batches(len(images), steps, plan.batch_size, generator)):
        rate = np.array(
            [plan.rate(number, steps), BETA_1 ** (number + 1), BETA_2 ** (number + 1)], np.float32
        )
        shifts = np.zeros((len(indices), 2), dtype=np.int32)
        flips = np.zeros(len(indices), dtype=np.bool_)
        if augmented:
            reach = np.array([height // 8, width // 8])
            shifts = generator.integers(-reach, reach + 1, size=shifts.shape, dtype=np.int32)
        if plan.augment == "shift_flip":
            flips = generator.integers(0, 2, size=flips.shape).astype(np.bool_)
        loss = float(step(*map(tf.constant, (indices, shifts, flips, rate))))
        if not math.isfinite(loss):
            raise TrainingFailed(
                f"training diverged: the loss is {loss} after {number + 1} of {steps} steps "
                f"with learning rate {plan.learning_rate}; a lower one may help"
            )
        if on_step is not None:
            on_step(number + 1, steps)


def accuracy(model: Any, images: Images, batch_size: int = 500) -> float:
    """Share 0..1 of the images that a trained keras.Model classifies rightly.

    Raises:
        TrainingFailed: an output of the model is not finite.
    """

    def trace(pixels: Any) -> tuple[Any, Any]:
        logits = model(_scaled(pixels), training=False)
        return tf.argmax(logits, axis=-1), tf.reduce_all(tf.math.is_finite(logits))

    spec = tf.TensorSpec([None, *images.pixels.shape[1:]], tf.uint8)
    classify = tf.function(trace, input_signature=[spec], jit_compile=False, autograph=False)
    right = 0
    for start in range(0, len(images), batch_size):
        batch = slice(start, start + batch_size)
        classes, finite = classify(tf.constant(images.pixels[batch]))
        if not bool(finite):
            raise TrainingFailed("the trained network's outputs are not finite: training diverged")
        right += int(np.count_nonzero(classes.numpy() == images.labels[batch]))
    return right / len(images)


def release() -> None:
    """Give back the memory of models that nobody refers to any more; a search calls it between candidates."""
    keras.backend.clear_session(free_memory=False)
    gc.collect()


def _check(architecture: Architecture, images: Images) -> None:
    wanted = (architecture.height, architecture.width, architecture.channels)
    if images.pixels.shape[1:] != wanted:
        raise BadInput(
            f"images have (height, width, channels) {images.pixels.shape[1:]}, the architecture {wanted}: "
            "resize the images (mnas.data.resized) or the architecture (Architecture.at)"
        )
    if int(images.labels.max()) >= architecture.classes:
        raise BadInput(
            f"the architecture has {architecture.classes} classes, the images label {images.labels.max()}"
        )


def _batches(images: int, steps: int, batch_size: int, generator: np.random.Generator) -> NDArray[np.int32]:
    """Indices [steps, batch]: one shuffle after another, each image seen equally often."""
    size = min(batch_size, images)
    rounds = math.ceil(steps * size / images)
    order = np.concatenate([generator.permutation(images) for _ in range(rounds)])
    return order[: steps * size].reshape(steps, size).astype(np.int32)


def _scaled(pixels: Any) -> Any:
    return tf.cast(pixels, tf.float32) * PIXEL_SCALE + PIXEL_OFFSET


def _step_function(model: Any, images: Images, plan: TrainingPlan) -> Callable[..., Any]:
    """One step, traced on its first call.

    It takes the batch's indices [n], shifts [n, 2], flips [n], and [learning rate, beta 1 and beta 2 to the
    power of the step's number]; it returns the loss.
    """
    pixels, labels = tf.constant(images.pixels), tf.constant(images.labels)
    classes = int(model.output_shape[-1])
    variables = [variable.value for variable in model.trainable_variables]
    moments = [
        (tf.Variable(tf.zeros_like(variable)), tf.Variable(tf.zeros_like(variable))) for variable in variables
    ]
    augmented = plan.augment != "none"

    def step(indices: Any, shifts: Any, flips: Any, rate: Any) -> Any:
        batch = tf.gather(pixels, indices)
        if augmented:
            batch = _moved(batch, shifts, flips)
        targets = tf.one_hot(tf.gather(labels, indices), classes)
        targets = targets * (1 - plan.label_smoothing) + plan.label_smoothing / classes
        with tf.GradientTape() as tape:
            logits = model(_scaled(batch), training=True)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
        gradients = tape.gradient(loss, variables)
        for variable, (first, second), gradient in zip(variables, moments, gradients, strict=True):
            if plan.weight_decay and len(variable.shape) > 1:
                variable.assign_sub(rate[0] * plan.weight_decay * variable)
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=rate[1],
                beta2_power=rate[2],
                lr=rate[0],
                beta1=BETA_1,
                beta2=BETA_2,
                epsilon=EPSILON,
                grad=gradient,
            )
        return loss

    traced: Callable[..., Any] = tf.function(step, jit_compile=False, autograph=False)
    return traced


def _moved(batch: Any, shifts: Any, flips: Any) -> Any:
    """Each image moved by its (rows, columns), edges repeated, and mirrored where `flips` says so."""
    height, width = batch.shape[1], batch.shape[2]
    rows = tf.clip_by_value(tf.range(height) + shifts[:, :1], 0, height - 1)
    columns = tf.clip_by_value(tf.range(width) + shifts[:, 1:], 0, width - 1)
    columns = tf.where(flips[:, tf.newaxis], columns[:, ::-1], columns)
    return tf.gather(tf.gather(batch, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)
