"""Android phones over adb, with or without an adb server. Importing it reaches nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from devices.adb.connection import AdbConnection
from devices.adb.transport import AdbTransport

__all__ = ["AdbTransport", "direct_tcp", "direct_usb"]


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
    name = f"adb://[{host}]:{port}" if ":" in host else f"adb://{host}:{port}"

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
