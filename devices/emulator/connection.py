"""One host's connection: messages, the check of its key, and its many streams. Knows no services."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from devices.emulator import protocol
from devices.emulator.protocol import Message

#: what the socket between adbd and one of its services holds
BUFFER_BYTES = 256 * 1024


class Closed(Exception):
    """The host closed the stream, or the connection is gone."""


class Link(Protocol):
    """The wire: where faults happen."""

    def receive(self, count: int) -> bytes:
        """Exactly so many bytes.

        Raises:
            Closed, OSError: the connection broke.
        """

    def send(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            Closed, OSError: the connection broke.
        """

    def carried_message(self) -> None:
        """A message has gone over it.

        Raises:
            Closed: it is cut.
        """

    def cut(self) -> None:
        """Break it."""

    def close(self) -> None:
        """Break it and let go of it."""


class Gatekeeper(Protocol):
    """What the phone decides about hosts."""

    @property
    def asks(self) -> bool:
        """Whether a host must show a key that the phone knows."""

    def knows(self, token: bytes, signature: bytes) -> bool:
        """Whether a key that the phone knows signed this token."""

    def prompt(self, key: str, granted: Callable[[], None]) -> None:
        """Ask whoever holds the phone about a host's key; call `granted` once it is accepted."""


class Connection:
    """The device side of one connection.

    Args:
        link: the wire.
        gatekeeper: decides who may come in.
        banner: what the phone says of itself.
        serve: runs a service in a thread of its own; returns when it has ended.
    """

    def __init__(
        self,
        link: Link,
        gatekeeper: Gatekeeper,
        banner: bytes,
        serve: Callable[[Stream, str], None],
    ) -> None:
        self._link = link
        self._gatekeeper = gatekeeper
        self._banner = banner
        self._serve = serve
        self._sending = threading.Lock()
        self._streams: dict[int, Stream] = {}
        self._number = 0
        self._version = protocol.VERSION_WITH_CHECKSUMS
        self._token: bytes | None = None
        self._online = False
        self.max_payload_bytes = 4096

    def run(self) -> None:
        """Serve the host until the connection ends."""
        try:
            while True:
                self._handle(self._receive())
        except (Closed, OSError, protocol.ProtocolError):
            pass
        finally:
            self._link.close()
            for stream in list(self._streams.values()):
                stream.hang_up()

    def abort(self) -> None:
        """Break the connection."""
        self._link.cut()

    def send(self, message: Message) -> None:
        """Send a message; several threads may.

        Raises:
            Closed, OSError: the connection broke.
        """
        checked = self._version < protocol.VERSION or not self._online
        with self._sending:
            self._link.send(message.packed(checked))
            self._link.carried_message()

    def forget(self, stream: Stream) -> bool:
        """Let go of a stream; whether it was still there."""
        return self._streams.pop(stream.local, None) is not None

    def _receive(self) -> Message:
        message, length, check = protocol.parse_header(self._link.receive(protocol.HEADER.size))
        payload = self._link.receive(length) if length else b""
        if self._version < protocol.VERSION and self._online and protocol.checksum(payload) != check:
            raise protocol.ProtocolError("bad checksum")
        self._link.carried_message()
        return replace(message, payload=payload)

    def _handle(self, message: Message) -> None:
        if message.command == protocol.CNXN:
            self._version = min(message.first, protocol.VERSION)
            self.max_payload_bytes = min(message.second, protocol.MAX_PAYLOAD_BYTES)
            if self._gatekeeper.asks:
                self._challenge()
            else:
                self._welcome()
        elif message.command == protocol.AUTH:
            self._authenticate(message)
        elif not self._online:
            raise protocol.ProtocolError("not connected yet")
        elif message.command == protocol.OPEN:
            self._open(message)
        elif (stream := self._streams.get(message.second)) is None:
            if message.command == protocol.WRTE:
                self.send(Message(protocol.CLSE, 0, message.first))
        elif message.command == protocol.WRTE:
            stream.deliver(message.payload)
        elif message.command == protocol.OKAY:
            stream.acknowledged()
        elif message.command == protocol.CLSE:
            # adbd answers a CLSE with a CLSE; some clients wait for it
            self._streams.pop(stream.local, None)
            stream.hang_up()
            self.send(Message(protocol.CLSE, stream.local, stream.remote))

    def _challenge(self) -> None:
        self._token = secrets.token_bytes(protocol.TOKEN_BYTES)
        self.send(Message(protocol.AUTH, protocol.TOKEN, 0, self._token))

    def _authenticate(self, message: Message) -> None:
        if self._token is None:
            raise protocol.ProtocolError("AUTH before CNXN")
        if message.first == protocol.SIGNATURE:
            if self._gatekeeper.knows(self._token, message.payload):
                self._welcome()
            else:
                self._challenge()
        elif message.first == protocol.PUBLIC_KEY:
            self._gatekeeper.prompt(message.payload.rstrip(b"\0").decode(errors="replace"), self._granted)

    def _granted(self) -> None:
        with contextlib.suppress(Closed, OSError):
            self._welcome()

    def _welcome(self) -> None:
        self.send(Message(protocol.CNXN, protocol.VERSION, protocol.MAX_PAYLOAD_BYTES, self._banner))
        self._online = True

    def _open(self, message: Message) -> None:
        self._number += 1
        stream = Stream(self, self._number, message.first)
        self._streams[stream.local] = stream
        service = message.payload.rstrip(b"\0").decode(errors="surrogateescape")
        threading.Thread(target=self._serve, args=(stream, service), daemon=True).start()


