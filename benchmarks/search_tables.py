"""Makes the measured tables that benchmarks/search.py searches: small spaces, wholly trained and run.

    python benchmarks/search_tables.py fashion-192 --jobs 2      # accuracies: about an hour
    python benchmarks/search_tables.py fashion-162 --jobs 2      # minutes
    python benchmarks/search_tables.py fashion-192 --latency     # then latencies, on a machine that is quiet

A table is a subspace of mnasnet-small-images: a few choices, each of which several stages share, and every
combination of them. Accuracy is that of a short training on Fashion-MNIST, on images held out of the training
split; latency is measured here. Rows are written as they come; the same command goes on.
"""

from __future__ import annotations

import csv
import os
import time
from argparse import Namespace
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from common import Verdict, at_least, finish, options, say, start

from mnas import spaces
from mnas.architecture import Architecture
from mnas.lower import lower

if TYPE_CHECKING:
    from mnas.accuracy import ProxyTraining

FOLDER = Path(__file__).parent / "tables"
DATASET = "fashion_mnist"
#: images of the training split that judge: as many as the test split has
VALIDATION_SHARE = 1 / 6
#: shuffled passes over all networks
PASSES = 10


@dataclass(frozen=True, slots=True)
class Column:
    """A choice of the table: for each option, what it means to the stages that share it."""

    stages: tuple[int, ...]
    decision: str
    options: tuple[str | int | float, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """A table to make.

    Attributes:
        width: of the space.
        steps: of a training, 128 images each.
        dtype: of the latency.
        fixed: what no column says, by decision.
        columns: by name. Options of `filters` and `layers` are positions among those of a stage.
    """

    width: float
    steps: int
    dtype: str
    fixed: Mapping[str, str | int | float]
    columns: Mapping[str, Column]

    def rows(self) -> list[dict[str, Any]]:
        """Every combination, by column name."""
        menus = [column.options for column in self.columns.values()]
        return [dict(zip(self.columns, combination, strict=True)) for combination in product(*menus)]

    def architecture(self, row: Mapping[str, Any]) -> Architecture:
        """The network of a row."""
        space = spaces.create("mnasnet-small-images", 28, self.width, 1, 10)
        wanted = {
            (stage, column.decision): row[name]
            for name, column in self.columns.items()
            for stage in column.stages
        }
        indices = []
        for choice in space.choices:
            stage, decision = choice.name.removeprefix("stage").split("_", 1)
            value = wanted.get((int(stage), decision), self.fixed[decision])
            by_position = decision in ("filters", "layers")
            indices.append(
                min(int(value), len(choice.options) - 1) if by_position else choice.options.index(value)
            )
        return space.decode(indices)


TABLES: Mapping[str, Measured] = {
    "fashion-192": Measured(
        width=0.5,
        steps=320,
        dtype="float32",
        fixed={"operation": "ds", "kernel": 3, "se": 0.0, "skip": "identity", "filters": 1, "layers": 0},
        columns={
            "early_operation": Column((2, 3), "operation", ("ds", "ir_e3")),
            "late_operation": Column((4, 5, 6), "operation", ("ds", "ir_e3")),
            "last_operation": Column((7,), "operation", ("ds", "ir_e3")),
            "kernel": Column((2, 3, 4, 5, 6), "kernel", (3, 5)),
            "se": Column((3, 4, 5, 6), "se", (0.0, 0.25)),
            "filters": Column((3, 4, 5, 6), "filters", (0, 1, 2)),
            "layers": Column((2, 3, 4, 5, 6), "layers", (0, 1)),
        },
    ),
    "fashion-162": Measured(
        width=0.35,
        steps=160,
        dtype="int8",
        fixed={"operation": "ir_e3", "kernel": 3, "se": 0.0, "skip": "identity", "filters": 1, "layers": 0},
        columns={
            "operation": Column((3, 4), "operation", ("ds", "ir_e3", "ir_e6")),
            "early_layers": Column((2, 3), "layers", (0, 1, 2)),
            "late_layers": Column((4, 5, 6), "layers", (0, 1, 2)),
            "late_filters": Column((5, 6, 7), "filters", (0, 1, 2)),
            "early_kernel": Column((1, 2, 3), "kernel", (3, 5)),
        },
    ),
}

_evaluator: ProxyTraining | None = None


def _begin(steps: int, seed: int) -> None:
    """Make a worker's evaluator: the data is read once, TensorFlow takes one core."""
    os.environ["OMP_NUM_THREADS"] = "1"
    from mnas.accuracy import ProxyTraining
    from mnas.data import open_dataset, resized, split
    from mnas.nn.backend import tf
    from mnas.training_plan import TrainingPlan

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    global _evaluator  # noqa: PLW0603 - a worker process has one
    images = resized(open_dataset(DATASET).train(), 28)
    train, validation = split(images, seed=seed, validation_share=VALIDATION_SHARE)
    _evaluator = ProxyTraining(train, validation, TrainingPlan(steps=steps), seed)


def _train(architecture: Architecture) -> tuple[float, float]:
    assert _evaluator is not None
    began = time.perf_counter()
    return _evaluator(architecture), time.perf_counter() - began


def train(table: Measured, file: Path, arguments: Namespace) -> int:
    """Train every network that the file has not; how many there were."""
    rows = table.rows()[: 2 if arguments.tiny else None]
    names = [*table.columns, "accuracy", "macs", "parameters", "training_seconds", "architecture"]
    if not file.exists():
        with file.open("w", newline="") as out:
            csv.writer(out).writerow(names)
    with file.open(newline="") as there:
        done = {row["architecture"] for row in csv.DictReader(there)}
    wanted = {str(one): (row, one) for row in rows if str(one := table.architecture(row)) not in done}
    pool = ProcessPoolExecutor(
        arguments.jobs, get_context("spawn"), _begin, (2 if arguments.tiny else table.steps, arguments.seed)
    )
    with pool, file.open("a", newline="") as out:
        futures = {pool.submit(_train, one): text for text, (_, one) in wanted.items()}
        for number, future in enumerate(as_completed(futures), 1):
            row, one = wanted[futures[future]]
            accuracy, seconds = future.result()
            lowered = lower(one)
            csv.writer(out).writerow(
                [*row.values(), f"{accuracy:.4f}", lowered.macs, lowered.parameters, f"{seconds:.1f}", one]
            )
            out.flush()
            say(arguments, f"{number}/{len(wanted)}: {accuracy:.4f} in {seconds:.0f} s: {one}")
    return len(wanted)


def measure(table: Measured, file: Path, arguments: Namespace) -> int:
    """Measure every network of the file and write its latency beside its accuracy; how many there were."""
    from devices.measurement import Failure, ModelFile
    from devices.plan import Plan
    from devices.registry import open_device
    from latency_tables.fitting.statistics import network_ms
    from latency_tables.tflite import write

    with file.open(newline="") as there:
        rows = list(csv.DictReader(there))
    rows = rows[: 2 if arguments.tiny else None]
    order = {str(table.architecture(row)): position for position, row in enumerate(table.rows())}
    rows.sort(key=lambda row: order[row["architecture"]])
    models = [
        ModelFile(f"network {at}", write(lower(Architecture.parse(row["architecture"]), table.dtype).graph))
        for at, row in enumerate(rows)
    ]
    passes: dict[str, list[Any]] = {model.name: [] for model in models}
    plan = Plan(passes=2 if arguments.tiny else PASSES, min_runs=20, min_time_s=0.02, seed=arguments.seed)
    device = open_device("local")
    try:
        for answer in device.stream(models, plan):
            if isinstance(answer, Failure):
                raise OSError(f"{answer.model}: {answer.message}")
            passes[answer.model].append(answer.distribution_ms)
    finally:
        device.close()
    column = f"latency_{table.dtype}_ms"
    for at, row in enumerate(rows):
        row[column] = f"{network_ms(passes[f'network {at}']):.5f}"
    draft = file.with_suffix(".tmp")
    names = [*table.columns, "accuracy", column, "macs", "parameters", "training_seconds", "architecture"]
    with draft.open("w", newline="") as out:
        writer = csv.DictWriter(out, names)
        writer.writeheader()
        writer.writerows(rows)
    draft.replace(file)
    say(arguments, f"median {median(float(row[column]) for row in rows):.3f} ms")
    return len(rows)


def main() -> None:
    """Parse, make, print."""
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--latency", action="store_true", help="measure latencies of the networks there are")
    parser.add_argument("--jobs", type=at_least(1), default=1, help="trainings at a time, a core each")
    parser.add_argument("--seed", type=int, default=0, help="of the split and the trainings (default 0)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the CSV lies")
    arguments = parser.parse_args()
    table = TABLES[arguments.table]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    file = arguments.folder / f"{arguments.table}.csv"
    count = (measure if arguments.latency else train)(table, file, arguments)
    verdict = Verdict(None, f"{count} networks {'measured' if arguments.latency else 'trained'}: {file.name}")
    document = {"table": arguments.table, "networks": count, "rows": len(table.rows())}
    finish(arguments, document, verdict)


if __name__ == "__main__":
    start(main)
