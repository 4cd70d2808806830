"""A phone reached through the adb server of this machine. Never starts a server, never ends one.

Every stream is a connection of its own to the server, which does the rest. The server is asked with adbutils'
connection; its higher layers are not used, since they read a stream without a deadline.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from devices.adb.server_stream import ServerStream
from devices.errors import (
    BadSettings,
    DeadlineExceeded,
    DeviceNotFound,
    DeviceOffline,
    DevicesError,
    DeviceTrouble,
    LinkLost,
    Unauthorized,
)
from devices.text import one_line

PORT_VARIABLE = "ANDROID_ADB_SERVER_PORT"


@contextlib.contextmanager
def _without_port() -> Iterator[None]:
    """Hide the variable from adbutils, which reads it when imported and breaks on what is no port."""
    given = os.environ.pop(PORT_VARIABLE, None)
    try:
        yield
    finally:
        if given is not None:
            os.environ[PORT_VARIABLE] = given


with _without_port():
    from adbutils import AdbConnection as ServerRequest  # type: ignore[import-untyped] # ships no types
    from adbutils import AdbError
    from adbutils.errors import AdbTimeout  # type: ignore[import-untyped] # ships no types

DEFAULT_PORT = 5037
#: how long a server may take for an answer that needs no phone
ANSWER_S = 10.0
#: the longest request, by the protocol
_REQUEST_BYTES = 0xFFFF
_SERIAL = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_LISTED = re.compile(r"(\S+)\s+(.*?)((?:\s+[a-z_]+:\S+)*)\s*")


@dataclass(frozen=True, slots=True)
class Plugged:
    """A phone that an adb server knows.

    Attributes:
        serial: what `adb://SERIAL` takes.
        state: `device` when it can be used, else `unauthorized`, `offline` or what the server says.
        model: the maker's word for it; None when the phone has not told.
    """

    serial: str
    state: str
    model: str | None


def server_port(port: int | None = None) -> int:
    """The port of the adb server: as given, else `ANDROID_ADB_SERVER_PORT`, else 5037.

    Raises:
        BadSettings: it is not a port.
    """
    given = str(port) if port is not None else os.environ.get(PORT_VARIABLE) or str(DEFAULT_PORT)
    if not (given.isascii() and given.isdigit() and 0 < int(given) < 65536):
        where = "the port" if port is not None else PORT_VARIABLE
        raise BadSettings(f"{where} is {given!r}, not a number from 1 to 65535")
    return int(given)


def runs(port: int | None = None) -> bool:
    """Whether something listens where the adb server would.

    Raises:
        BadSettings: `ANDROID_ADB_SERVER_PORT` is not a port.
    """
    try:
        socket.create_connection(("127.0.0.1", server_port(port)), ANSWER_S).close()
    except OSError:
        return False
    return True


def usable(serial: str, port: int | None = None) -> bool:
    """Whether the adb server lists a phone as one that can be used; not where no server answers.

    Raises:
        BadSettings: `ANDROID_ADB_SERVER_PORT` is not a port.
    """
    try:
        return any((one.serial, one.state) == (serial, "device") for one in plugged_in(port))
    except DeviceTrouble:
        return False


def plugged_in(port: int | None = None) -> tuple[Plugged, ...]:
    """The phones that the adb server knows; none when no server runs.

    Raises:
        DeviceTrouble: the server does not answer properly.
        BadSettings: `ANDROID_ADB_SERVER_PORT` is not a port.
    """
    at = server_port(port)
    try:
        request = _Request(at, ANSWER_S)
    except OSError:
        return ()
    with contextlib.closing(request), _answers(f"the adb server at port {at}", ANSWER_S):
        request.ask("host:devices-l")
        lines = request.text().splitlines()
    found = filter(None, map(_LISTED.fullmatch, filter(None, map(one_line, lines))))
    return tuple(Plugged(each[1], each[2], _model(each[3])) for each in found)


def connect(serial: str, name: str, port: int | None) -> ServerConnection:
    """Reach a phone.

    Args:
        serial: as `adb devices` prints it.
        name: the phone, for messages.

    Raises:
        DeviceNotFound: there is no server, or it knows no such phone.
        DeviceOffline: the phone does not answer.
        Unauthorized: nobody has accepted the server's key on the phone's screen.
        DeviceTrouble: the server may not use the phone.
        BadSettings: this cannot be a serial, or fits several phones.
    """
    if not _SERIAL.fullmatch(serial):
        raise BadSettings(f"{serial!r} is no serial of a phone: `adb devices` prints them")
    at = server_port(port)
    try:
        request = _Request(at, ANSWER_S)
    except OSError as error:
        raise DeviceNotFound(
            f"{name} cannot be reached: no adb server listens on port {at}; start one with "
            "`adb start-server`, or name its port in ANDROID_ADB_SERVER_PORT"
        ) from error
    try:
        with contextlib.closing(request), _answers(name, ANSWER_S):
            request.ask(f"host-serial:{serial}:features")
            features = frozenset(request.text().split(","))
    except DeadlineExceeded as error:
        raise DeviceOffline(
            f"the adb server at port {at} does not answer: is it one, and is it well?"
        ) from error
    return ServerConnection(serial, name, at, features)


class ServerConnection:
    """A phone behind an adb server (see `AdbConnection`)."""

    def __init__(self, serial: str, name: str, port: int, features: frozenset[str]) -> None:
        self.features = features
        self._serial = serial
        self._name = name
        self._port = port
        self._lock = threading.Lock()
        self._streams: set[ServerStream] = set()
        self._closed = False

    @property
    def alive(self) -> bool:
        """Whether it has not been closed: the server tells of a phone's end at its next use."""
        return not self._closed

    def open(self, service: str, timeout_s: float) -> ServerStream:
        """Start a service (see `AdbConnection.open`)."""
        deadline = time.monotonic() + timeout_s
        try:
            request = _Request(self._port, timeout_s)
        except OSError as error:
            raise LinkLost(
                f"the adb server at port {self._port}, which reached {self._name}, is gone"
            ) from error
        with contextlib.ExitStack() as undo:
            undo.callback(request.close)
            with _answers(self._name, timeout_s):
                request.ask(f"host:transport:{self._serial}")
                request.conn.settimeout(max(0.001, deadline - time.monotonic()))
                request.ask(service)
            stream = ServerStream(request.conn, self._name)
            with self._lock:
                if self._closed:
                    raise LinkLost(f"the link to {self._name} was closed here")
                self._streams = {each for each in self._streams if not each.closed} | {stream}
            undo.pop_all()
        return stream

    def close(self) -> None:
        """End every stream."""
        with self._lock:
            self._closed = True
            streams, self._streams = self._streams, set()
        for stream in streams:
            stream.close()


