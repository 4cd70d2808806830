"""How long does a strategy itself take per trial, when a search has come to 1 000 trials?

Every strategy searches the 42 choices of mnasnet-small-images on a study in memory, all in turns, a trial
at a time. Counted is the time within the sampler, in asking and in telling; latencies come from a table of
made-up figures, accuracies from a formula. Printed are the means of the last trials and of all.
Beside it stands what the storage takes for a trial: in memory, and in a journal file as a run directory keeps
one.
Goals: at most 20 ms for ppo and regularized_evolution, 300 ms for predictor_guided. gp takes hours; it takes
part where it is named.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import optuna
from common import Verdict, at_least, finish, options, say, start
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from predict import made_up

from controllers import registry
from controllers.problem import Figures, Known, Points, Problem
from mnas import spaces
from mnas.spaces import StagedSpace
from mnas.spaces.vectorised import Vectorised
from mnas.study import Journal

Result = TypeVar("Result")

SPACE = "mnasnet-small-images"
GOALS_MS: Mapping[str, float] = {"ppo": 20, "regularized_evolution": 20, "predictor_guided": 300}
#: take part only where they are named
APART = ("gp",)


class Timed(BaseSampler):
    """A sampler, and the seconds that were spent in it."""

    def __init__(self, sampler: BaseSampler) -> None:
        self._sampler = sampler
        self.seconds = 0.0

    def _timed(self, work: Callable[..., Result], *arguments: Any) -> Result:
        started = time.perf_counter()
        try:
            return work(*arguments)
        finally:
            self.seconds += time.perf_counter() - started

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """As the sampler."""
        self._timed(self._sampler.before_trial, study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As the sampler."""
        return self._timed(self._sampler.infer_relative_search_space, study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the sampler."""
        return self._timed(self._sampler.sample_relative, study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the sampler."""
        return self._timed(self._sampler.sample_independent, study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """As the sampler."""
        self._timed(self._sampler.after_trial, study, trial, state, values)


class Search:
    """One strategy's study, and how long each trial took in the sampler and in the storage."""

    def __init__(self, name: str, problem: Problem, journal: Path | None = None) -> None:
        self._sampler = Timed(registry.create(name, 0, problem))
        self._problem = problem
        self._study = optuna.create_study(
            storage=None if journal is None else JournalStorage(Journal(str(journal))),
            directions=["maximize", "minimize"],
            sampler=self._sampler,
        )
        self.sampler_ms: list[float] = []
        self.storage_ms: list[float] = []

    def step(self, evaluate: Callable[[NDArray[np.int64]], list[float]]) -> None:
        """One trial."""
        before, started = self._sampler.seconds, time.perf_counter()
        trial = self._study.ask(dict(self._problem.distributions))
        asked = time.perf_counter() - started
        point = np.array(
            [
                options.to_internal_repr(trial.params[name])
                for name, options in self._problem.distributions.items()
            ],
            dtype=np.int64,
        )
        values = evaluate(point)
        started = time.perf_counter()
        self._study.tell(trial, values)
        total = asked + time.perf_counter() - started
        within = self._sampler.seconds - before
        self.sampler_ms.append(1e3 * within)
        self.storage_ms.append(1e3 * (total - within))


def told() -> tuple[Problem, Callable[[NDArray[np.int64]], list[float]]]:
    """The space with its latencies, and what a point comes to."""
    space = spaces.create(SPACE)
    assert isinstance(space, StagedSpace)
    vectorised = Vectorised(space, made_up(space))
    choices = {choice.name: choice.options for choice in space.choices}
    terms = [np.random.default_rng(at).normal(size=len(names)) for at, names in enumerate(choices.values())]

    def figures(points: Points) -> Figures:
        return vectorised.predict(points).latency_ms[:, None]

    def allowed(found: Figures) -> NDArray[np.bool_]:
        return np.ones(len(found), dtype=bool)

    def evaluate(point: NDArray[np.int64]) -> list[float]:
        latency = float(figures(point[None])[0, 0])
        gain = sum(float(values[index]) for values, index in zip(terms, point, strict=True))
        return [float(1 / (1 + np.exp(-gain / 8))), latency]

    return Problem(choices, Known(figures, (1,), allowed)), evaluate


def measure(arguments: Namespace) -> dict[str, Search]:
    """Searches by name, the one with a journal last."""
    problem, evaluate = told()
    with TemporaryDirectory() as folder:
        found = {name: Search(name, problem) for name in arguments.controllers}
        found["random, journal"] = Search("random", problem, Path(folder) / "journal.log")
        for number in range(arguments.trials):
            for search in found.values():
                search.step(evaluate)
            if (number + 1) % 100 == 0:
                say(arguments, f"{number + 1} trials")
    return found


def parser() -> ArgumentParser:
    """The script's options."""
    found = options(__doc__.splitlines()[0])
    found.add_argument("--trials", type=at_least(2), default=1000, help="of each strategy (1000)")
    found.add_argument("--last", type=at_least(1), default=200, help="trials whose mean is taken (200)")
    found.add_argument(
        "--controllers",
        nargs="+",
        metavar="NAME",
        choices=registry.names(),
        default=[name for name in registry.names() if name not in APART],
        help="strategies (all but gp)",
    )
    return found


def verdict(rows: Mapping[str, Mapping[str, float]]) -> Verdict:
    """Whether those that have a goal reach it."""
    judged = {name: rows[name]["sampler_ms"] for name in GOALS_MS if name in rows}
    texts = [f"{name} {ms:.3g} ms of at most {GOALS_MS[name]:g}" for name, ms in judged.items()]
    return Verdict(
        all(ms <= GOALS_MS[name] for name, ms in judged.items()) if judged else None,
        f"time in the sampler per trial: {', '.join(texts) or 'nothing with a goal took part'}",
    )


def main() -> None:
    """Measure, print and judge."""
    arguments = parser().parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if arguments.tiny:
        arguments.trials, arguments.last = 8, 4
    rows = {
        name: {
            "sampler_ms": fmean(search.sampler_ms[-arguments.last :]),
            "sampler_mean_ms": fmean(search.sampler_ms),
            "storage_ms": fmean(search.storage_ms[-arguments.last :]),
        }
        for name, search in measure(arguments).items()
    }
    say(arguments, f"{'strategy':<24}{'sampler ms':>12}{'mean of all':>13}{'storage ms':>12}")
    for name, row in rows.items():
        say(arguments, f"{name:<24}" + "{:12.2f}{:13.2f}{:12.2f}".format(*row.values()))
    document = {"space": SPACE, "trials": arguments.trials, "last": arguments.last, "strategies": rows}
    finish(arguments, document, verdict(rows))


if __name__ == "__main__":
    start(main)
