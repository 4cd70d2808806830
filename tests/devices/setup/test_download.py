"""A file comes whole or not at all, whatever the server does. The server is on loopback."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import BadSettings, RuntimeMissing
from devices.setup import download
from devices.setup.download import fetch

CONTENT = os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves a file in the way that a test wants.

    Attributes:
        cuts: after how many bytes the next answers break off.
        tag: what it calls this version of the file; None: nothing.
        ranges: whether it gives parts of a file.
        headers: what it says besides, or instead.
        status: of the next answers, 200 when there is none.
        requests: the Range of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.cuts: list[int] = []
        self.tag: str | None = '"one"'
        self.ranges = True
        self.headers: dict[str, str | None] = {}
        self.status: list[int] = []
        self.silence_s = 0.0
        self.requests: list[str | None] = []
        self.on_request: Callable[[], None] = lambda: None
        threading.Thread(target=partial(self.serve_forever, 0.01), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/2.2.0/android_arm64/benchmark_model"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers["Range"]
        server.requests.append(wanted)
        server.on_request()
        begin = 0
        status = server.status.pop(0) if server.status else 200
        if wanted and server.ranges and status == 200 and self.headers["If-Range"] == server.tag:
            begin, status = int(wanted.removeprefix("bytes=").removesuffix("-")), 206
        content = server.content[begin:]
        headers = {"Content-Length": str(len(content)), "ETag": server.tag}
        if status == 206:
            headers["Content-Range"] = f"bytes {begin}-{len(server.content) - 1}/{len(server.content)}"
        self.send_response(status)
        for name, value in {**headers, **server.headers}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        time.sleep(server.silence_s)
        self.wfile.write(content[: server.cuts.pop(0)] if server.cuts else content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module", autouse=True)
def directly() -> Iterator[None]:
    """Through no proxy."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.lower().endswith("_proxy"):
                patch.delenv(name)
        yield


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "benchmark_model"


quickly = partial(fetch, pause_s=0.0, silence_s=2.0)


def refused(target: Path) -> None:
    """Nothing of a file that was not accepted is left."""
    assert list(target.parent.iterdir()) == []


def test_a_good_file(server: Server, target: Path) -> None:
    told: list[tuple[int, int]] = []
    assert quickly(server.url, target, SHA256, lambda *sizes: told.append(sizes)) == SHA256
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert server.requests == [None]


def test_a_file_that_nobody_knows_yet(server: Server, target: Path) -> None:
    assert quickly(server.url, target) == SHA256


def test_a_wrong_hash(server: Server, target: Path) -> None:
    with pytest.raises(RuntimeMissing, match=rf"has the SHA-256 {SHA256}, but must have {'0' * 64}"):
        quickly(server.url, target, "0" * 64)
    refused(target)


def test_a_file_in_place_survives_a_failure(server: Server, target: Path) -> None:
    target.write_bytes(b"old")
    server.status = [404]
    with pytest.raises(RuntimeMissing, match="the server says 404"):
        quickly(server.url, target)
    assert target.read_bytes() == b"old"


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(0, len(CONTENT) - 1), max_size=4), ranges=st.booleans(), tag=st.booleans())
def test_a_transfer_that_breaks_off(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], ranges: bool, tag: bool
) -> None:
    server = Server()
    server.cuts, server.ranges, server.tag = list(cuts), ranges, '"one"' if tag else None
    target = tmp_path_factory.mktemp("download") / "file"
    assert quickly(server.url, target, SHA256) == SHA256
    assert target.read_bytes() == CONTENT
    server.shutdown()
    server.server_close()


def test_it_goes_on_where_it_broke(server: Server, target: Path) -> None:
    server.cuts = [100_000, 50_000]
    quickly(server.url, target)
    assert server.requests == [None, "bytes=100000-", "bytes=150000-"]
    assert target.read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_begins_anew(server: Server, target: Path) -> None:
    other = os.urandom(200_000)

    def change() -> None:
        if len(server.requests) == 2:
            server.content, server.tag = other, '"two"'

    server.cuts, server.on_request = [100_000], change
    quickly(server.url, target)
    assert target.read_bytes() == other


def test_a_transfer_that_always_breaks_off(server: Server, target: Path) -> None:
    server.cuts = [1000] * 50
    with pytest.raises(
        RuntimeMissing, match=r"cannot be had \(5000 bytes came\): it broke off after 5000 of"
    ):
        quickly(server.url, target, SHA256)
    refused(target)


def test_a_length_that_nobody_tells(server: Server, target: Path) -> None:
    server.headers = {"Content-Length": None}
    with pytest.raises(RuntimeMissing, match="does not tell its length"):
        quickly(server.url, target)
    refused(target)


def test_a_file_that_is_too_large(server: Server, target: Path) -> None:
    server.headers = {"Content-Length": str(10**12)}
    with pytest.raises(RuntimeMissing, match="larger than"):
        quickly(server.url, target)
    refused(target)


def test_a_server_in_trouble_is_asked_again(server: Server, target: Path) -> None:
    server.status = [503, 500]
    assert quickly(server.url, target) == SHA256
    server.status = [503] * 10
    with pytest.raises(RuntimeMissing, match="the server says 503"):
        quickly(server.url, target)


def test_a_silent_server(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    server.silence_s = 3.0
    with pytest.raises(RuntimeMissing, match="timed out"):
        quickly(server.url, target, silence_s=0.2)
    refused(target)


def test_no_network(target: Path, server: Server) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/file"
        with pytest.raises(RuntimeMissing, match="refused"):
            quickly(url, target)
    refused(target)


@pytest.mark.parametrize(
    "url", ["http://example.org/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "benchmark_model", ""]
)
def test_addresses_that_are_not_fetched_from(url: str, target: Path) -> None:
    with pytest.raises(BadSettings, match="https://"):
        fetch(url, target)


def test_it_is_not_led_to_an_unsafe_address(server: Server, target: Path) -> None:
    server.status, server.headers = [302], {"Location": "http://example.org/x"}
    with pytest.raises(BadSettings, match=re.escape("'http://example.org/x' is not fetched")):
        quickly(server.url, target)
    refused(target)
