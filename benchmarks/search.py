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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import peers
import synthetic
from common import Verdict, at_least, finish, options, say, start
from comparison import Floats, Outcome, Standing, draw, judge, standings

from mnas.errors import BadInput
from mnas.jsonl import append_jsonl, mend, read_jsonl

if TYPE_CHECKING:
    from mnas.spaces.tabular import TableSpace

FOLDER = Path(__file__).parent / "tables"
#: of the measured tables, columns that are neither choices nor objectives
IGNORED = ("macs", "parameters", "training_seconds", "architecture")

#: rows in the order in which a strategy evaluates them
Strategy = Callable[["TableSpace", int, int], list[int]]


@dataclass(frozen=True, slots=True)
class Bench:
    """A table to search.

    Attributes:
        measured: whether its figures were measured, so that it counts for the verdict.
        trials: evaluations of each strategy.
    """

    name: str
    accuracy: str
    latency: str
    ignore: tuple[str, ...]
    measured: bool
    trials: int
    file: Path | None = None

    def frame(self) -> pd.DataFrame:
        """The table itself.

        Raises:
            BadInput: the file cannot be read.
        """
        if self.file is None:
            return synthetic.table()
        try:
            return pd.read_csv(self.file)
        except (OSError, ValueError) as error:
            raise BadInput(f"cannot read the table {self.file}: {error}") from error

    def figures(self) -> Floats:
        """Accuracy and latency of each row, [rows, 2]."""
        return self.frame()[[self.accuracy, self.latency]].to_numpy(np.float64)

    def space(self) -> TableSpace:
        """The table as a space."""
        from mnas.spaces.tabular import TableSpace

        return TableSpace(self.frame(), accuracy=self.accuracy, latency=[self.latency], ignore=self.ignore)


BENCHES = (
    Bench("fashion-192", "accuracy", "latency_float32_ms", IGNORED, True, 60, FOLDER / "fashion-192.csv"),
    Bench("fashion-162", "accuracy", "latency_int8_ms", IGNORED, True, 50, FOLDER / "fashion-162.csv"),
    Bench("synthetic-6912", "accuracy", "latency_ms", (), False, 200),
)


def ours(name: str, settings: Mapping[str, Any], space: TableSpace, trials: int, seed: int) -> list[int]:
    """A strategy of the registry."""
    from mnas.table_search import run_table

    return list(run_table(space, name, trials=trials, seed=seed, settings=settings).evaluated)


def strategies(with_gp: bool) -> dict[str, Strategy]:
    """All that are compared, by the names of the picture."""
    from controllers import registry

    names = [name for name in registry.names() if name != "gp" or with_gp]
    found: dict[str, Strategy] = {name: partial(ours, name, {}) for name in names}
    other = "independent" if registry.describe("ppo").settings["policy"] == "recurrent" else "recurrent"
    return {
        **found,
        f"ppo, {other}": partial(ours, "ppo", {"policy": other}),
        "predictor_guided, latency unknown": partial(ours, "predictor_guided", {"latency": "unknown"}),
        "random, screened": partial(ours, "random", {"screened": True}),
        "tpe, screened": partial(ours, "tpe", {"screened": True}),
        "Optuna TPE": peers.optuna_tpe,
        "Optuna NSGA-II": peers.optuna_nsga2,
        "pymoo NSGA-II": peers.pymoo_nsga2,
    }


def _one(bench: Bench, name: str, with_gp: bool, seed: int) -> dict[str, Any]:
    began = time.perf_counter()
    evaluated = strategies(with_gp)[name](bench.space(), bench.trials, seed)
    seconds = time.perf_counter() - began
    return {
        "table": bench.name,
        "trials": bench.trials,
        "strategy": name,
        "seed": seed,
        "seconds": round(seconds, 3),
        "evaluated": [int(row) for row in evaluated],
    }


