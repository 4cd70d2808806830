"""The wire between a host and the phone, and what can happen to it. Knows no messages."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from devices.emulator.connection import Closed
from devices.emulator.faults import Schedule

SLOW_BYTES_PER_S = 64 * 1024
_SLOW_PART_BYTES = 4096
_PART_BYTES = 1 << 18


class Weather:
    """How every wire of the phone is just now: frozen, slow, or well."""

    def __init__(self) -> None:
        self._frozen_until = 0.0
        self._slow_until = 0.0
        self._changed = threading.Condition()

    def freeze(self, seconds: float) -> None:
        """Nothing goes over the wires for so long; 0 ends it."""
        with self._changed:
            self._frozen_until = time.monotonic() + seconds
            self._changed.notify_all()

    def slow(self, seconds: float) -> None:
        """The wires are slow for so long."""
        self._slow_until = time.monotonic() + seconds

    def hold(self) -> None:
        """Return when something may go over the wire."""
        with self._changed:
            while (left := self._frozen_until - time.monotonic()) > 0:
                self._changed.wait(min(left, threading.TIMEOUT_MAX))

    def part_bytes(self) -> int:
        """How much may go over the wire in one piece."""
        return _SLOW_PART_BYTES if time.monotonic() < self._slow_until else _PART_BYTES

    def pace(self, count: int) -> None:
        """So many bytes went over the wire: take the time that it takes."""
        if time.monotonic() < self._slow_until:
            time.sleep(count / SLOW_BYTES_PER_S)


class Wire:
    """One connection's bytes (see `connection.Link`), counted for the faults that wait for them."""

    def __init__(self, sock: socket.socket, weather: Weather, schedule: Schedule) -> None:
        self._sock = sock
        self._weather = weather
        self._schedule = schedule
        self._is_cut = False

    def receive(self, count: int) -> bytes:
        """Exactly so many bytes."""
        received = bytearray()
        while len(received) < count:
            self._pass()
            most = min(count - len(received), self._weather.part_bytes())
            part = self._sock.recv(self._schedule.room(most))
            if not part:
                raise Closed
            self._pass()
            received += part
            self._carried(len(part))
        return bytes(received)

    def send(self, data: bytes) -> None:
        """Send all of it."""
        rest = memoryview(data)
        while rest:
            self._pass()
            most = min(len(rest), self._weather.part_bytes())
            sent = self._sock.send(rest[: self._schedule.room(most)])
            rest = rest[sent:]
            self._carried(sent)

    def carried_message(self) -> None:
        """A message has gone over it."""
        if self._is_cut:
            raise Closed
        self._schedule.count("messages", 1)

    def cut(self) -> None:
        """Nothing more goes over it, neither what has arrived but was not received yet."""
        self._is_cut = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of it."""
        self.cut()
        self._sock.close()

    def _pass(self) -> None:
        self._weather.hold()
        if self._is_cut:
            raise Closed

    def _carried(self, count: int) -> None:
        self._schedule.count("bytes", count)
        self._weather.pace(count)
