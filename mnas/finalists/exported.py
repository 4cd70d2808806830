"""One network trained and exported into a run, and read back. Knows neither order nor resuming."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from latency_tables.errors import MissingOperators
from mnas import __version__
from mnas.architecture import Architecture
from mnas.data import Images, model_input
from mnas.finalists.entrants import Entrant
from mnas.finalists.ledger import Quantisation, StoredModel, Trained
from mnas.jsonl import write_whole
from mnas.latency import Latency, TableLatency
from mnas.run import RunDirectory
from mnas.training_plan import TrainingPlan

#: training images that show the converter the range of every activation
REPRESENTATIVE_IMAGES = 200
PACKAGES = ("tensorflow", "keras", "ai-edge-litert", "numpy")


class Predictor(Protocol):
    """Says the latency of a network without measuring it."""

    def __call__(self, architecture: Architecture, dtype: str) -> Latency | None:
        """Latency with its interval; None where it cannot tell."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What every network is trained with.

    Attributes:
        train: images to learn from, and to find the ranges for int8 with.
        validation: images to look at the trained network with.
    """

    train: Images
    validation: Images
    plan: TrainingPlan


def train_and_export(
    entrant: Entrant,
    seed: int,
    run: RunDirectory,
    lesson: Lesson,
    predict: Predictor,
    *,
    on_step: Callable[[int, int], None] | None = None,
) -> Trained:
    """Train a network and write its float32 and int8 files into the run's folder of models.

    Raises:
        TrainingFailed: training diverged.
        BadInput: the images do not fit the network.
    """
    from mnas.nn.dead_units import revive
    from mnas.nn.export import convert
    from mnas.nn.training import accuracy, release, train

    start = time.monotonic()
    model = train(entrant.architecture, lesson.train, lesson.plan, seed, on_step)
    validated = accuracy(model, lesson.validation)
    examples = representative(lesson.train, seed)
    contents = {"float32": convert(model, "float32", examples)}
    for name in revive(model, examples):
        run.log(f"{entrant.name}, seed {seed}: {name} is dead; one of its units got a constant for int8")
    contents["int8"] = convert(model, "int8", examples)
    del model
    release()
    models = []
    for dtype, content in contents.items():
        file = file_name(entrant.name, dtype, seed if seed != run.config.seed else None)
        write_whole(run.models / file, content)
        searched = entrant.search_latency if dtype == run.config.dtype else None
        predicted = searched or predict(entrant.architecture, dtype)
        sha256 = hashlib.sha256(content).hexdigest()
        model = StoredModel(dtype, file, sha256, len(content), None, *quantisation(content))
        models.append(model.predicted(predicted))
    return Trained(
        entrant.name,
        entrant.role,
        str(entrant.architecture),
        entrant.trial,
        entrant.search_accuracy,
        seed,
        validated,
        round(time.monotonic() - start, 3),
        tuple(models),
        versions(),
    )


def file_name(name: str, dtype: str, seed: int | None = None) -> str:
    """The name of an exported model; without `seed` for the run's own, whose file is the one to ship."""
    return f"{name}-{dtype}.tflite" if seed is None else f"{name}-{dtype}-seed{seed}.tflite"


def representative(images: Images, seed: int) -> NDArray[np.float32]:
    """Images as a network takes them [n, height, width, channels], drawn at random for the ranges of int8."""
    count = min(REPRESENTATIVE_IMAGES, len(images))
    drawn = np.sort(np.random.default_rng(seed).choice(len(images), count, replace=False))
    return model_input(images.take(drawn))


def quantisation(content: bytes) -> tuple[Quantisation | None, Quantisation | None]:
    """Scale and zero point of a model's input and output; None where they are floating point."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    ends = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    source, target = (
        Quantisation(float(scale), int(zero_point)) if scale else None
        for scale, zero_point in (end["quantization"] for end in ends)
    )
    return source, target


def versions() -> dict[str, str]:
    """Versions of this package and of those that train, export and run networks."""
    found = {"mnas": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def predictions(run: RunDirectory) -> Iterator[Predictor]:
    """Latencies by the run's own copy of its table; None for everything where the search measured instead."""
    if run.config.latency != "table":
        yield lambda *_: None
        return
    with table_predictions(run.table, run) as predict:
        yield predict


@contextmanager
def table_predictions(file: Path, run: RunDirectory) -> Iterator[Predictor]:
    """Latencies by a table; None for networks with operators that it lacks, which the run's log gets.

    They are medians over passes of each pass's lower quartile, a little less than medians of all runs.
    """
    from latency_tables.store import LatencyTable

    with LatencyTable.open(file) as table:

        def by_table(architecture: Architecture, dtype: str) -> Latency | None:
            try:
                return TableLatency(table, dtype).predict(architecture)
            except MissingOperators as error:
                run.log(f"the table {file} lacks {len(error.keys)} {dtype} operators of {architecture}")
                return None

        yield by_table
