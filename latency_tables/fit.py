"""From all that a table measured to its predictor: figures, calibration, error bars. Reads no file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from latency_tables.calibration import fit_scale
from latency_tables.errors import BadTable
from latency_tables.predict import Predictor
from latency_tables.records import Given, Network
from latency_tables.statistics import Observation, estimates, network_ms, omissions


@dataclass(frozen=True, slots=True)
class Measured:
    """What a table holds.

    Attributes:
        networks: all of the table, measured or not.
        samples_ms: by network, the samples of each pass, oldest first.
        anchors_ms: the same of the anchors, of those passes only that the calibration counts: all of them, or
            those since the table was last anchored.
        observations: every operator time.
        given: figures that were not measured for this table.
    """

    networks: Sequence[Network]
    samples_ms: Mapping[str, Sequence[Sequence[float]]]
    anchors_ms: Mapping[str, Sequence[Sequence[float]]]
    observations: Sequence[Observation]
    given: Sequence[Given] = ()


def fit(measured: Measured, table: str) -> Predictor:
    """The predictor of a table.

    Args:
        table: its address, for messages.

    Raises:
        BadTable: no operator or no anchor network has been measured.
    """
    profiled_ms = {key: one.profiled_ms for key, one in estimates(measured.observations).items()}
    latencies_ms = {name: network_ms(passes) for name, passes in measured.samples_ms.items()}
    networks = [one for one in measured.networks if one.name in latencies_ms]
    anchors = [one for one in networks if one.role == "anchor"]
    if not profiled_ms or not anchors:
        raise BadTable(
            f"the latency table {table} is not built yet ({len(profiled_ms)} operators, "
            f"{len(anchors)} anchor networks): go on with the `mnas table build` that began it"
        )
    left_out = omissions(
        profiled_ms,
        [[str(spec) for spec in one.graph.specs] for one in networks],
        [latencies_ms[one.name] for one in networks],
    )
    figures = {key: ms + left_out[key] for key, ms in profiled_ms.items()}
    raw = Predictor(figures, 1.0, table)
    scale = fit_scale(
        [raw.predict(anchor.graph.specs).sum_ms for anchor in anchors],
        [network_ms(measured.anchors_ms[anchor.name]) for anchor in anchors],
    )
    return Predictor(figures, scale, table)
