"""Finalizes a run as a script, with stand-ins for all that takes long: training, measuring and testing.

Every training that begins is noted beside the run. What is in the run is written by the real code.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np

from devices.measurement import Failure, ModelFile, Pass, Settings
from devices.plan import Plan
from mnas.data import Dataset, Images
from mnas.finalists import finalize
from mnas.finalists.entrants import Entrant
from mnas.finalists.ledger import Trained
from mnas.run import RunDirectory, open_run
from mnas.training_plan import TrainingPlan
from tests.mnas import finished

PLAN = finalize.FinalPlan(
    finalists=2,
    seeds=2,
    baselines=("mobilenetv2-0.25",),
    training=TrainingPlan(steps=1),
    measuring=Plan(passes=3),
)


class Bench:
    """Measures what the content of a model says."""

    facts = finished.FACTS
    settings = Settings()

    def __init__(self, sleep: float) -> None:
        self._sleep = sleep

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        for index in range(plan.passes):
            for model in models:
                time.sleep(self._sleep / 4)
                yield finished.one_pass(model.name, model.sha256, index, len(model.content) / 1e6, 0.0)

    def close(self) -> None:
        """There is nothing to let go of."""


def images(count: int) -> Images:
    rng = np.random.default_rng(count)
    pixels = rng.integers(0, 256, (count, 32, 32, 1), dtype=np.uint8)
    return Images(pixels, np.arange(count, dtype=np.int64) % 10)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--sleep", type=float, default=0.0)
    options = parser.parse_args()

    def train(one: Entrant, seed: int, run: RunDirectory, *_: object, **__: object) -> Trained:
        with Path(f"{options.path}.trainings").open("a") as log:
            log.write(f"{one.name}, seed {seed}\n")
        time.sleep(options.sleep)
        return replace(finished.train(run, one, seed), seconds=1.0)

    def accuracy(content: bytes, _: Images) -> float:
        time.sleep(options.sleep / 2)
        return random.Random(content).random()

    export = ModuleType("mnas.nn.export")
    export.tflite_accuracy = accuracy  # type: ignore[attr-defined]  # stands for the module that needs TensorFlow
    sys.modules["mnas.nn.export"] = export
    finalize.train_and_export = train
    dataset = Dataset(
        "noise", tuple("0123456789"), 1, read_train=lambda: images(40), read_test=lambda: images(20)
    )
    with open_run(options.path) as run:
        print("open", flush=True)  # noqa: T201 - the test waits for it
        finalize.finalize(run, PLAN, dataset, lambda: Bench(options.sleep))


if __name__ == "__main__":
    main()
