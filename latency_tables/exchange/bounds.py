"""What figures that others wrote may be: an operator's text, latency, error, count. Reads no file.

The bounds are far beyond what any device takes, and within what a database and arithmetic hold.
"""

from __future__ import annotations

import math
from math import prod
from reprlib import repr as shortened

from latency_tables.errors import BadOpSpec, BadTable
from latency_tables.fitting.footprint import weight_bytes
from latency_tables.ops import OpSpec
from latency_tables.units import Unit, parse_unit

#: milliseconds: a picosecond, and eleven days
LEAST_MS, MOST_MS = 1e-9, 1e9
#: of measurements behind a figure: what a database's INTEGER holds
MOST_COUNT = 2**31 - 1
#: by which power of a network's size a figure may grow or shrink
MOST_EXPONENT = 2.0
#: of a figure's standard error, in latencies: what is farther off is not known at all
MOST_RELATIVE_ERROR = 30.0
#: elements, multiply-accumulates and bytes of one operator: up to here every whole number is a float
MOST_SIZE = 2**53


def operators(text: str) -> Unit:
    """The operators of a unit's text form.

    Raises:
        BadOpSpec: it is none, or of a size that no device has.
    """
    unit = parse_unit(text)
    for spec in unit:
        if max(_sizes(spec)) > MOST_SIZE:
            raise BadOpSpec(
                f"{spec} is larger than any device: an operator has up to 2^53 elements, bytes of "
                "weights and multiply-accumulates"
            )
    return unit


def _sizes(spec: OpSpec) -> list[int]:
    try:
        own = [prod(shape) for shape in (*spec.inputs, spec.output, spec.kernel or (), spec.stride or ())]
        return [*own, spec.macs, weight_bytes(spec), spec.groups]
    except (IndexError, ZeroDivisionError):
        raise BadOpSpec(f"{spec}: its inputs are not those of {spec.kind}") from None


def latency_ms(value: object, name: str) -> float:
    """A latency in milliseconds.

    Raises:
        BadTable: it is none, or beyond the bounds; the message has the name.
    """
    found = _number(value)
    if found is None or not LEAST_MS <= found <= MOST_MS:
        raise BadTable(
            f"{name} is {_shown(value)}: it must be a number above 0, from {LEAST_MS:g} to {MOST_MS:g} ms"
        )
    return found


def error_ms(value: object, name: str) -> float:
    """A standard error or deviation in milliseconds; raises BadTable likewise."""
    found = _number(value)
    if found is None or not 0 <= found <= MOST_MS:
        raise BadTable(f"{name} is {_shown(value)}: it must be a number of 0 or more, up to {MOST_MS:g} ms")
    return found


def figure_error_ms(value: object, latency_ms: float, name: str) -> float:
    """The standard error of a latency, in milliseconds; raises BadTable likewise."""
    found = error_ms(value, name)
    if found > MOST_RELATIVE_ERROR * latency_ms:
        raise BadTable(
            f"{name} is {found:g}, of a latency of {latency_ms:g}: up to {MOST_RELATIVE_ERROR:g} times it "
            "is an error, and beyond that is nothing known"
        )
    return found


def variance_ms2(value: object, name: str) -> float:
    """A variance in square milliseconds; raises BadTable likewise."""
    found = _number(value)
    if found is None or not 0 <= found <= MOST_MS**2:
        raise BadTable(f"{name} is {_shown(value)}: it must be a number of 0 or more, up to {MOST_MS**2:g}")
    return found


def count(value: object, name: str) -> int:
    """A number of measurements, 1 or more; raises BadTable likewise."""
    found = _number(value)
    if found is None or not 1 <= found <= MOST_COUNT or not found.is_integer():
        raise BadTable(
            f"{name} is {_shown(value)}: it must be a whole number of 1 or more, up to {MOST_COUNT}"
        )
    return int(found)


def exponent(value: object, name: str) -> float:
    """By which power of a network's size a figure grows; raises BadTable likewise."""
    found = _number(value)
    if found is None or not abs(found) <= MOST_EXPONENT:
        raise BadTable(
            f"{name} is {_shown(value)}: it must be a number from {-MOST_EXPONENT:g} to {MOST_EXPONENT:g}"
        )
    return found


def _number(value: object) -> float | None:
    """A number as a float, infinite where it has too many digits; None for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else shortened(value)
