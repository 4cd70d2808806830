"""Makes the measured tables that benchmarks/search.py searches: small spaces, wholly trained and run.

    python benchmarks/search_tables.py fashion-192 --jobs 2      # accuracies: about an hour
    python benchmarks/search_tables.py fashion-108 --jobs 2      # minutes
    python benchmarks/search_tables.py fashion-192 --latency     # then latencies, on a machine that is quiet

A table is a subspace of mnasnet-small-images: a few choices, each of which several stages share, and every
combination of them. Accuracy is that of a short training on Fashion-MNIST, on images held out of the training
split; latency is measured here, once all are trained. Rows are written as they come; the same command goes
on. With --tiny, one network is trained for a step on `digits` and run, in a folder that is removed.
"""

from __future__ import annotations

import csv
import fcntl
import os
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from common import Verdict, at_least, finish, options, say, start
from measured_tables import TABLES, TINY, Measured

from mnas.architecture import Architecture
from mnas.errors import BadInput
from mnas.jsonl import mend
from mnas.lower import lower

if TYPE_CHECKING:
    from mnas.accuracy import ProxyTraining

FOLDER = Path(__file__).parent / "tables"
#: images of the training split that judge: as many as the test split has
VALIDATION_SHARE = 1 / 6
#: shuffled passes over all networks
PASSES = 10


_evaluator: ProxyTraining | None = None


def _begin(dataset: str, steps: int, seed: int) -> None:
    """Make a worker's evaluator: the data is read once, TensorFlow takes one core."""
    os.environ["OMP_NUM_THREADS"] = "1"
    from mnas.accuracy import ProxyTraining
    from mnas.data import open_dataset, resized, split
    from mnas.nn.backend import tf
    from mnas.training_plan import TrainingPlan

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    global _evaluator  # noqa: PLW0603 - a worker process has one
    images = resized(open_dataset(dataset).train(), 28)
    train, validation = split(images, seed=seed, validation_share=VALIDATION_SHARE)
    _evaluator = ProxyTraining(train, validation, TrainingPlan(steps=steps), seed)


def _train(architecture: Architecture) -> tuple[float, float]:
    assert _evaluator is not None
    began = time.perf_counter()
    return _evaluator(architecture), time.perf_counter() - began


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Keep other runs off the file, which is made if it is not there.

    Raises:
        BadInput: one is at it.
    """
    with file.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(f"another run is at work on {file}; wait for its end") from None
        yield


def read(file: Path, *headers: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a file.

    Raises:
        BadInput: it has other columns than any of those allowed.
    """
    with file.open(newline="") as there:
        reader = csv.DictReader(there)
        columns = list(reader.fieldnames or ())
        if columns not in [list(header) for header in headers]:
            allowed = "; or ".join(", ".join(header) for header in headers)
            raise BadInput(
                f"{file} has the columns {', '.join(columns)}; needed are {allowed}. A file that has "
                "latencies takes no more networks: move it away to begin anew"
            )
        return list(reader)


def train(table: Measured, file: Path, arguments: Namespace) -> int:
    """Train every network that the file has not; how many there were."""
    if not file.exists() or not file.stat().st_size:
        with file.open("w", newline="") as out:
            csv.writer(out).writerow(table.trained)
    mend(file)
    done = {row["architecture"] for row in read(file, table.trained)}
    wanted = {str(one): (row, one) for row in table.rows() if str(one := table.architecture(row)) not in done}
    begin = (table.dataset, table.steps, arguments.seed)
    pool = ProcessPoolExecutor(arguments.jobs, get_context("spawn"), _begin, begin)
    with pool, file.open("a", newline="") as out:
        futures = {pool.submit(_train, one): text for text, (_, one) in wanted.items()}
        try:
            for number, future in enumerate(as_completed(futures), 1):
                row, one = wanted[futures[future]]
                accuracy, seconds = future.result()
                lowered = lower(one)
                facts = (lowered.macs, lowered.parameters, f"{seconds:.1f}", one)
                csv.writer(out).writerow([*row.values(), f"{accuracy:.4f}", *facts])
                out.flush()
                say(arguments, f"{number}/{len(wanted)}: {accuracy:.4f} in {seconds:.0f} s: {one}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return len(wanted)


def measure(table: Measured, file: Path, arguments: Namespace) -> int:
    """Measure every network of the file and write its latency beside its accuracy; how many there were."""
    from devices.measurement import Failure, ModelFile
    from devices.plan import Plan
    from devices.registry import open_device
    from latency_tables.fitting.statistics import network_ms
    from latency_tables.tflite import write

    rows = read(file, table.trained, table.measured)
    order = {str(table.architecture(row)): position for position, row in enumerate(table.rows())}
    missing = len(order.keys() - {row["architecture"] for row in rows})
    if missing:
        raise BadInput(
            f"{file} lacks {missing} of {len(order)} networks; train them first, without --latency"
        )
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
    for at, row in enumerate(rows):
        row[table.latency] = f"{network_ms(passes[f'network {at}']):.5f}"
    draft = file.with_suffix(".tmp")
    with draft.open("w", newline="") as out:
        writer = csv.DictWriter(out, table.measured)
        writer.writeheader()
        writer.writerows(rows)
    draft.replace(file)
    say(arguments, f"median {median(float(row[table.latency]) for row in rows):.3f} ms")
    return len(rows)


def main() -> None:
    """Parse, make, print."""
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("table", nargs="?", choices=TABLES, help="which one; needed without --tiny")
    parser.add_argument("--latency", action="store_true", help="measure latencies once all are trained")
    parser.add_argument("--jobs", type=at_least(1), default=1, help="trainings at a time, a core each")
    parser.add_argument("--seed", type=int, default=0, help="of the split and the trainings (default 0)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the CSV lies")
    arguments = parser.parse_args()
    if arguments.tiny:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "tiny.csv"
            train(TINY, file, arguments)
            count = measure(TINY, file, arguments)
        document = {"table": "tiny", "networks": count, "rows": len(TINY.rows())}
        finish(arguments, document, Verdict(None, f"{count} network trained and measured"))
    if arguments.table is None:
        parser.error(f"name a table: {', '.join(TABLES)}")
    table = TABLES[arguments.table]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    file = arguments.folder / f"{arguments.table}.csv"
    if arguments.latency and not file.exists():
        raise BadInput(f"there is no {file}; train first, without --latency")
    with alone(file):
        count = (measure if arguments.latency else train)(table, file, arguments)
    verdict = Verdict(None, f"{count} networks {'measured' if arguments.latency else 'trained'}: {file.name}")
    finish(arguments, {"table": arguments.table, "networks": count, "rows": len(table.rows())}, verdict)


if __name__ == "__main__":
    start(main)
