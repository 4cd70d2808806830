"""Search strategies on tables of architectures: share of the front's hypervolume against evaluations.

    python benchmarks/search.py --picture docs/search.png
    python benchmarks/search.py --table mine.csv --accuracy val_acc --latency pixel_ms --ignore macs,id

Every strategy of the registry that needs no extra, the peers that users have (pymoo's NSGA-II, stock Optuna
NSGA-II and TPE), and ablations: predictor_guided with latency as a black box, random and tpe with the latency
that is known for free. All get the same tables, evaluations and seeds. A peer that proposes a row again has
spent an evaluation.
"""

from __future__ import annotations

import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import synthetic
from common import at_least, finish, options, say, start
from comparison import Outcome, Standing, checks, judge, standings
from search_picture import draw
from search_strategies import Strategy, known, strategies_of

from mnas.errors import BadInput
from mnas.jsonl import append_jsonl, mend, read_jsonl

if TYPE_CHECKING:
    from mnas.spaces.tabular import TableSpace

FOLDER = Path(__file__).parent / "tables"
#: of the measured tables, columns that are neither choices nor objectives
IGNORED = ("macs", "parameters", "training_seconds", "architecture")

#: seeds of gp, which takes minutes for a search
GP_SEEDS = 3
#: searches made before are used again where all of these agree
KEY = ("table", "trials", "strategy", "seed", "source", "settings")


@dataclass(frozen=True, slots=True)
class Bench:
    """A table to search.

    Attributes:
        measured: whether its figures were measured, so that it counts for the verdict.
        trials: evaluations of each strategy.
        sizes: options of each choice of a table that is made up; None with `file`.
    """

    name: str
    accuracy: str
    latency: str
    ignore: tuple[str, ...]
    measured: bool
    trials: int
    file: Path | None = None
    sizes: tuple[int, ...] | None = None

    def frame(self) -> pd.DataFrame:
        """The table itself.

        Raises:
            BadInput: the file cannot be read.
        """
        if self.file is None:
            return synthetic.table(**self._made_with)
        try:
            return pd.read_csv(self.file)
        except (OSError, ValueError) as error:
            raise BadInput(f"cannot read the table {self.file}: {error}") from error

    @property
    def source(self) -> Mapping[str, Any]:
        """What the space is made of: the generator's arguments or the file's SHA-256, and the columns' roles.

        Raises:
            BadInput: the file cannot be read.
        """
        if self.file is None:
            return {"generator": self._made_with}
        try:
            digest = sha256(self.file.read_bytes()).hexdigest()
        except OSError as error:
            raise BadInput(f"cannot read the table {self.file}: {error}") from error
        roles = {"accuracy": self.accuracy, "latency": self.latency, "ignore": list(self.ignore)}
        return {"sha256": digest, **roles}

    @property
    def _made_with(self) -> dict[str, Any]:
        return {"seed": 0, "sizes": self.sizes or synthetic.SIZES}

    def space(self) -> TableSpace:
        """The table as a space."""
        from mnas.spaces.tabular import TableSpace

        return TableSpace(
            self.frame(), accuracy=self.accuracy, latency=[self.latency], ignore=self.ignore, name=self.name
        )


#: searches evaluate a quarter of a measured table: with half of it, most find most of the front
BENCHES = (
    Bench("fashion-192", "accuracy", "latency_float32_ms", IGNORED, True, 48, FOLDER / "fashion-192.csv"),
    Bench("fashion-108", "accuracy", "latency_int8_ms", IGNORED, True, 27, FOLDER / "fashion-108.csv"),
    Bench("synthetic-6912", "accuracy", "latency_ms", (), False, 200),
)
TINY = Bench("synthetic-72", "accuracy", "latency_ms", (), False, 12, sizes=(4, 3, 3, 2))


def _one(bench: Bench, strategy: Strategy, record: Mapping[str, Any]) -> dict[str, Any]:
    """Search, and note beside what was searched which rows were evaluated."""
    began = time.perf_counter()
    evaluated = strategy.rows(bench.space(), bench.trials, record["seed"])
    seconds = round(time.perf_counter() - began, 3)
    return {**record, "seconds": seconds, "evaluated": [int(row) for row in evaluated]}


def _key(record: Mapping[str, Any]) -> str:
    return json.dumps([record.get(name) for name in KEY], sort_keys=True)


