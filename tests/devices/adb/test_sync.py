from __future__ import annotations

import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.adb.sync import CHUNK_BYTES, SyncFailed, SyncService
from devices.errors import DevicesError, DeviceTrouble, LinkLost


class Script:
    """A stream that gives what was written down, and keeps what it is sent."""

    def __init__(self, *said: bytes) -> None:
        self._said = list(said)
        self.sent = b""

    def send(self, data: bytes | memoryview, timeout_s: float) -> None:
        self.sent += data

    def recv(self, timeout_s: float) -> bytes:
        return self._said.pop(0) if self._said else b""

    def close(self) -> None:
        pass


def service(*said: bytes) -> tuple[SyncService, Script]:
    script = Script(*said)
    return SyncService(script, time.monotonic() + 10), script


def word(name: bytes, number: int) -> bytes:
    return struct.pack("<4sI", name, number)


class TestSend:
    @pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 20 * CHUNK_BYTES + 7])
    def test_the_file_is_cut_into_chunks(self, size: int) -> None:
        content = bytes(i % 251 for i in range(size))
        sync, script = service(word(b"OKAY", 0))
        sync.send("/a,b", content, 0o600)
        expected = word(b"SEND", 10) + b"/a,b,33152"
        assert script.sent.startswith(expected)
        rest, got = memoryview(script.sent)[len(expected) :], b""
        while rest[:4] == b"DATA":
            (length,) = struct.unpack("<I", rest[4:8])
            assert 0 < length <= CHUNK_BYTES
            got += rest[8 : 8 + length]
            rest = rest[8 + length :]
        assert got == content
        assert rest[:4] == b"DONE"
        assert len(rest) == 8

    def test_the_device_says_why_not(self) -> None:
        sync, _ = service(word(b"FAIL", 4), b"full")
        with pytest.raises(SyncFailed, match=r"^full$"):
            sync.send("/a", b"x", 0o600)

    @pytest.mark.parametrize("path", ["/" + "x" * 1100, "/a\0b"])
    def test_paths_that_cannot_be(self, path: str) -> None:
        sync, script = service()
        for call in (lambda: sync.send(path, b"", 0o600), lambda: sync.receive(path, 9)):
            with pytest.raises(SyncFailed):
                call()
        assert script.sent == b""


class TestReceive:
    def test_chunks_are_joined(self) -> None:
        said = word(b"DATA", 2) + b"ab" + word(b"DATA", 3) + b"cde" + word(b"DATA", 0) + word(b"DONE", 0)
        sync, _ = service(said[:12], said[12:15], said[15:])
        assert sync.receive("/a", 5) == b"abcde"

    def test_a_file_may_not_be_longer_than_wanted(self) -> None:
        sync, _ = service(word(b"DATA", 6) + b"abcdef")
        with pytest.raises(SyncFailed, match="longer than 5 bytes"):
            sync.receive("/a", 5)

    def test_it_breaks_off(self) -> None:
        sync, _ = service(word(b"DATA", 6) + b"abc")
        with pytest.raises(LinkLost):
            sync.receive("/a", 100)

    @pytest.mark.parametrize("said", [word(b"OKAY", 0), word(b"DATA", CHUNK_BYTES + 1), b"HTTP/1.1"])
    def test_it_answers_something_else(self, said: bytes) -> None:
        sync, _ = service(said)
        with pytest.raises(DeviceTrouble, match="does not know"):
            sync.receive("/a", 1 << 30)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.builds(
                word, st.sampled_from([b"DATA", b"DONE", b"FAIL", b"OKAY", b"STAT"]), st.integers(0, 40)
            ),
        ),
        max_size=8,
    )
)
def test_whatever_a_device_says_a_call_ends(said: list[bytes]) -> None:
    for call in (
        lambda sync: sync.receive("/a", 100),
        lambda sync: sync.send("/a", b"x", 0o600),
        lambda sync: sync.is_directory("/a"),
    ):
        try:
            result = call(service(*filter(None, said))[0])
        except (SyncFailed, DevicesError):
            continue
        assert result is None or isinstance(result, bool) or len(result) <= 100
