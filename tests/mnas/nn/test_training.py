from __future__ import annotations

import math
import weakref
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.architecture import Architecture
from mnas.data import Images, open_dataset, resized, split
from mnas.errors import BadInput, TrainingFailed
from mnas.nn.backend import keras, tf
from mnas.nn.batch_norm import BatchNormalization
from mnas.nn.keras_model import build
from mnas.nn.training import TrainingPlan, _batches, _moved, accuracy, release, train

TINY = Architecture.parse("in_8x8x1,cv_r1_k3_s2_c8,fc_10")
SMALL = Architecture.parse("in_8x8x1,cv_r1_k3_s2_c16,ir_r2_k3_s1_e3_c16_se0.25,cv_r1_k1_s1_c64,fc_10")


@pytest.fixture(scope="module")
def digits() -> tuple[Images, Images]:
    return split(open_dataset("digits").train(), validation_share=0.2, seed=0)


class TestPlan:
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"steps": None}, "steps or epochs"),
            ({"epochs": 1.0}, "steps or epochs"),
            ({"steps": 0}, "steps"),
            ({"steps": 1.5}, "steps"),
            ({"steps": None, "epochs": 0.0}, "epochs"),
            ({"steps": None, "epochs": math.nan}, "epochs"),
            ({"batch_size": 1}, "batch_size"),
            ({"batch_size": None}, "batch_size"),
            ({"learning_rate": 0.0}, "learning_rate"),
            ({"learning_rate": math.inf}, "learning_rate"),
            ({"learning_rate": "fast"}, "learning_rate"),
            ({"weight_decay": -1.0}, "weight_decay"),
            ({"label_smoothing": 1.0}, "label_smoothing"),
            ({"warmup_share": True}, "warmup_share"),
            ({"augment": "rotate"}, "augment"),
        ],
    )
    def test_refuses_and_names_the_field(self, changes: dict[str, Any], field: str) -> None:
        with pytest.raises(BadInput, match=field):
            TrainingPlan(**{"steps": 10, **changes})

    def test_its_fields_make_it_again(self) -> None:
        plan = TrainingPlan(epochs=2.5, augment="shift")
        assert TrainingPlan(**asdict(plan)) == plan

    def test_epochs_are_passes_over_the_images(self) -> None:
        assert TrainingPlan(epochs=5, batch_size=128).step_count(50_000) == math.ceil(5 * 50_000 / 128)
        assert TrainingPlan(epochs=3).step_count(100) == 3  # fewer images than a batch holds
        assert TrainingPlan(epochs=0.001).step_count(100) == 1
        assert TrainingPlan(steps=7).step_count(100) == 7

    @given(st.integers(1, 300), st.floats(0, 0.99))
    def test_rate_rises_then_falls_and_stays_positive(self, steps: int, warmup: float) -> None:
        plan = TrainingPlan(steps=steps, learning_rate=0.5, warmup_share=warmup)
        rates = [plan.rate(step, steps) for step in range(steps)]
        top = rates.index(max(rates))
        assert top == min(round(warmup * steps), steps - 1)
        assert rates == sorted(rates[:top]) + sorted(rates[top:], reverse=True)
        assert min(rates) > 0
        assert max(rates) <= 0.5


@given(st.integers(1, 50), st.integers(1, 20), st.integers(1, 60))
def test_batches_show_every_image_equally_often(images: int, steps: int, batch_size: int) -> None:
    batches = _batches(images, steps, batch_size, np.random.default_rng(0))
    assert batches.shape == (steps, min(batch_size, images))
    counts = np.bincount(batches.ravel(), minlength=images)
    assert counts.max() - counts.min() <= 1


def test_images_are_shifted_and_mirrored_one_by_one() -> None:
    image = np.arange(1, 10, dtype=np.uint8).reshape(1, 3, 3, 1)
    moved = _moved(
        tf.constant(np.repeat(image, 3, axis=0)),
        tf.constant([[0, 0], [1, 0], [0, -1]]),
        tf.constant([True, False, False]),
    ).numpy()[..., 0]
    assert moved[0].tolist() == [[3, 2, 1], [6, 5, 4], [9, 8, 7]]
    assert moved[1].tolist() == [[4, 5, 6], [7, 8, 9], [7, 8, 9]]
    assert moved[2].tolist() == [[1, 1, 2], [4, 4, 5], [7, 7, 8]]