def run_all(benches: Sequence[Bench], chosen: Mapping[str, Strategy], arguments: Namespace) -> list[Outcome]:
    """Every strategy on every table with every seed; those in the file of results are not run again.

    The first search that fails ends all.
    """
    file: Path | None = arguments.results
    done: dict[str, Mapping[str, Any]] = {}
    if file is not None and file.exists():
        mend(file)
        done = {_key(one): one for one in read_jsonl(file)}
    sources = [bench.source for bench in benches]
    jobs: dict[str, tuple[Bench, Strategy, dict[str, Any]]] = {}
    for seed in range(arguments.seeds):
        for bench, source in zip(benches, sources, strict=True):
            for name, strategy in chosen.items():
                values = (bench.name, bench.trials, name, seed, source, strategy.settings)
                record = dict(zip(KEY, values, strict=True))
                if name != "gp" or seed < GP_SEEDS:
                    jobs[_key(record)] = (bench, strategy, record)
    left = [job for key, job in jobs.items() if key not in done]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(arguments.jobs, get_context("spawn")) as pool:
        futures = [pool.submit(_one, *job) for job in left]
        try:
            for number, future in enumerate(as_completed(futures), 1):
                found = future.result()
                done[_key(found)] = found
                if file is not None:
                    append_jsonl(file, found)
                if sys.stderr.isatty() or number % 50 == 0 or number == len(left):
                    print(f"{number} of {len(left)} searches", file=sys.stderr, flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [Outcome.of(done[key]) for key in jobs]


def benches_of(arguments: Namespace) -> list[Bench]:
    """The tables that were asked for, else the project's own.

    Raises:
        BadInput: the project has no such table.
    """
    if arguments.table is not None:
        if arguments.only is not None:
            raise BadInput("--only is about the project's tables; leave it out beside --table")
        ignore = tuple(filter(None, (arguments.ignore or "").split(",")))
        file = Path(arguments.table)
        benches = [Bench(file.stem, arguments.accuracy, arguments.latency, ignore, True, 100, file)]
    elif arguments.only is None:
        benches = [TINY] if arguments.tiny else list(BENCHES)
    else:
        by_name = {bench.name: bench for bench in BENCHES}
        benches = [by_name[name] for name in known("table", arguments.only.split(","), by_name)]
    trials = TINY.trials if arguments.tiny else arguments.trials
    return benches if trials is None else [replace(bench, trials=trials) for bench in benches]


def show(standing: Standing, arguments: Namespace) -> None:
    """One line of the table for people."""
    say(
        arguments,
        f"{standing.table:15} {standing.strategy:34} {standing.ratio:8.4f} {standing.ratio_lowest:8.4f}"
        f" [{standing.low:6.4f} {standing.high:6.4f}] {standing.front_found:5.1f}/{standing.front_size:<3}"
        f" {standing.evaluations_to_tpe or '-':>5} {standing.evaluations_to_tpe_lowest or '-':>7}"
        f" {standing.p_below:7.4f} {standing.p_above:7.4f}"
        f" {standing.seconds:7.2f}",
    )


def main() -> None:
    """Parse, search, print."""
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=at_least(2), default=10)
    parser.add_argument("--jobs", type=at_least(1), default=2, help="searches at a time, a core each")
    parser.add_argument(
        "--strategies", help="only these, by semicolons; random and both TPEs are always there"
    )
    parser.add_argument("--only", help="only these tables of the project, by commas")
    parser.add_argument("--table", help="your own CSV; needs --accuracy and --latency")
    parser.add_argument("--accuracy", default="accuracy")
    parser.add_argument("--latency", default="latency_ms")
    parser.add_argument("--ignore", help="columns of it that are no choices, by commas")
    parser.add_argument(
        "--trials", type=at_least(2), help="evaluations of each search (default: the table's)"
    )
    parser.add_argument(
        "--results",
        type=Path,
        help="keep every search here (JSON lines); those of the same table, settings and seed are not run "
        "again, so remove it when the code of a strategy changed",
    )
    parser.add_argument("--picture", type=Path, help="draw the curves")
    parser.add_argument("--gp", action="store_true", help="Optuna's GP, too (needs mnas[gp]): 3 seeds, slow")
    arguments = parser.parse_args()
    from controllers import registry
    from mnas.table_search import TableTruth

    if arguments.tiny:
        arguments.seeds = 2
    benches, chosen = benches_of(arguments), strategies_of(arguments)
    # all tables are opened before anything is searched
    truths = [TableTruth(bench.space()) for bench in benches]
    outcomes = run_all(benches, chosen, arguments)
    found = [
        standing
        for bench, truth in zip(benches, truths, strict=True)
        for standing in standings(bench.name, truth, bench.trials, outcomes)
    ]
    say(
        arguments,
        f"{'table':15} {'strategy':34} {'ratio':>8} {'lowest':>8} {'quartiles':>15} {'front':>9} {'=TPE':>5}"
        f" {'=lowest':>7} {'p<rand':>7} {'p>rand':>7} {'s':>7}",
    )
    for standing in found:
        show(standing, arguments)
    if arguments.picture is not None:
        draw(found, arguments.picture)
        say(arguments, f"picture: {arguments.picture}")
    measured = [bench.name for bench in benches if bench.measured]
    made = checks(found, measured, registry.names())
    document = {
        "seeds": arguments.seeds,
        "tables": {
            bench.name: {"trials": bench.trials, "measured": bench.measured, "source": bench.source}
            for bench in benches
        },
        "standings": [standing.document() for standing in found],
        "checks": [asdict(check) for check in made],
    }
    finish(arguments, document, judge(made))


if __name__ == "__main__":
    start(main)
