"""What networks take besides time, memory and energy, as far as a table's device told. Measures nothing.

Memory is fitted to the networks' parameters and largest live activations, energy to the time that each kind
of operator takes. Both have the mean error on networks that were left out of the fit, and both are None where
the device does not tell, or too few networks were measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from latency_tables.fitting.footprint import live_bytes, parameter_bytes
from latency_tables.ops import Graph, OpSpec

if TYPE_CHECKING:
    from latency_tables.predict import Prediction
    from latency_tables.store import LatencyTable

#: networks that a fit needs at least
LEAST_NETWORKS = 5
#: relative standard deviations: of a network's energy, and of a kind's power around the common one
ENERGY_ERROR, POWER_SPREAD = 0.03, 0.3
#: kinds have powers of their own only where that makes the left-out error this much smaller
GAIN = 0.9

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that loading and running a network adds to the process (`Pass.peak_memory_bytes`).

    Attributes:
        fixed_bytes: of any network.
        per_parameter_byte: times the bytes of its weights and biases: some runtimes keep them twice.
        per_live_byte: times the bytes of its largest live activations.
        left_out_percent: mean absolute error on networks left out of the fit.
        networks: behind it.
    """

    fixed_bytes: float
    per_parameter_byte: float
    per_live_byte: float
    left_out_percent: float
    networks: int

    def predict(self, graph: Graph) -> float:
        """Bytes of a network."""
        return float(np.dot(_sizes(graph), (self.fixed_bytes, self.per_parameter_byte, self.per_live_byte)))


@dataclass(frozen=True, slots=True)
class Energy:
    """Millijoules of one inference (`Pass.energy_mj`).

    Attributes:
        power_mw: what the board draws while operators of a kind run.
        common_mw: of kinds that are not among them.
        left_out_percent: mean absolute error on networks left out of the fit.
        networks: behind it.
    """

    power_mw: Mapping[str, float]
    common_mw: float
    left_out_percent: float
    networks: int

    def predict(self, specs: Sequence[OpSpec], prediction: Prediction) -> float:
        """Millijoules of an inference of a network whose latency was predicted."""
        return sum(
            self.power_mw.get(kind, self.common_mw) * ms / 1000
            for kind, ms in kinds_ms(specs, prediction).items()
        )


@dataclass(frozen=True, slots=True)
class Resources:
    """What a table knows besides latency; None where it knows nothing."""

    memory: Memory | None = None
    energy: Energy | None = None


def kinds_ms(specs: Sequence[OpSpec], prediction: Prediction) -> dict[str, float]:
    """Milliseconds that each kind of operator has of a network's predicted latency."""
    found: dict[str, float] = defaultdict(float)
    for spec, ms in zip(specs, prediction.operators_ms, strict=True):
        found[spec.kind] += ms
    return dict(found)


def resources(table: LatencyTable) -> Resources:
    """What a table's networks tell of memory and energy; of energy only once the table can predict."""
    graphs = {one.name: one.graph for one in table.networks() if one.role in {"cover", "anchor"}}
    memory: dict[str, list[float]] = defaultdict(list)
    energy: dict[str, list[float]] = defaultdict(list)
    for burst in table.bursts():
        if burst.network in graphs:
            if burst.peak_memory_bytes:
                memory[burst.network].append(burst.peak_memory_bytes)
            if burst.energy_mj:
                energy[burst.network].append(burst.energy_mj)
    known = {name: median(values) for name, values in energy.items()}
    times = {}
    if len(known) >= LEAST_NETWORKS and table.ready:
        predictor = table.predictor()
        times = {name: kinds_ms(graphs[name].specs, predictor.predict(graphs[name].specs)) for name in known}
    return Resources(
        fit_memory([graphs[name] for name in memory], [median(values) for values in memory.values()]),
        fit_energy([times[name] for name in times], [known[name] for name in times]),
    )


def fit_memory(graphs: Sequence[Graph], peaks_bytes: Sequence[float]) -> Memory | None:
    """Non-negative least squares of relative errors; None for too few networks."""
    if len(graphs) < LEAST_NETWORKS:
        return None
    sizes = np.array([_sizes(graph) for graph in graphs])
    peaks = np.array(peaks_bytes)

    def solve(rows: Floats, wanted: Floats) -> Floats:
        return _non_negative(rows / wanted[:, None], np.ones(len(wanted)))

    fixed, per_parameter, per_live = map(float, solve(sizes, peaks))
    return Memory(fixed, per_parameter, per_live, _left_out_percent(sizes, peaks, solve), len(graphs))


def fit_energy(times_ms: Sequence[Mapping[str, float]], energies_mj: Sequence[float]) -> Energy | None:
    """A power for all kinds, or one for each where networks that were left out say so; None for too few.

    Kinds' powers are drawn towards the common one (ridge, non-negative).

    Args:
        times_ms: by network, what each kind of operator takes.
        energies_mj: by network.
    """
    if len(times_ms) < LEAST_NETWORKS:
        return None
    kinds = sorted({kind for one in times_ms for kind in one})
    times = np.array([[one.get(kind, 0.0) for kind in kinds] for one in times_ms])
    energies = np.array(energies_mj)

    def one_power(rows: Floats, wanted: Floats) -> Floats:
        return np.full(len(kinds), 1 / np.mean(rows.sum(axis=1) / wanted))

    def own_powers(rows: Floats, wanted: Floats) -> Floats:
        common = one_power(rows, wanted)
        shares = rows * common / wanted[:, None] / ENERGY_ERROR
        prior = np.eye(len(kinds)) / POWER_SPREAD
        goal = np.r_[np.full(len(wanted), 1 / ENERGY_ERROR), np.full(len(kinds), 1 / POWER_SPREAD)]
        return common * _non_negative(np.r_[shares, prior], goal)

    plain, own = (_left_out_percent(times, energies, solve) for solve in (one_power, own_powers))
    chosen, error = (own_powers, own) if own < GAIN * plain else (one_power, plain)
    common = float(one_power(times, energies)[0])
    powers = chosen(times, energies) * 1000
    return Energy(dict(zip(kinds, map(float, powers), strict=True)), common * 1000, error, len(times_ms))


def _sizes(graph: Graph) -> tuple[float, float, float]:
    return 1.0, float(parameter_bytes(graph)), float(live_bytes(graph))


def _non_negative(rows: Floats, wanted: Floats) -> Floats:
    from scipy.optimize import nnls

    scale = np.maximum(np.linalg.norm(rows, axis=0), np.finfo(float).tiny)
    return np.asarray(nnls(rows / scale, wanted)[0] / scale)


def _left_out_percent(rows: Floats, wanted: Floats, solve: Callable[[Floats, Floats], Floats]) -> float:
    """The mean absolute error on each network, in percent, by a fit to the others."""
    errors = []
    for place in range(len(wanted)):
        others = np.arange(len(wanted)) != place
        found = rows[place] @ solve(rows[others], wanted[others])
        errors.append(abs(found / wanted[place] - 1))
    return float(100 * np.mean(errors))
