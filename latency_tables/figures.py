"""What a table says of one unit: its figure, how sure it is, and where it is from. Fits nothing."""

from __future__ import annotations

from dataclasses import dataclass

from latency_tables.records import Method


@dataclass(frozen=True, slots=True)
class Figure:
    """One unit's latency in a network, before the table's calibration.

    Attributes:
        unit: text form of an operator or a block (`latency_tables.units`).
        std_error_ms: standard error of `latency_ms`; None if unknown, for example after one pass only.
        profiled_ms: what the profiler said, before what it leaves out was added; None where it said nothing.
        observations: times it was seen; 0 where the figure was given.
        networks: in how many networks.
        passes: in how many passes over them.
        between_pass_percent: standard deviation between passes, in percent of `latency_ms`; None if unknown.
        between_network_percent: likewise between networks.
        exponent: by which power of the network's size it grows (`latency_tables.context`); `latency_ms` is
            what it takes in one of typical size.
    """

    unit: str
    latency_ms: float
    std_error_ms: float | None
    profiled_ms: float | None
    method: Method
    observations: int
    networks: int
    passes: int
    between_pass_percent: float | None
    between_network_percent: float | None
    exponent: float = 0.0
