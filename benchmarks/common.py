"""What every benchmark here shares: options, JSON document, verdict, exit code. Measures nothing."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from controllers.errors import ControllersError
from devices.errors import DevicesError
from latency_tables.errors import TablesError
from mnas.errors import MnasError

MET, MISSED, BAD_INPUT = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a benchmark's goal was met.

    Attributes:
        met: None where a run is too small to judge (`--tiny`).
        text: one sentence with the figures and the goal.
    """

    met: bool | None
    text: str


def options(description: str) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has: `--json` and `--tiny`."""
    parser = argparse.ArgumentParser(
        description=description,
        epilog="Exit codes: 0 goal met, 1 goal missed, 2 bad input. The verdict is printed last.",
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON document on standard output, all else on standard error"
    )
    parser.add_argument(
        "--tiny", action="store_true", help="as little as shows that it works: nothing is judged, exit code 0"
    )
    return parser


def at_least(least: int) -> Callable[[str], int]:
    """The type of an option that is a whole number, this or more."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of {least} or more")
        return value

    return parse


def cores(text: str) -> tuple[int, ...]:
    """The type of an option that names cores, such as `1` or `0,1`: different ones that can be used here."""
    usable = os.sched_getaffinity(0)
    names = [name.strip() for name in text.split(",")]
    found = tuple(int(name) for name in names if name.isdecimal() and int(name) in usable)
    if len(found) < len(names) or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(
            f"{text!r} names no cores that can be used here; those are {', '.join(map(str, sorted(usable)))}"
        )
    return found


def one_core(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Keep this process on the core that `--cpu` names, on the last one if it names none; which it is."""
    core, *others = arguments.cpu or (max(os.sched_getaffinity(0)),)
    if others:
        parser.error("--cpu takes one core")
    os.sched_setaffinity(0, {core})
    return int(core)


def start(main: Callable[[], None]) -> None:
    """Run a script; what it cannot do for a reason is said in one line, with exit code 2."""
    try:
        main()
    except (ControllersError, DevicesError, TablesError, MnasError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)


def say(arguments: argparse.Namespace, text: str) -> None:
    """Print a line for people: on standard output, or on standard error beside `--json`."""
    print(text, file=sys.stderr if arguments.json else sys.stdout, flush=True)


def finish(arguments: argparse.Namespace, document: Mapping[str, Any], verdict: Verdict) -> NoReturn:
    """Print the document if `--json` was given, then the verdict, and leave with the exit code.

    The document gets the fields `tiny`, `met` and `verdict` at its end.
    """
    if arguments.tiny:
        verdict = Verdict(None, f"tiny run, not judged: {verdict.text}")
    if arguments.json:
        ending = {"tiny": arguments.tiny, "met": verdict.met, "verdict": verdict.text}
        print(json.dumps({**document, **ending}, indent=2, allow_nan=False), flush=True)
    word = {True: "met", False: "MISSED", None: "-"}[verdict.met]
    say(arguments, f"verdict: {word}: {verdict.text}")
    sys.exit(MISSED if verdict.met is False else MET)


def bootstrap_median(
    values: Sequence[float], share: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the median (Efron and Tibshirani 1993, section 13.3).

    Args:
        values: observations, one or more.
        share: of the bootstrap medians that the interval holds, 0 to 1.
        draws: resamples.
        seed: of the resampling.

    Returns:
        Lower and upper end, in the unit of `values`.
    """
    observed = np.asarray(values, dtype=np.float64)
    picks = np.random.default_rng(seed).integers(observed.size, size=(draws, observed.size))
    medians = np.median(observed[picks], axis=1)
    low, high = np.quantile(medians, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)
