"""Named services of a phone that was reached, each a stream. Knows no way of reaching it."""

from __future__ import annotations

from typing import Protocol


class AdbStream(Protocol):
    """One service in use: bytes in both directions. One thread may send while another receives."""

    def send(self, data: bytes | memoryview, timeout_s: float) -> None:
        """Send bytes. A service that has ended takes them silently: `recv` tells.

        The bytes must not change until the service has answered.

        Raises:
            DeadlineExceeded: the service took no more; how much it took is unknown.
            LinkLost: the link broke.
        """

    def recv(self, timeout_s: float) -> bytes:
        """The next bytes, as many as came at once; empty when the service has ended or the stream was closed.

        Raises:
            DeadlineExceeded: nothing came.
            LinkLost: the link broke.
        """

    def close(self) -> None:
        """End the service and wake whoever sends or receives. May be called twice."""


class AdbConnection(Protocol):
    """A phone that was reached. Any number of threads may use it at once."""

    @property
    def features(self) -> frozenset[str]:
        """What the phone's adb daemon can do, for example `shell_v2`."""

    @property
    def alive(self) -> bool:
        """Whether nothing is known to have broken it."""

    def open(self, service: str, timeout_s: float) -> AdbStream:
        """Start a service, for example `sync:`.

        Raises:
            DeadlineExceeded: the phone did not answer.
            LinkLost: the link broke.
            DeviceTrouble: the phone does not offer it.
        """

    def close(self) -> None:
        """Let go of the phone: every stream ends. May be called twice."""
