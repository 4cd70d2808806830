"""Who finds out accuracies, one at a time or several at once. Knows no search and no training."""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of one evaluation.

    Attributes:
        number: that it was submitted with.
        accuracy: share 0 to 1; None where it failed.
        error: why it failed, `Kind: message`; None where it did not.
        seconds: that it took.
        trace: of the error, for the log; empty if there is none.
    """

    number: int
    accuracy: float | None
    error: str | None
    seconds: float
    trace: str = ""


class Evaluations(Protocol):
    """Evaluates architectures."""

    @property
    def slots(self) -> int:
        """How many evaluations can run at once, 1 or more: so many are submitted before one is waited for."""

    def submit(self, number: int, architecture: Any) -> None:
        """Begin an evaluation; at most `slots` are unfinished at any time."""

    def next(self) -> Finished:
        """Wait for any of the unfinished evaluations; an evaluation that fails is a value."""

    def paused(self) -> AbstractContextManager[None]:
        """Keep all evaluations at a step boundary for the time of the `with`; entered once they all are."""

    def close(self) -> None:
        """End everything that runs; called by who made it, also after Ctrl-C."""


class Inline:
    """Evaluates in this thread, one after the other.

    Args:
        evaluator: share 0 to 1 of an architecture; whatever `Exception` it raises is a failed evaluation.
    """

    slots = 1

    def __init__(self, evaluator: Callable[[Any], float]) -> None:
        self._evaluator = evaluator
        self._waiting: deque[tuple[int, Any]] = deque()

    def submit(self, number: int, architecture: Any) -> None:
        """Remember it; it is evaluated by `next`."""
        self._waiting.append((number, architecture))

    def next(self) -> Finished:
        """Evaluate what was submitted first."""
        number, architecture = self._waiting.popleft()
        started = time.perf_counter()
        try:
            accuracy = share(self._evaluator(architecture))
        except Exception as error:  # noqa: BLE001 - a search of hours outlives any one candidate
            return failure(number, error, time.perf_counter() - started)
        return Finished(number, accuracy, None, time.perf_counter() - started)

    def paused(self) -> AbstractContextManager[None]:
        """Nothing runs between two calls."""
        return nullcontext()

    def close(self) -> None:
        """Nothing runs."""


def share(answer: float) -> float:
    """An evaluator's answer, checked.

    Raises:
        ValueError: it is no share between 0 and 1.
    """
    accuracy = float(answer)
    if not 0 <= accuracy <= 1:
        raise ValueError(f"the evaluator says {accuracy}; accuracy is a share between 0 and 1")
    return accuracy


def failure(number: int, error: Exception, seconds: float) -> Finished:
    """An evaluation that ended with an error."""
    trace = "".join(traceback.format_exception(error)).rstrip()
    return Finished(number, None, f"{type(error).__name__}: {error}", seconds, trace)
