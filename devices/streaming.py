"""How results are taken from a device so that none is lost when a job ends. Keeps and measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

Result = TypeVar("Result")


def drain(
    stream: Iterator[Result],
    file: Callable[[Result], None],
    stop: Callable[[], bool] | None = None,
) -> bool:
    """File a device's results as they come; when it is to stop, also what the device still holds.

    Args:
        stream: of `Device.stream`.
        file: told every result, once.
        stop: asked after each result; once it says yes, nothing more is measured.

    Returns:
        Whether the stream came to its end: False where `stop` ended it.

    Raises:
        KeyboardInterrupt: the user ended the job, and what was held has been filed.
    """
    try:
        for outcome in stream:
            file(outcome)
            if stop is not None and stop():
                for held in _held(stream):
                    file(held)
                return False
    except KeyboardInterrupt:
        for held in _held(stream):
            file(held)
        raise
    except BaseException:  # the device's own trouble, or what cannot be filed: then nobody takes the rest
        for _ in _held(stream):
            pass
        raise
    return True


def _held(stream: Iterator[Result]) -> Iterator[Result]:
    """What a device gives when it is told, in the middle of its stream, that the job is ended."""
    throw = getattr(stream, "throw", None)
    if throw is None:
        return
    try:
        yield throw(KeyboardInterrupt())
        yield from stream
    except (KeyboardInterrupt, StopIteration):
        return