class TestBatchNormalization:
    def test_equals_keras_own(self) -> None:
        values = np.random.default_rng(0).normal(3, 2, (16, 5, 4, 6)).astype(np.float32)
        own, theirs = BatchNormalization(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9)
        for _ in range(3):
            np.testing.assert_allclose(own(values, training=True), theirs(values, training=True), atol=1e-5)
        # the moving variance is the unbiased one: n / (n - 1) times
        n = 16 * 5 * 4
        np.testing.assert_allclose(own.moving_mean, theirs.moving_mean, rtol=1e-5)
        share = (theirs.moving_variance - 0.9**3) * n / (n - 1) + 0.9**3
        np.testing.assert_allclose(own.moving_variance, share, rtol=1e-5)
        own.set_weights(theirs.get_weights())
        np.testing.assert_array_equal(own(values, training=False), theirs(values, training=False))


class TestTraining:
    def test_learns_digits_and_evaluates_sanely(self, digits: tuple[Images, Images]) -> None:
        told: list[tuple[int, int]] = []
        model = train(SMALL, digits[0], TrainingPlan(steps=60), 0, lambda done, of: told.append((done, of)))
        found = accuracy(model, digits[1])
        assert found > 0.75
        assert told == [(step, 60) for step in range(1, 61)]
        # moving statistics have settled: batch statistics would tell about the same
        logits = model(digits[1].pixels / 127.5 - 1, training=True).numpy()
        assert abs(found - np.mean(logits.argmax(axis=-1) == digits[1].labels)) < 0.05
        assert accuracy(model, digits[1], batch_size=7) == found

    @pytest.mark.parametrize("augment", ["none", "shift_flip"])
    def test_same_seed_same_weights(self, augment: str, digits: tuple[Images, Images]) -> None:
        def weights(seed: int) -> list[Any]:
            return list(train(SMALL, digits[0], TrainingPlan(steps=8, augment=augment), seed).get_weights())

        first, again, other = weights(1), weights(1), weights(2)
        for one, two in zip(first, again, strict=True):
            np.testing.assert_array_equal(one, two)
        assert not np.array_equal(first[0], other[0])

    def test_divergence_is_an_error(self, digits: tuple[Images, Images]) -> None:
        with pytest.raises(TrainingFailed, match=r"diverged.*learning rate 1e\+30"):
            train(TINY, digits[0], TrainingPlan(steps=20, learning_rate=1e30, warmup_share=0), 0)

    def test_outputs_that_are_not_finite_have_no_accuracy(self, digits: tuple[Images, Images]) -> None:
        model = build(TINY)
        model.layers[-1].bias.assign(np.full(10, np.nan, np.float32))
        with pytest.raises(TrainingFailed, match="not finite"):
            accuracy(model, digits[1])

    def test_images_must_fit(self, digits: tuple[Images, Images]) -> None:
        with pytest.raises(BadInput, match=r"\(16, 16, 1\).*\(8, 8, 1\)"):
            train(SMALL, resized(digits[0], 16), TrainingPlan(steps=1), 0)
        with pytest.raises(BadInput, match="5 classes"):
            train(SMALL.at(8, 8, classes=5), digits[0], TrainingPlan(steps=1), 0)

    def test_fewer_images_than_a_batch(self, digits: tuple[Images, Images]) -> None:
        few = digits[0].take(np.arange(5))
        assert 0 <= accuracy(train(TINY, few, TrainingPlan(steps=2), 0), few) <= 1

    def test_released_models_are_gone(self, digits: tuple[Images, Images]) -> None:
        model = train(TINY, digits[0], TrainingPlan(steps=1), 0)
        accuracy(model, digits[1])
        gone = weakref.ref(model)
        del model
        release()
        assert gone() is None