def run_all(benches: Sequence[Bench], names: Sequence[str], arguments: Namespace) -> list[Outcome]:
    """Every strategy on every table with every seed; those in the file of results are not run again."""
    file: Path | None = arguments.results
    done = []
    if file is not None and file.exists():
        mend(file)
        done = list(read_jsonl(file))
    have = {(one["table"], one["trials"], one["strategy"], one["seed"]) for one in done}
    jobs = [
        (bench, name, seed)
        for seed in range(arguments.seeds)
        for bench in benches
        for name in names
        if name != "gp" or seed < 3
    ]
    left = [(b, n, s) for b, n, s in jobs if (b.name, b.trials, n, s) not in have]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(arguments.jobs, get_context("spawn")) as pool:
        futures = [pool.submit(_one, bench, name, arguments.gp, seed) for bench, name, seed in left]
        try:
            for number, future in enumerate(as_completed(futures), 1):
                done.append(future.result())
                if file is not None:
                    append_jsonl(file, done[-1])
                if sys.stderr.isatty() or number % 50 == 0 or number == len(left):
                    print(f"{number} of {len(left)} searches", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    wanted = {(b.name, b.trials, n, s) for b, n, s in jobs}
    kept = [one for one in done if (one["table"], one["trials"], one["strategy"], one["seed"]) in wanted]
    return [Outcome.of(one) for one in kept]


def benches_of(arguments: Namespace) -> list[Bench]:
    """The tables that were asked for, else the project's own."""
    if arguments.table is None:
        benches = [bench for bench in BENCHES if arguments.only is None or bench.name in arguments.only]
    else:
        ignore = tuple(filter(None, (arguments.ignore or "").split(",")))
        file = Path(arguments.table)
        benches = [Bench(file.stem, arguments.accuracy, arguments.latency, ignore, True, 100, file)]
    trials = 16 if arguments.tiny else arguments.trials
    return [
        bench
        if trials is None
        else Bench(**{**{f: getattr(bench, f) for f in bench.__slots__}, "trials": trials})
        for bench in benches
    ]


def show(standing: Standing, arguments: Namespace) -> None:
    """One line of the table for people."""
    say(
        arguments,
        f"{standing.table:15} {standing.strategy:34} {standing.ratio:8.4f} {standing.ratio_lowest:8.4f}"
        f" [{standing.low:6.4f} {standing.high:6.4f}] {standing.front_found:5.1f}/{standing.front_size:<3}"
        f" {standing.evaluations_to_tpe or '-':>5} {standing.p_below:7.4f} {standing.p_above:7.4f}"
        f" {standing.seconds:7.2f}",
    )


def main() -> None:
    """Parse, search, print."""
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=at_least(2), default=10)
    parser.add_argument("--jobs", type=at_least(1), default=2, help="searches at a time, a core each")
    parser.add_argument("--strategies", help="only these, by semicolons; random and TPE are always there")
    parser.add_argument("--only", type=lambda text: text.split(","), help="only these tables of the project")
    parser.add_argument("--table", help="your own CSV; needs --accuracy and --latency")
    parser.add_argument("--accuracy", default="accuracy")
    parser.add_argument("--latency", default="latency_ms")
    parser.add_argument("--ignore", help="columns of it that are no choices, by commas")
    parser.add_argument(
        "--trials", type=at_least(2), help="evaluations of each search (default: the table's)"
    )
    parser.add_argument("--results", type=Path, help="keep every search here (JSON lines) and go on from it")
    parser.add_argument("--picture", type=Path, help="draw the curves")
    parser.add_argument("--gp", action="store_true", help="Optuna's GP, too (needs mnas[gp]): 3 seeds, slow")
    arguments = parser.parse_args()
    benches = benches_of(arguments)
    if arguments.tiny:
        arguments.seeds = 2
    names = list(strategies(arguments.gp))
    if arguments.strategies is not None:
        wanted = {"random", "tpe", "Optuna TPE", *arguments.strategies.split(";")}
        names = [name for name in names if name in wanted]
    outcomes = run_all(benches, names, arguments)
    found = [
        standing
        for bench in benches
        for standing in standings(bench.name, bench.figures(), bench.trials, outcomes)
    ]
    say(
        arguments,
        f"{'table':15} {'strategy':34} {'ratio':>8} {'lowest':>8} {'quartiles':>15} {'front':>9} {'=TPE':>5}"
        f" {'p<rand':>7} {'p>rand':>7} {'s':>7}",
    )
    for standing in found:
        show(standing, arguments)
    if arguments.picture is not None:
        draw(found, arguments.picture)
        say(arguments, f"picture: {arguments.picture}")
    measured = [bench.name for bench in benches if bench.measured]
    verdict = judge(found, measured)
    document = {
        "seeds": arguments.seeds,
        "tables": {bench.name: {"trials": bench.trials, "measured": bench.measured} for bench in benches},
        "standings": [standing.document() for standing in found],
    }
    finish(arguments, json.loads(json.dumps(document)), Verdict(verdict.met, verdict.text))


if __name__ == "__main__":
    start(main)
