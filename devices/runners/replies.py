"""What the worker on a device answers, checked. A device may answer anything. Asks nothing itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from devices.errors import UnreadableOutput
from devices.measurement import OperatorTime
from devices.text import one_line

#: of a name that a device gives, and the cores, operators and samples that it may tell of
NAME_LENGTH = 200
MOST = 1_000_000
MOST_RAILS = 100

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a worker says of itself.

    Attributes:
        cpus: the cores it is pinned to, None where it cannot be.
        profiler: why it has no per-operator times, None where it has.
    """

    runtime: str
    runtime_version: str
    python_version: str
    machine: str
    cores: int | None
    cpus: tuple[int, ...] | None
    profiler: str | None


@dataclass(frozen=True, slots=True)
class Power:
    """What a board's rails drew on average while a model ran, and how long a run took meanwhile."""

    rails_mw: Mapping[str, float]
    run_ms: float


@dataclass(frozen=True, slots=True)
class Burst:
    """What a worker says of one burst; the fields are those of `Pass` and `Context`."""

    samples_ms: tuple[float, ...]
    dropped: int
    all_preempted: bool
    reference_ms: float | None
    first_inference_ms: float
    initialisation_ms: float
    peak_memory_bytes: int | None
    operators: tuple[OperatorTime, ...] | None
    delegate: str
    delegated_operators: int | None
    total_operators: int | None
    other_load: float | None
    throttled: bool | None
    governor: str | None
    frequency_khz: int | None
    power: Power | None = None


def greeting(reply: Mapping[str, Any]) -> Greeting:
    """The answer to a greeting.

    Raises:
        UnreadableOutput: it is none.
    """
    return Greeting(
        runtime=_field(reply, "runtime", _name),
        runtime_version=_field(reply, "runtime_version", _name),
        python_version=_field(reply, "python_version", _name),
        machine=_field(reply, "machine", _name),
        cores=_optional(reply, "cores", _count),
        cpus=_optional(reply, "cpus", lambda value: tuple(map(_count, _list(value)))),
        profiler=_optional(reply, "profiler", _name),
    )


def burst(reply: Mapping[str, Any]) -> Burst:
    """The answer to a request for a burst.

    Raises:
        UnreadableOutput: it is none.
    """
    return Burst(
        samples_ms=_field(reply, "samples_ms", _samples),
        dropped=_field(reply, "dropped", _count),
        all_preempted=_field(reply, "all_preempted", _truth),
        reference_ms=_optional(reply, "reference_ms", _figure),
        first_inference_ms=_field(reply, "first_inference_ms", _figure),
        initialisation_ms=_field(reply, "initialisation_ms", _figure),
        peak_memory_bytes=_optional(reply, "peak_memory_bytes", _count),
        operators=_optional(reply, "operators", _operators),
        delegate=_field(reply, "delegate", _name),
        delegated_operators=_optional(reply, "delegated_operators", _count),
        total_operators=_optional(reply, "total_operators", _count),
        other_load=_optional(reply, "other_load", _figure),
        throttled=_optional(reply, "throttled", _truth),
        governor=_optional(reply, "governor", _name),
        frequency_khz=_optional(reply, "frequency_khz", _count),
        power=_optional(reply, "power", _power),
    )


def _field(reply: Mapping[str, Any], name: str, read: Callable[[Any], Value]) -> Value:
    try:
        return read(reply[name])
    except (KeyError, TypeError, ValueError) as error:
        said = one_line(repr(reply.get(name)))[:NAME_LENGTH]
        raise UnreadableOutput(f"the worker's {name} is {said}, which it cannot be") from error


def _optional(reply: Mapping[str, Any], name: str, read: Callable[[Any], Value]) -> Value | None:
    return None if reply.get(name) is None else _field(reply, name, read)


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return one_line(value)[:NAME_LENGTH]


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError("no whole number of 0 or more")
    return value


def _figure(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ValueError("no figure of 0 or more")
    return float(value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > MOST:
        raise TypeError("no list of that size")
    return value


def _samples(value: Any) -> tuple[float, ...]:
    samples = tuple(map(_figure, _list(value)))
    if not samples or min(samples) == 0:
        raise ValueError("no samples of more than 0")
    return samples


def _power(value: Any) -> Power:
    if not isinstance(value, dict) or not isinstance(value["rails_mw"], dict):
        raise TypeError("no rails")
    rails = {_name(name): _figure(mw) for name, mw in value["rails_mw"].items()}
    run_ms = _figure(value["run_ms"])
    if len(rails) > MOST_RAILS or run_ms == 0:
        raise ValueError("no rails of a board")
    return Power(rails, run_ms)


def _operators(value: Any) -> tuple[OperatorTime, ...]:
    rows = [(_name(label), _truth(delegated), _figure(ms)) for label, delegated, ms in _list(value)]
    return tuple(OperatorTime(i, *row) for i, row in enumerate(rows))
