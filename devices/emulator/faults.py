"""What can go wrong with an emulated phone, and the count that says when. Does not know how it is done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

#: every kind of fault, with what it does
KINDS = {
    "unplug": "connections break, nothing answers at the port, for the given time",
    "freeze": "nothing is read from the link nor written to it, for the given time",
    "reboot": "processes end, connections break, the phone is back with another boot id after the given time",
    "key_revoked": "connections break, and no key is known, for the given time",
    "disk_full": "nothing more can be written, for the given time",
    "slow_link": "the link carries 64 KiB a second, for the given time",
    "corrupt": "one byte of the next file content transferred is another one",
    "heat": "the phone is hot (95 degrees at the processor), for the given time",
    "runner_crash": "the next run of benchmark_model ends with a segmentation fault",
    "runner_garbage": "the next run of benchmark_model prints bytes that mean nothing",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: what happens, and when.

    Attributes:
        kind: one of `KINDS`.
        after_bytes: happens when the link has carried this many further bytes, both directions together.
        after_messages: happens when the link has carried this many further messages of the ADB protocol.
            With neither it happens at once. What another thread has on its way at that moment still goes.
        seconds: how long it lasts, for the kinds that last.
    """

    kind: str
    after_bytes: int | None = None
    after_messages: int | None = None
    seconds: float = 2.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"there is no fault {self.kind!r}; there are {', '.join(KINDS)}")
        if self.after_bytes is not None and self.after_messages is not None:
            raise ValueError("a fault waits for bytes or for messages, not for both")
        if min(self.after_bytes or 0, self.after_messages or 0, self.seconds) < 0:
            raise ValueError("a fault's bytes, messages and seconds are not negative")


class Schedule:
    """Counts what the link carries and tells when a fault is due.

    Args:
        act: makes a fault happen; called by the thread whose byte or message it was.
    """

    def __init__(self, act: Callable[[Fault], None]) -> None:
        self._act = act
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, str, Fault]] = []
        self._carried = {"bytes": 0, "messages": 0}
        self._fired: list[str] = []

    def add(self, fault: Fault) -> None:
        """Let a fault happen when it is due."""
        unit = "messages" if fault.after_messages is not None else "bytes"
        after = fault.after_messages if unit == "messages" else fault.after_bytes
        with self._lock:
            self._waiting.append((self._carried[unit] + (after or 0), unit, fault))
        self._fire()

    def carried(self) -> tuple[int, int]:
        """Bytes and messages that the link has carried so far."""
        return self._carried["bytes"], self._carried["messages"]

    def fired(self) -> list[str]:
        """The kinds of the faults that have happened, in order."""
        return list(self._fired)

    def room(self, most: int) -> int:
        """How many bytes, at most `most`, may be carried before the next fault is due."""
        with self._lock:
            due = [at - self._carried["bytes"] for at, unit, _ in self._waiting if unit == "bytes"]
        return max(1, min([most, *due]))

    def count(self, unit: str, number: int) -> None:
        """The link has carried so many bytes or messages more."""
        with self._lock:
            self._carried[unit] += number
            waiting = bool(self._waiting)
        if waiting:
            self._fire()

    def _fire(self) -> None:
        with self._lock:
            due = [each for each in self._waiting if self._carried[each[1]] >= each[0]]
            self._waiting = [each for each in self._waiting if each not in due]
            self._fired += [fault.kind for _, _, fault in due]
        for _, _, fault in due:
            self._act(fault)
