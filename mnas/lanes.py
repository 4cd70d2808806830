"""Jobs on several devices side by side, a thread for each. Knows nothing of what they do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

Result = TypeVar("Result")

#: how often a lane is asked whether it still runs, so that Ctrl-C is heard
_POLL_S = 0.2


def side_by_side(lanes: Sequence[tuple[str, Callable[[threading.Event], Result]]]) -> list[Result]:
    """Do the work of every lane at once; the results in the order of the lanes.

    A single lane runs in the caller's thread, where Ctrl-C reaches it at once.

    Args:
        lanes: a name and the work, which is given an event: once that is set, the user has ended the job, and
            the work files what is being measured and raises KeyboardInterrupt.

    Raises:
        KeyboardInterrupt: once every lane has filed what it was measuring.
        BaseException: what a lane raised, once all have ended; of several, the first lane's.
    """
    if len(lanes) == 1:
        return [lanes[0][1](threading.Event())]
    stop = threading.Event()
    results: dict[int, Result] = {}
    raised: dict[int, BaseException] = {}
    ended = [threading.Event() for _ in lanes]  # not Thread.join, which Ctrl-C may leave in disorder

    def work(number: int) -> None:
        try:
            results[number] = lanes[number][1](stop)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            raised[number] = error
        finally:
            ended[number].set()

    started = 0
    try:
        for number, (name, _) in enumerate(lanes):
            started += 1
            threading.Thread(target=work, args=(number,), name=name, daemon=True).start()
        for one in ended:
            while not one.wait(_POLL_S):
                pass
    except KeyboardInterrupt:
        stop.set()
        for one in ended[:started]:  # what is being measured is filed first; a second Ctrl-C does not wait
            one.wait()
        raise
    if raised:
        raise raised[min(raised)]
    return [results[number] for number in range(len(lanes))]
