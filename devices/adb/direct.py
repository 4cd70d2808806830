"""A phone reached without an adb server: the links, over TCP or USB. Knows nothing of the protocol on them.

The links and the keys are adb-shell's. Its `AdbDevice` is not used: one call at a time, no exit codes, and
one error for a wrong key, a silent phone and a dead link.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adb_shell.transport.tcp_transport import TcpTransport

from devices.adb.handshake import OnWait, shake_hands
from devices.adb.keys import default_key, signers
from devices.adb.multiplexer import Multiplexer
from devices.errors import DeviceNotFound, DeviceOffline, DeviceTrouble

#: how long a phone may take to be reached
CONNECT_S = 10.0


def connect_tcp(
    host: str, port: int, name: str, keys: Sequence[Path] | None, on_wait: OnWait | None
) -> Multiplexer:
    """Connect to a phone that listens on a port.

    Args:
        host: a name or an address, IPv6 without brackets.
        name: the phone, for messages.
        keys: see `devices.adb.keys.signers`.
        on_wait: told that somebody has to accept the key on the phone's screen. None: nobody is there to do
            it, and a phone that knows none of the keys is not asked.

    Raises:
        DeviceNotFound: nothing listens there.
        DeviceOffline: something does, and does not answer.
        Unauthorized: nobody accepted the key.
        KeyRefused: the phone knows none of the keys.
        LinkLost: the link broke during the handshake.
        DeviceTrouble: it speaks another protocol.
        BadSettings: a key cannot be used.
    """
    mine = signers(keys)
    link = TcpLink(host, port)
    try:
        link.connect(CONNECT_S)
    except OSError as error:
        raise DeviceNotFound(
            f"nothing answers at {name}: {_reason(error)}; is the phone on, in this network and listening "
            "(`adb tcpip 5555` over USB first)?"
        ) from error
    return shake_hands(link, name, mine, _names(keys), on_wait)


def connect_usb(serial: str, name: str, keys: Sequence[Path] | None, on_wait: OnWait | None) -> Multiplexer:
    """Connect to a phone on a USB port of this machine (see `connect_tcp`).

    Raises:
        DeviceNotFound: it is on no USB port.
        DeviceTrouble: the library for USB is not installed, an adb server owns the phone, or this user may
            not use it.
    """
    mine = signers(keys)
    link = _open_usb(serial, name)
    return shake_hands(link, name, mine, _names(keys), on_wait)


class TcpLink(TcpTransport):  # type: ignore[misc] # adb-shell ships no types
    """adb-shell's connection with its whole messages sent at once, and without Nagle's delay (see `Link`)."""

    may_hold_old = False

    def connect(self, transport_timeout_s: float) -> None:
        """Connect; raises OSError."""
        super().connect(transport_timeout_s)
        link: socket.socket = self._connection
        link.setblocking(True)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # a cable pulled while nothing is sent shows within half a minute
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, option):
                link.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def read(self, count: int, timeout_s: float | None) -> bytes:
        """Exactly so many bytes (see `Link.read`)."""
        link: socket.socket = self._connection
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        data = bytearray(count)
        view = memoryview(data)
        while view:
            if deadline is not None:
                poll = select.poll()
                poll.register(link, select.POLLIN)
                if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    raise TimeoutError("no answer in time")
            got = link.recv_into(view)
            if not got:
                raise EOFError
            view = view[got:]
        return bytes(data)

    def write(self, header: bytes, payload: bytes | memoryview) -> None:
        """All of a message (see `Link.write`)."""
        link: socket.socket = self._connection
        sent = link.sendmsg([header, payload]) if payload else link.send(header)
        if sent < len(header):
            link.sendall(header[sent:])
            sent = len(header)
        if sent < len(header) + len(payload):
            link.sendall(memoryview(payload)[sent - len(header) :])

    def interrupt(self) -> None:
        """Make it fail in every thread (see `Link.interrupt`)."""
        self._connection.shutdown(socket.SHUT_RDWR)


class UsbLink:
    """adb-shell's USB transport as a `Link`."""

    may_hold_old = True
    #: how long a read may be deaf to `interrupt`
    SLICE_S = 0.5
    #: how long a phone may take to accept one message
    WRITE_S = 30.0

    def __init__(self, usb: Any) -> None:
        self._usb = usb
        self._interrupted = threading.Event()

    def read(self, count: int, timeout_s: float | None) -> bytes:
        """Exactly so many bytes (see `Link.read`)."""
        from adb_shell.exceptions import UsbReadFailedError

        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        data = bytearray()
        while len(data) < count:
            if self._interrupted.is_set():
                raise EOFError
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError("no answer in time")
            try:
                data += self._usb.bulk_read(count - len(data), self.SLICE_S)
            except UsbReadFailedError as error:
                cause = error.usb_error
                if type(cause).__name__ != "USBErrorTimeout":
                    raise ConnectionError(f"USB: {cause}") from error
                data += getattr(cause, "received", b"")
        return bytes(data)

    def write(self, header: bytes, payload: bytes | memoryview) -> None:
        """All of a message (see `Link.write`); a phone wants header and payload as two transfers."""
        from adb_shell.exceptions import UsbWriteFailedError

        for part in (header, payload):
            try:
                if part and self._usb.bulk_write(bytes(part), self.WRITE_S) != len(part):
                    raise ConnectionError("USB: a transfer was cut short")
            except UsbWriteFailedError as error:
                raise ConnectionError(f"USB: {error.usb_error}") from error

    def interrupt(self) -> None:
        """Make it fail in every thread (see `Link.interrupt`)."""
        self._interrupted.set()

    def close(self) -> None:
        """Let go of the phone."""
        self._usb.close()


def has_usb() -> bool:
    """Whether the library for USB is installed."""
    try:
        import adb_shell.transport.usb_transport  # noqa: F401 # it is only tried
    except ImportError:
        return False
    return True


def _open_usb(serial: str, name: str) -> UsbLink:
    try:
        from adb_shell.transport.usb_transport import UsbTransport
    except ImportError as error:
        raise DeviceTrouble(
            f"{name} cannot be looked for: no adb server runs and USB support is not installed; start one "
            "with `adb start-server`, or pip install '.[usb]' to do without"
        ) from error
    try:
        usb = UsbTransport.find_adb(serial=serial)
        usb.connect(CONNECT_S)
    except Exception as error:  # libusb's, which cannot be named where it is not installed
        raise _usb_error(error, name) from error
    return UsbLink(usb)


def _usb_error(error: Exception, name: str) -> DeviceTrouble:
    kind = type(error).__name__
    if kind == "UsbDeviceNotFoundError":
        return DeviceNotFound(f"{name} is on no USB port of this machine: is USB debugging on, the cable in?")
    if kind == "USBErrorBusy":
        return DeviceTrouble(
            f"an adb server owns {name}: use the server back end (the default where a server runs), "
            "or end the server with `adb kill-server`"
        )
    if kind == "USBErrorAccess":
        return DeviceTrouble(
            f"this user may not use {name}: install udev rules for Android (on Debian the package "
            "android-sdk-platform-tools-common) and be in the group plugdev"
        )
    return DeviceOffline(f"{name} does not answer on USB: {kind}: {error}")


def _names(keys: Sequence[Path] | None) -> str:
    return ", ".join(map(str, [default_key()] if keys is None else keys))


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
