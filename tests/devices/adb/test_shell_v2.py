from __future__ import annotations

import struct
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from devices.adb.shell_v2 import CLOSE_STDIN, EXIT, STDERR, STDIN, STDOUT, Packets, packet

KINDS = st.sampled_from([STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN, 5, 255])


def merged(pieces: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Pieces of the same kind beside each other as one; empty ones are none."""
    runs = groupby((piece for piece in pieces if piece[1]), key=lambda piece: piece[0])
    return [(kind, b"".join(data for _, data in run)) for kind, run in runs]


@given(st.lists(st.tuples(KINDS, st.binary(max_size=20)), max_size=8), st.data())
def test_any_split_gives_the_same(packets: list[tuple[int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(packet(kind, content) for kind, content in packets)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reader = Packets()
    pieces = [
        piece
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for piece in reader.feed(stream[start:end])
    ]
    assert merged(pieces) == merged(packets)


def test_the_format_is_that_of_android() -> None:
    """`shell_protocol.h`: one byte for the kind, four for the length; standard input is closed by kind 4."""
    assert packet(STDIN, b"ab") == b"\0\2\0\0\0ab"
    assert packet(CLOSE_STDIN) == b"\4\0\0\0\0"
    assert Packets().feed(b"\1\3\0\0\0out\2\1\0\0\0e\3\1\0\0\0\7") == [(1, b"out"), (2, b"e"), (3, b"\7")]


def test_a_length_that_cannot_be_keeps_no_memory() -> None:
    reader = Packets()
    assert reader.feed(struct.pack("<BI", STDOUT, 0xFFFF_FFFF)) == []
    for _ in range(10):
        assert reader.feed(bytes(1000)) == [(STDOUT, bytes(1000))]
