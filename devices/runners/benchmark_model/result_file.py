"""Reads the file that newer versions write beside their console: `BenchmarkResult`, a protocol buffer.

Knows its few fields (tflite/tools/benchmark/proto/benchmark_result.proto of LiteRT) and the wire format, so
that no generated code and no library is needed. Fields that it does not know are passed over.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from devices.errors import UnreadableOutput
from devices.runners.benchmark_model.lines import LARGEST
from devices.runners.benchmark_model.values import Result, Statistics

MOST_BYTES = 1 << 20
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_Value = int | float | bytes


@dataclass(frozen=True, slots=True)
class Figures:
    """What the file says; what it leaves out is None. Times in milliseconds, memory in bytes."""

    mean_ms: float | None = None
    min_ms: float | None = None
    max_ms: float | None = None
    std_ms: float | None = None
    median_ms: float | None = None
    p5_ms: float | None = None
    p95_ms: float | None = None
    init_ms: float | None = None
    first_inference_ms: float | None = None
    warmup_mean_ms: float | None = None
    init_memory_bytes: int | None = None
    overall_memory_bytes: int | None = None
    peak_memory_bytes: int | None = None
    runs: int | None = None
    warmup_runs: int | None = None


_LATENCY = (
    "mean_ms",
    "min_ms",
    "max_ms",
    "std_ms",
    "median_ms",
    "p5_ms",
    "p95_ms",
    "init_ms",
    "first_inference_ms",
    "warmup_mean_ms",
)


def read(content: bytes) -> Figures:
    """The figures of a result file.

    Raises:
        UnreadableOutput: it is none, or broken off.
    """
    if len(content) > MOST_BYTES:
        raise UnreadableOutput(f"a result file of {len(content)} bytes is none (at most {MOST_BYTES})")
    parts: dict[int, bytes] = {}
    for number, value in _fields(content):
        if isinstance(value, bytes):
            parts[number] = parts.get(number, b"") + value  # pieces of one message are one message
    latency, memory, rest = (dict(_fields(parts.get(number, b""))) for number in (2, 3, 4))
    if not latency:
        raise UnreadableOutput("the result file holds no latencies")
    times = {name: _figure(latency.get(number)) for number, name in enumerate(_LATENCY, 1)}
    return Figures(
        **times,
        init_memory_bytes=_bytes(memory.get(1), 1 << 10),
        overall_memory_bytes=_bytes(memory.get(2), 1 << 10),
        peak_memory_bytes=_bytes(memory.get(3), 1 << 20),
        runs=_count(rest.get(2)),
        warmup_runs=_count(rest.get(3)),
    )


def completed(result: Result, figures: Figures) -> Result:
    """A console's result with what only the file tells, such as quantiles, of the same run.

    Raises:
        UnreadableOutput: the two do not speak of the same runs.
    """
    told, mean_ms = result.inference, figures.mean_ms
    if mean_ms is None or abs(mean_ms - told.mean_ms) > 0.01 * max(mean_ms, told.mean_ms) + 0.01:
        raise UnreadableOutput(
            f"the console tells a mean of {told.mean_ms:g} ms and the result file one of {mean_ms} ms"
        )
    warmup = result.warmup
    if warmup is None and figures.warmup_mean_ms is not None:
        warmup = Statistics(figures.warmup_mean_ms, figures.warmup_runs)
    return replace(
        result,
        inference=replace(
            told,
            count=told.count if told.count is not None else figures.runs,
            min_ms=_first(told.min_ms, figures.min_ms),
            max_ms=_first(told.max_ms, figures.max_ms),
            std_ms=_first(told.std_ms, figures.std_ms),
            p5_ms=_first(told.p5_ms, figures.p5_ms),
            median_ms=_first(told.median_ms, figures.median_ms),
            p95_ms=_first(told.p95_ms, figures.p95_ms),
        ),
        warmup=warmup,
        init_ms=_first(result.init_ms, figures.init_ms),
        first_inference_ms=_first(result.first_inference_ms, figures.first_inference_ms),
        init_memory_bytes=result.init_memory_bytes
        if result.init_memory_bytes is not None
        else figures.init_memory_bytes,
        overall_memory_bytes=result.overall_memory_bytes
        if result.overall_memory_bytes is not None
        else figures.overall_memory_bytes,
        peak_memory_bytes=result.peak_memory_bytes
        if result.peak_memory_bytes is not None
        else figures.peak_memory_bytes,
    )


def _first(one: float | None, other: float | None) -> float | None:
    return other if one is None else one


def _fields(message: bytes) -> Iterator[tuple[int, _Value]]:
    """Numbers and values of a message's fields, in order."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        value: _Value
        if kind == _VARINT:
            value, at = _varint(message, at)
        elif kind == _BYTES:
            length, at = _varint(message, at)
            value, at = _take(message, at, length)
        elif kind == _FIXED32:
            raw, at = _take(message, at, 4)
            value = struct.unpack("<f", raw)[0]
        elif kind == _FIXED64:
            raw, at = _take(message, at, 8)
            value = struct.unpack("<d", raw)[0]
        else:
            raise UnreadableOutput(f"the result file is none: a field of kind {kind} at byte {at}")
        if not number:
            raise UnreadableOutput(f"the result file is none: a field of number 0 at byte {at}")
        yield number, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise UnreadableOutput("the result file is broken off")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
    raise UnreadableOutput(f"the result file is none: a number without end before byte {at}")


def _take(message: bytes, at: int, length: int) -> tuple[bytes, int]:
    if length > len(message) - at:
        raise UnreadableOutput("the result file is broken off")
    return message[at : at + length], at + length


def _figure(value: _Value | None) -> float | None:
    if value is None:
        return None
    if not isinstance(value, float) or not math.isfinite(value) or not 0 <= value <= LARGEST:
        raise UnreadableOutput(f"the result file holds {value!r} where a figure of 0 or more should stand")
    return value


def _count(value: _Value | None) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or value > 2**31:
        raise UnreadableOutput(f"the result file holds {value!r} where a count should stand")
    return value


def _bytes(value: _Value | None, unit: int) -> int | None:
    if isinstance(value, int):
        return value * unit if value < 2**40 else None  # a negative difference is no memory
    figure = _figure(value)
    return None if figure is None else round(figure * unit)
