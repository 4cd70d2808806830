"""Android phones over adb, with or without an adb server. Importing it reaches nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from devices.adb.connection import AdbConnection
from devices.adb.transport import AdbTransport

if TYPE_CHECKING:
    from devices.adb.server import Plugged

__all__ = [
    "AdbTransport",
    "by_cable",
    "by_network",
    "direct_tcp",
    "direct_usb",
    "plugged_in",
    "through_server",
]


def direct_tcp(
    host: str,
    port: int,
    keys: Sequence[Path] | None = None,
    on_wait: Callable[[str], None] | None = None,
    tag: str | None = None,
) -> AdbTransport:
    """A phone that listens on a port, reached without an adb server.

    Args:
        host: a name or an address; IPv6 without brackets.
        keys: private keys to try; `~/.android/adbkey` if None, made if absent.
        on_wait: told when somebody has to accept the key on the phone's screen. None: nobody is there to do
            it, and a phone that knows none of the keys raises `KeyRefused` at once.
        tag: of its processes (see `AdbTransport`).
    """
    name = f"adb://{_serial(host, port)}"

    def connect() -> AdbConnection:
        from devices.adb.direct import connect_tcp

        return connect_tcp(host, port, name, keys, on_wait)

    return AdbTransport(connect, name, tag)


def direct_usb(
    serial: str,
    keys: Sequence[Path] | None = None,
    on_wait: Callable[[str], None] | None = None,
    tag: str | None = None,
) -> AdbTransport:
    """A phone on a USB port, reached without an adb server; needs the extra `usb` (see `direct_tcp`)."""
    name = f"adb://{serial}"

    def connect() -> AdbConnection:
        from devices.adb.direct import connect_usb

        return connect_usb(serial, name, keys, on_wait)

    return AdbTransport(connect, name, tag)


def through_server(serial: str, port: int | None = None, tag: str | None = None) -> AdbTransport:
    """A phone that the adb server of this machine knows. The server is never started or ended here.

    Args:
        serial: as `adb devices` prints it.
        port: of the server; `ANDROID_ADB_SERVER_PORT` or 5037 if None.
        tag: of its processes (see `AdbTransport`).
    """
    name = f"adb://{serial}"

    def connect() -> AdbConnection:
        from devices.adb.server import connect as connect_through

        return connect_through(serial, name, port)

    return AdbTransport(connect, name, tag)


def by_cable(
    serial: str,
    keys: Sequence[Path] | None = None,
    on_wait: Callable[[str], None] | None = None,
    port: int | None = None,
    tag: str | None = None,
) -> AdbTransport:
    """A phone on a cable: through the adb server where one runs, else by USB without one.

    Which of them is decided anew whenever it connects (see `through_server` and `direct_usb`).
    """
    name = f"adb://{serial}"
    served = False  # an adb server had it before, and may be starting anew

    def connect() -> AdbConnection:
        from devices.adb import server
        from devices.adb.direct import connect_usb, has_usb

        nonlocal served
        if server.runs(port) or (served and not has_usb()):
            connection = server.connect(serial, name, port)
            served = True
            return connection
        return connect_usb(serial, name, keys, on_wait)

    return AdbTransport(connect, name, tag)


def by_network(
    host: str,
    port: int,
    keys: Sequence[Path] | None = None,
    on_wait: Callable[[str], None] | None = None,
    *,
    server_port: int | None = None,
    tag: str | None = None,
) -> AdbTransport:
    """A phone that listens on a port: through the adb server where one has it, else without one.

    Which of them is decided anew whenever it connects (see `through_server` and `direct_tcp`). A server has
    what `adb connect HOST:PORT` reached, phones with wireless debugging among them.
    """
    serial = _serial(host, port)
    name = f"adb://{serial}"

    def connect() -> AdbConnection:
        from devices.adb import server

        if server.usable(serial, server_port):
            return server.connect(serial, name, server_port)
        from devices.adb.direct import connect_tcp

        return connect_tcp(host, port, name, keys, on_wait)

    return AdbTransport(connect, name, tag)


def plugged_in(port: int | None = None) -> tuple[Plugged, ...]:
    """The phones that the adb server of this machine knows, each with its state; none when no server runs.

    Args:
        port: of the server; `ANDROID_ADB_SERVER_PORT` or 5037 if None.
    """
    from devices.adb.server import plugged_in as listed

    return listed(port)


def _serial(host: str, port: int) -> str:
    """What an adb server calls a phone that listens on the network."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