class Stream:
    """One stream of a connection, seen from the service at the phone's end of it."""

    def __init__(self, connection: Connection, local: int, remote: int) -> None:
        self.local, self.remote = local, remote
        self._connection = connection
        self._changed = threading.Condition()
        self._received = bytearray()
        self._owed = False
        self._may_write = True
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the host is gone."""
        return self._closed

    def accept(self) -> None:
        """Tell the host that its service has begun."""
        self._connection.send(Message(protocol.OKAY, self.local, self.remote))

    def refuse(self) -> None:
        """Tell the host that there is no such service."""
        self._connection.forget(self)
        self._connection.send(Message(protocol.CLSE, 0, self.remote))

    def close(self) -> None:
        """Tell the host that its service has ended."""
        if self._connection.forget(self):
            self._connection.send(Message(protocol.CLSE, self.local, self.remote))

    def write(self, data: bytes) -> None:
        """Send to the host, as fast as it takes it.

        Raises:
            Closed, OSError: the host is gone.
        """
        most = self._connection.max_payload_bytes
        for start in range(0, len(data), most):
            with self._changed:
                self._changed.wait_for(lambda: self._may_write or self._closed)
                if self._closed:
                    raise Closed
                self._may_write = False
            part = data[start : start + most]
            self._connection.send(Message(protocol.WRTE, self.local, self.remote, part))

    def read(self, count: int) -> bytes:
        """Exactly so many bytes from the host.

        Raises:
            Closed, OSError: the host is gone before.
        """
        parts = bytearray()
        while len(parts) < count:
            part = self.read_some(count - len(parts))
            if not part:
                raise Closed
            parts += part
        return bytes(parts)

    def read_some(self, most: int) -> bytes:
        """What there is, at most so many bytes; empty once the host is gone."""
        with self._changed:
            self._changed.wait_for(lambda: self._received or self._closed)
            data = bytes(self._received[:most])
            del self._received[:most]
            taken = self._owed and len(self._received) <= BUFFER_BYTES and not self._closed
            self._owed = self._owed and not taken
        if taken:
            self._acknowledge()
        return data

    def deliver(self, data: bytes) -> None:
        """The host has sent something.

        It is acknowledged at once, before the service sees it, unless more waits than the socket between adbd
        and its service would hold: then when the service has taken enough.
        """
        with self._changed:
            self._owed = len(self._received) + len(data) > BUFFER_BYTES
        if not self._owed:
            self._acknowledge()
        with self._changed:
            self._received += data
            self._changed.notify_all()

    def _acknowledge(self) -> None:
        self._connection.send(Message(protocol.OKAY, self.local, self.remote))

    def acknowledged(self) -> None:
        """The host has taken what was sent last."""
        with self._changed:
            self._may_write = True
            self._changed.notify_all()

    def hang_up(self) -> None:
        """The host is gone."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