class _Request(ServerRequest):  # type: ignore[misc] # of the same reason
    """adbutils' connection to a server, without its habit of starting one; OSError where there is none."""

    def __init__(self, port: int, timeout_s: float) -> None:
        self._port = port
        self._timeout_s = max(0.001, timeout_s)
        super().__init__("127.0.0.1", port)

    def _safe_connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), self._timeout_s)

    def ask(self, request: str) -> None:
        """Send a request and take the server's OKAY; raises AdbError with its words otherwise."""
        encoded = request.encode("utf-8", "surrogateescape")
        if len(encoded) > _REQUEST_BYTES:
            raise BadSettings(
                f"an adb server takes commands of at most {_REQUEST_BYTES} bytes, not {len(encoded)}: "
                "pass the long part on standard input"
            )
        self.conn.sendall(b"%04x" % len(encoded) + encoded)
        self.check_okay()

    def text(self) -> str:
        """The text that follows an OKAY."""
        said: str = self.read_string_block()
        return said


@contextlib.contextmanager
def _answers(name: str, timeout_s: float) -> Iterator[None]:
    """Give what goes wrong while a server is asked for a phone its name."""
    try:
        yield
    except (TimeoutError, AdbTimeout) as error:
        raise DeadlineExceeded(f"{name} did not answer within {timeout_s:.3g} s") from error
    except (OSError, ValueError) as error:
        raise LinkLost(f"the adb server broke off while it was asked for {name}") from error
    except AdbError as error:
        raise refusal(one_line(str(error)), name) from error


def refusal(said: str, name: str) -> DevicesError:
    """What an adb server means when it refuses something, by its words."""
    words = said.lower()
    if "unauthorized" in words:
        return Unauthorized(
            f"{name} is waiting for you to accept the adb server's key on its screen: unlock it, tick "
            "'always allow from this computer', and try again"
        )
    if "more than one" in words:
        return BadSettings(f"{name} fits more than one phone: name one serial in full (`adb devices -l`)")
    if "offline" in words or "authorizing" in words or "connecting" in words:
        return DeviceOffline(
            f"{name} does not answer: the adb server says {said!r}; plug it out and in again"
        )
    if "not found" in words or "no devices" in words or "no device" in words:
        return DeviceNotFound(
            f"{name} is not plugged in: the adb server says {said!r}; `adb devices` lists the phones that are"
        )
    if "permissions" in words:
        return DeviceTrouble(
            f"the adb server may not use {name}: install udev rules for Android (on Debian the package "
            "android-sdk-platform-tools-common), plug it in again, and restart the server"
        )
    if said in ("closed", "connection closed") or "unknown data" in words:
        return LinkLost(f"the link to {name} broke, or the phone does not offer this")
    return DeviceTrouble(f"the adb server refuses to use {name}: {said[:200]}")


def _model(details: str) -> str | None:
    found = re.search(r"\bmodel:(\S+)", details)
    return found[1] if found else None
