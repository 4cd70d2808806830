"""The other end of an adb link, played by a test."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from devices.adb.direct import TcpLink
from devices.adb.messages import CNXN, WITHOUT_CHECKSUMS, Message, header, read_message

BANNER = b"device::ro.product.name=scripted;features=shell_v2,cmd"


@dataclass
class Peer:
    """A phone's end of a link: reads and writes single messages."""

    link: TcpLink
    checksums: bool = False

    def get(self, timeout_s: float = 10.0) -> Message:
        return read_message(self.link, timeout_s, self.checksums)

    def put(self, command: int, first: int, second: int, payload: bytes = b"") -> None:
        self.link.write(header(command, first, second, payload, self.checksums), payload)

    def greet(
        self, banner: bytes = BANNER, max_payload: int = 1 << 20, version: int = WITHOUT_CHECKSUMS
    ) -> None:
        """Let the host in."""
        assert self.get().command == CNXN
        self.put(CNXN, version, max_payload, banner)
        self.checksums = version < WITHOUT_CHECKSUMS


def accepted(connection: socket.socket) -> Peer:
    link = TcpLink("", 0)
    link._connection = connection
    return Peer(link)


@contextlib.contextmanager
def link_pair() -> Iterator[tuple[TcpLink, Peer]]:
    """Both ends of a link over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = TcpLink(*server.getsockname())
        link.connect(5.0)
        peer = accepted(server.accept()[0])
    with contextlib.closing(link), contextlib.closing(peer.link):
        yield link, peer


@contextlib.contextmanager
def listening(play: Callable[[Peer], None]) -> Iterator[int]:
    """A port at which every connection is handed to a function, in a thread; it is hung up at its end."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                peers.append(peer := accepted(connection))
                thread = threading.Thread(target=run, args=(peer,))
                threads.append(thread)
                thread.start()

    def run(peer: Peer) -> None:
        with contextlib.suppress(OSError, EOFError):
            play(peer)
        peer.link.close()

    peers: list[Peer] = []
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        acceptor = threading.Thread(target=serve)
        acceptor.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            acceptor.join(10)
            for peer in peers:
                with contextlib.suppress(OSError, AttributeError):
                    peer.link.interrupt()
            for thread in threads:
                thread.join(10)
