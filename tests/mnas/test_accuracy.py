from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from mnas.accuracy import Evaluator, ProxyTraining
from mnas.architecture import Architecture
from mnas.data import open_dataset, split
from mnas.errors import BadInput
from mnas.training_plan import TrainingPlan

SMALL = Architecture.parse("in_8x8x1,cv_r1_k3_s2_c16,ds_r1_k3_s1_c16,fc_10")


def test_a_candidate_has_an_accuracy_and_always_the_same() -> None:
    train, validation = split(open_dataset("digits").train(), validation_share=0.2, seed=0)
    told: list[int] = []
    evaluator: Evaluator = ProxyTraining(
        train, validation, TrainingPlan(steps=30), seed=3, on_step=lambda done, of: told.append(done)
    )
    first = evaluator(SMALL)
    assert 0.3 < first <= 1
    assert evaluator(Architecture.parse("in_8x8x1,cv_r1_k3_s2_c8,fc_10")) != first
    assert evaluator(SMALL) == first
    assert told == 3 * list(range(1, 31))


def test_a_candidate_leaves_no_model_behind() -> None:
    def models() -> int:
        return sum(type(thing).__name__ == "Functional" for thing in gc.get_objects())

    train, validation = split(open_dataset("digits").train(), validation_share=0.2, seed=0)
    evaluator = ProxyTraining(train, validation, TrainingPlan(steps=1), seed=0)
    evaluator(SMALL)
    before = models()
    evaluator(SMALL)
    assert models() == before


def test_a_candidate_that_does_not_fit_is_refused() -> None:
    train, validation = split(open_dataset("digits").train(), validation_share=0.2, seed=0)
    with pytest.raises(BadInput, match="resize"):
        ProxyTraining(train, validation, TrainingPlan(steps=1), seed=0)(SMALL.at(16, 16))


def test_importing_it_is_light() -> None:
    code = (
        "import sys, mnas.accuracy; sys.exit(any(map(sys.modules.get, ('tensorflow', 'keras', 'sklearn'))))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
