"""Tries again what a broken link interrupted, with growing pauses, for a limited time. Knows no device."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from devices.errors import DeadlineExceeded, DeviceOffline, TransientError

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 15.0

Answer = TypeVar("Answer")


def retry(
    call: Callable[[], Answer],
    budget_s: float,
    on_wait: Callable[[TransientError, float], None] | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """Call until it does not raise `TransientError`; any other error ends it at once.

    The pauses double from 0.25 to 15 s. The call must bear being made again: nothing that it measured may be
    kept by both.

    Args:
        call: what to do.
        budget_s: no new try is made after so many seconds; the last error is raised then.
        on_wait: told of the error and of the seconds until the next try.
        clock: seconds that only grow.
        sleep: lets seconds pass.
    """
    end = clock() + budget_s
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return call()
        except TransientError as error:
            left_s = end - clock()
            if left_s <= 0:
                raise
            pause_s = min(pause_s, left_s)
            if on_wait is not None:
                on_wait(error, pause_s)
            sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


@contextmanager
def prompt(address: str) -> Iterator[None]:
    """Around commands that any device within reach answers in time: one that does not is out of reach.

    Raises:
        DeviceOffline: instead of `DeadlineExceeded`, so that it is tried again.
    """
    try:
        yield
    except DeadlineExceeded as error:
        raise DeviceOffline(f"{address} does not answer: {error}") from error
