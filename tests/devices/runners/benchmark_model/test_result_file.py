"""The result file: bytes as the protocol buffers library writes them, and any other bytes."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import UnreadableOutput
from devices.runners.benchmark_model import parse
from devices.runners.benchmark_model.result_file import MOST_BYTES, Figures, completed, read
from tests.devices.runners.benchmark_model.corpus import console

#: written by google.protobuf 7.36 from the schema of LiteRT, with the figures below
WRITTEN = (Path(__file__).parent / "result.pb").read_bytes()
FIGURES = Figures(
    mean_ms=0.464545,
    min_ms=0.442,
    max_ms=0.979,
    std_ms=0.013,
    median_ms=0.462,
    p5_ms=0.46,
    p95_ms=0.478,
    init_ms=4.478,
    first_inference_ms=1.033,
    warmup_mean_ms=0.465319,
    init_memory_bytes=9155 * 1024,
    overall_memory_bytes=11786 * 1024,
    peak_memory_bytes=round(12.5 * 1024 * 1024),
    runs=2112,
    warmup_runs=1055,
)


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def floats(**numbered: float) -> bytes:
    return b"".join(
        bytes([int(name[1:]) << 3 | 5]) + struct.pack("<f", value) for name, value in numbered.items()
    )


def part(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def close(one: Figures, other: Figures) -> bool:
    return all(
        getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-6) for name in Figures.__slots__
    )


def test_a_file_of_the_real_library() -> None:
    assert close(read(WRITTEN), FIGURES)


def test_what_is_left_out_is_none() -> None:
    figures = read(part(2, floats(_1=2.5)))
    assert figures == Figures(mean_ms=2.5)


def test_unknown_fields_are_passed_over() -> None:
    more = part(2, floats(_1=2.5, _12=7.0) + b"\x69" + b"\0" * 8) + part(9, b"new") + b"\x50\x05"
    assert read(more) == Figures(mean_ms=2.5)


def test_a_message_in_pieces_is_one() -> None:
    assert read(part(2, floats(_1=2.5)) + part(2, floats(_2=2.0))) == Figures(mean_ms=2.5, min_ms=2.0)


@pytest.mark.parametrize("count", range(len(WRITTEN)))
def test_a_file_that_breaks_off_is_none_or_holds_less(count: int) -> None:
    try:
        figures = read(WRITTEN[:count])
    except UnreadableOutput:
        return
    assert all(
        getattr(figures, name) in (None, pytest.approx(getattr(FIGURES, name), rel=1e-6))
        for name in Figures.__slots__
    )


@given(st.binary(max_size=300) | st.builds(lambda content: part(2, content), st.binary(max_size=120)))
def test_any_bytes_are_figures_or_unreadable(content: bytes) -> None:
    try:
        figures = read(content)
    except UnreadableOutput:
        return
    assert all(value is None or value >= 0 for value in map(figures.__getattribute__, Figures.__slots__))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x" * (MOST_BYTES + 1),
        part(2, floats(_1=float("nan"))),
        part(2, floats(_1=-1.0)),
        part(2, b"\x08\x05"),  # a whole number where a figure should stand
        b"\xff" * 20,
    ],
)
def test_what_is_no_result_file(content: bytes) -> None:
    with pytest.raises(UnreadableOutput, match="result file"):
        read(content)


@given(st.lists(st.floats(0, 1e6, width=32, allow_nan=False), min_size=10, max_size=10))
def test_figures_come_back(values: list[float]) -> None:
    content = part(2, floats(**{f"_{number}": value for number, value in enumerate(values, 1)}))
    figures = read(content)
    assert [getattr(figures, name) for name in list(Figures.__slots__)[:10]] == values


def test_a_console_is_completed_by_the_file_of_the_same_run() -> None:
    result = parse(console("2023-cmake-cpu"))
    figures = Figures(
        mean_ms=116.066, median_ms=115.9, p5_ms=112.0, p95_ms=120.0, peak_memory_bytes=5, runs=50
    )
    whole = completed(result, figures)
    assert whole.inference == replace(result.inference, median_ms=115.9, p5_ms=112.0, p95_ms=120.0)
    assert (whole.peak_memory_bytes, whole.init_ms) == (5, result.init_ms)
    assert (
        completed(
            parse(console("2018-readme-profile")), replace(figures, mean_ms=79.76, min_ms=70.0, max_ms=90.0)
        )
        .summary()
        .count
        == 50
    )


def test_a_file_of_another_run_is_refused() -> None:
    with pytest.raises(UnreadableOutput, match=r"the console tells a mean of 116\.066 ms"):
        completed(parse(console("2023-cmake-cpu")), FIGURES)
