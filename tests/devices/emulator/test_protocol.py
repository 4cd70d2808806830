"""Messages, keys, and how flags and figures are written."""

from __future__ import annotations

import base64
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.emulator import console, flags, protocol
from devices.emulator.console import Figures, Stat
from devices.emulator.protocol import HEADER, Message
from devices.emulator.shell import Request

WORDS = st.integers(0, 2**32 - 1)


@given(WORDS, WORDS, WORDS, st.binary(max_size=300), st.booleans())
def test_messages_come_back(command: int, first: int, second: int, payload: bytes, checked: bool) -> None:
    packed = Message(command, first, second, payload).packed(checked)
    message, length, check = protocol.parse_header(packed[: HEADER.size])
    assert message == Message(command, first, second)
    assert packed[HEADER.size :] == payload
    assert length == len(payload)
    assert check == (sum(payload) if checked else 0)


@given(st.binary(min_size=HEADER.size, max_size=HEADER.size))
def test_nonsense_is_no_message(header: bytes) -> None:
    command, *_, length, _, magic = HEADER.unpack(header)
    if magic != command ^ 0xFFFFFFFF or length > protocol.MAX_PAYLOAD_BYTES:
        with pytest.raises(protocol.ProtocolError):
            protocol.parse_header(header)


#: an RSA key of 1886 bits, from two known primes
P, Q, EXPONENT, WORDS_OF_KEY = 2**1279 - 1, 2**607 - 1, 65537, 59


def sign(token: bytes) -> bytes:
    size = 4 * WORDS_OF_KEY
    tail = b"\0" + bytes.fromhex("3021300906052b0e03021a05000414") + token
    padded = b"\0\1" + b"\xff" * (size - 2 - len(tail)) + tail
    private = pow(EXPONENT, -1, (P - 1) * (Q - 1))
    return pow(int.from_bytes(padded, "big"), private, P * Q).to_bytes(size, "big")


def test_only_the_owner_of_a_key_signs() -> None:
    size = 4 * WORDS_OF_KEY
    body = struct.pack("<II", WORDS_OF_KEY, 0) + (P * Q).to_bytes(size, "little") + bytes(size)
    key = protocol.key_of(f"{base64.b64encode(body + struct.pack('<I', EXPONENT)).decode()} me@here")
    token = os.urandom(protocol.TOKEN_BYTES)
    signature = sign(token)
    assert protocol.signed_by(key, token, signature)
    assert not protocol.signed_by(key, os.urandom(protocol.TOKEN_BYTES), signature)
    for wrong in (b"", bytes(size), signature[:-1], signature + b"\0", b"\xff" * size):
        assert not protocol.signed_by(key, token, wrong)


@pytest.mark.parametrize("text", ["", "no key", "AAAA", base64.b64encode(b"\x40\0\0\0" + bytes(50)).decode()])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match=r"no ADB key|another length"):
        protocol.key_of(text)


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("shell:ls -l", Request("ls -l", framed=False, terminal=False)),
        ("shell:", Request("", framed=False, terminal=True)),
        ("shell,v2,raw:a:b", Request("a:b", framed=True, terminal=False)),
        ("shell,v2,TERM=xterm,pty:", Request("", framed=True, terminal=True)),
        ("shell,v2,TERM=xterm,raw:", Request("", framed=True, terminal=False)),
        ("exec:cat", Request("cat", framed=False, terminal=False)),
    ],
)
def test_what_a_service_asks_for(service: str, expected: Request) -> None:
    assert Request.parse(service) == expected


def test_only_a_flag_with_a_value_of_its_kind_counts() -> None:
    given_ = flags.parse(
        ["--graph=a=b", "--num_runs=3", "--num_runs=4", "--use_gpu", "--new=1", "x", "--use_xnnpack=0"], "2.x"
    )
    assert given_.text("graph") == "a=b"
    assert given_.number("num_runs") == 3
    assert given_.number("warmup_runs") == 1
    assert not given_.switch("use_gpu")
    assert given_.unknown == ("--use_gpu", "--new=1", "x")
    assert not given_.wants_help
    assert flags.parse(["--help"], "2.x").wants_help
    for bad in ("--num_runs=1.5", "--min_secs=soon", "--use_gpu=maybe"):
        with pytest.raises(flags.BadFlag):
            flags.parse([bad], "2.x")


def test_one_run_several_and_equal_ones() -> None:
    assert console.stat(Stat((7,)), "2019") == "count=1 curr=7"
    assert console.stat(Stat((7, 7, 7)), "2.x") == "count=3 curr=7(all same) p5=7 median=7 p95=7"
    assert console.stat(Stat((1, 2, 6)), "2019") == "count=3 first=1 curr=6 min=1 max=6 avg=3 std=2"
    assert console.stat(Stat((3_000_000, 3_000_001)), "2019").endswith("avg=3e+06 std=0")
    assert console.stat(Stat(()), "2.x") == "count=0"


def test_the_result_file_has_its_fields_in_place() -> None:
    figures = Figures(5000, Stat((40, 20)), Stat((10, 20, 30)), 2_000_000, 300, 400, peak_mb=1.5)
    content = console.result_file(figures)
    average = content.index(b"\x0d") + 1
    assert content[:3] == b"\x0a\x00\x12"
    assert struct.unpack_from("<f", content, average)[0] == pytest.approx(0.020)
    assert b"\x08\xac\x02\x10\x90\x03\x1d" + struct.pack("<f", 1.5) in content
