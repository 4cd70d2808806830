"""Whom benchmarks/search.py compares: this project's strategies, ablations, and peers. Judges nothing."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import peers
from comparison import MARK

from controllers import registry
from mnas.errors import BadInput

if TYPE_CHECKING:
    from mnas.spaces.tabular import TableSpace


@dataclass(frozen=True, slots=True)
class Strategy:
    """Something to compare.

    Attributes:
        rows: given a space, evaluations and a seed, the rows in the order in which it evaluates them.
        settings: all that it was set up with.
    """

    rows: Callable[[TableSpace, int, int], list[int]]
    settings: Mapping[str, Any]


def ours(name: str, settings: Mapping[str, Any], space: TableSpace, trials: int, seed: int) -> list[int]:
    """A strategy of the registry."""
    from mnas.table_search import run_table

    return list(run_table(space, name, trials=trials, seed=seed, settings=settings).evaluated)


def _ours(name: str, settings: Mapping[str, Any] | None = None) -> Strategy:
    given = dict(settings or {})
    return Strategy(partial(ours, name, given), {**registry.describe(name).settings, **given})


def strategies(with_gp: bool) -> dict[str, Strategy]:
    """All that are compared, by the names of the picture.

    Raises:
        MissingExtra: gp needs a package that is not installed.
    """
    if with_gp:
        registry.create("gp", 0)
    found = {name: _ours(name) for name in registry.names() if name != "gp" or with_gp}
    screened = {"screened": "front"}
    return {
        **found,
        "ppo, small": _ours("ppo", {"recipe": "small"}),
        "ppo, small, independent": _ours("ppo", {"recipe": "small", "policy": "independent"}),
        "predictor_guided, latency unknown": _ours("predictor_guided", {"latency": "unknown"}),
        "random, screened": _ours("random", screened),
        "tpe, screened": _ours("tpe", screened),
        "Optuna TPE": Strategy(peers.optuna_tpe, peers.settings("optuna")),
        "Optuna NSGA-II": Strategy(peers.optuna_nsga2, peers.settings("optuna", population=peers.POPULATION)),
        "pymoo NSGA-II": Strategy(peers.pymoo_nsga2, peers.settings("pymoo", population=peers.POPULATION)),
    }


def strategies_of(arguments: Namespace) -> dict[str, Strategy]:
    """The strategies that were asked for, and those that they are compared with.

    Raises:
        BadInput: there is no such strategy.
        MissingExtra: gp needs a package that is not installed.
    """
    every = strategies(arguments.gp)
    if arguments.strategies is None:
        return every
    wanted = {"random", MARK, *known("strategy", arguments.strategies.split(";"), every)}
    return {name: strategy for name, strategy in every.items() if name in wanted}


def known(kind: str, given: Sequence[str], there: Collection[str]) -> list[str]:
    """Names without the space around them, each once."""
    names = list(dict.fromkeys(name.strip() for name in given))
    unknown = [name for name in names if name not in there]
    if unknown:
        raise BadInput(f"there is no {kind} {', '.join(map(repr, unknown))}; there are: {'; '.join(there)}")
    return names
