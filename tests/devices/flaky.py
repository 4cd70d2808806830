"""A transport whose link breaks at chosen calls of the main thread, with all that runs over it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from devices.errors import LinkLost
from devices.local import LocalTransport
from devices.transport import Channel, CommandResult

Answer = TypeVar("Answer")


class FlakyTransport:
    """This machine behind a link that breaks at these calls, the first call being number 0."""

    def __init__(self, breaks: Iterable[int] = ()) -> None:
        self.inner = LocalTransport()
        self.breaks = set(breaks)
        self.calls = 0
        self.thread = threading.current_thread()
        self.channels: list[FlakyChannel] = []

    def crossing(self, call: Callable[[], Answer]) -> Answer:
        """One thing that goes over the link. Half of the breaks lose the answer, the others the question."""
        if threading.current_thread() is not self.thread:
            return call()
        number = self.calls
        self.calls += 1
        if number not in self.breaks:
            return call()
        if number % 2:
            call()
        for channel in self.channels:
            channel.cut = True
            channel.inner.kill()
        self.channels = []
        raise LinkLost(f"the link broke at call {number}")

    def run(self, command: Sequence[str], stdin: bytes = b"", timeout_s: float = 60.0) -> CommandResult:
        return self.crossing(lambda: self.inner.run(command, stdin, timeout_s))

    def spawn(self, command: Sequence[str]) -> Channel:
        channel = FlakyChannel(self, self.crossing(lambda: self.inner.spawn(command)))
        self.channels.append(channel)
        return channel

    def push(self, content: bytes, path: str, timeout_s: float = 60.0) -> None:
        self.crossing(lambda: self.inner.push(content, path, timeout_s))

    def pull(self, path: str, timeout_s: float = 60.0) -> bytes:
        return self.crossing(lambda: self.inner.pull(path, timeout_s))

    def close(self) -> None:
        self.inner.close()


class FlakyChannel:
    """A process at the other end of such a link."""

    def __init__(self, link: FlakyTransport, inner: Channel) -> None:
        self.link, self.inner = link, inner
        self.cut = False

    def crossing(self, call: Callable[[], Answer]) -> Answer:
        if self.cut:
            raise LinkLost("the link broke before")
        return self.link.crossing(call)

    def write(self, data: bytes, timeout_s: float) -> None:
        self.crossing(lambda: self.inner.write(data, timeout_s))

    def read_line(self, timeout_s: float) -> bytes:
        return self.crossing(lambda: self.inner.read_line(timeout_s))

    def errors(self) -> bytes:
        return self.inner.errors()

    def wait(self, timeout_s: float) -> int:
        return self.crossing(lambda: self.inner.wait(timeout_s))

    def kill(self) -> None:
        self.inner.kill()
