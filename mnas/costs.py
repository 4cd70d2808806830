"""What is known of an architecture without training it, and what a search wants of it. Trains nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mnas import sizes
from mnas.errors import BadInput
from mnas.latency import LatencySource, VectorisedLatency
from mnas.lower import lower
from mnas.spaces.base import StagedSpace
from mnas.wanted import LATENCY, OF_NETWORKS, OF_TABLES

if TYPE_CHECKING:
    from latency_tables.fitting.resources import Energy, Memory
    from latency_tables.predict import Predictor
    from latency_tables.store import LatencyTable

Points = NDArray[np.int64]
Figures = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Amount:
    """A figure of an architecture.

    Attributes:
        value: above 0; less is better.
        low: lower end of the 90 % interval of a prediction; None where it is unknown, or exact.
        high: upper end.
    """

    value: float
    low: float | None = None
    high: float | None = None


class Cost(Protocol):
    """A figure of architectures that needs no training; less is better."""

    @property
    def name(self) -> str:
        """`latency_ms`, `parameters`, `file_bytes`, `memory_bytes`, `energy_mj`; `NAME:DEVICE` of others."""

    @property
    def unit(self) -> str:
        """What follows a figure, for people: `ms`, `ms on pi5`."""

    @property
    def quick(self) -> bool:
        """Whether a figure takes about a millisecond to get, so that thousands can be looked at."""

    @property
    def vectorised(self) -> bool:
        """Whether `figures` takes well below a millisecond for a point, so that 100 000 can be looked at."""

    def predict(self, architecture: Any) -> Amount:
        """The figure of what the space decodes to.

        Raises:
            MissingOperators: a latency table does not cover it.
            DevicesError: the device cannot measure it.
        """

    def figures(self, points: Points) -> Figures:
        """The figures of option indices [n, choices of the space], [n]."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a search wants of one cost.

    Attributes:
        cost: its name.
        objective: whether less is better in itself; else it only has limits.
        target: that the reward and the best candidate are about; None for none.
        cap: what is above it is never trained; None for no cap.
        known: whether strategies may ask for it before they propose.
    """

    cost: str
    objective: bool = True
    target: float | None = None
    cap: float | None = None
    known: bool = True

    def __post_init__(self) -> None:
        for name, value in (("target", self.target), ("cap", self.cap)):
            if value is not None and not _above_0(value):
                raise BadInput(f"the {name} of {self.cost} is {value!r}; it must be a number above 0")
        if self.target is not None and self.cap is not None and self.cap < self.target:
            raise BadInput(
                f"the cap of {self.cost} is {self.cap:g}, below its target {self.target:g}; it must not be "
                "lower"
            )


class Latency:
    """The latency of a space's architectures by a source of latencies.

    Args:
        source: a table's or a device's.
        space: whose points `figures` is asked for.
        device: its name where it is not the first one.
    """

    def __init__(self, source: LatencySource, space: Any, device: str | None = None) -> None:
        self.name = LATENCY if device is None else f"{LATENCY}:{device}"
        self.unit = "ms" if device is None else f"ms on {device}"
        self.source = source
        self._space = space
        self._lookup: Callable[[Points], Figures] | None = None

    @property
    def quick(self) -> bool:
        """Whether it is predicted."""
        return self.source.quick

    @property
    def vectorised(self) -> bool:
        """Whether it is looked up by stages."""
        return isinstance(self.source, VectorisedLatency) and isinstance(self._space, StagedSpace)

    def predict(self, architecture: Any) -> Amount:
        """Milliseconds."""
        found = self.source.predict(architecture)
        return Amount(found.latency_ms, found.low_ms, found.high_ms)

    def figures(self, points: Points) -> Figures:
        """Milliseconds of points."""
        if self._lookup is None and isinstance(self.source, VectorisedLatency) and self.vectorised:
            self._lookup = self.source.vectorised(self._space)
        if self._lookup is not None:
            return self._lookup(points)
        return one_by_one(self, self._space, points)


class Counted:
    """A figure that follows from a network's operators.

    Args:
        space: whose points `figures` is asked for.
        count: the figure of an architecture.
        many: makes the same for points of a space of stages; None where it is no sum over operators.
    """

    quick = True

    def __init__(
        self,
        name: str,
        unit: str,
        space: Any,
        count: Callable[[Any], float],
        many: Callable[[StagedSpace], Callable[[Points], Figures]] | None = None,
    ) -> None:
        self.name, self.unit = name, unit
        self._space, self._count = space, count
        self._many = many if isinstance(space, StagedSpace) else None
        self._lookup: Callable[[Points], Figures] | None = None

    @property
    def vectorised(self) -> bool:
        """Whether it is looked up by stages."""
        return self._many is not None

    def predict(self, architecture: Any) -> Amount:
        """The figure, which has no interval."""
        return Amount(self._count(architecture))

    def figures(self, points: Points) -> Figures:
        """The figures of points."""
        if self._many is None:
            return one_by_one(self, self._space, points)
        self._lookup = self._lookup or self._many(self._space)
        return self._lookup(points)


def one_by_one(cost: Cost, space: Any, points: Points) -> Figures:
    """A cost's figures of points, each from its architecture."""
    return np.array([cost.predict(space.decode(row)).value for row in points.tolist()], np.float64)


def parameters(space: Any) -> Cost:
    """Trainable parameters: weights, biases, batch normalisation's gamma and beta."""
    return Counted("parameters", "parameters", space, sizes.parameters, sizes.parameters_of)


def file_bytes(space: Any, dtype: str = "float32") -> Cost:
    """Size of the `.tflite` file, closely (`mnas.sizes`)."""
    many = sizes.float32_bytes_of if dtype == "float32" else None
    return Counted("file_bytes", "bytes", space, partial(sizes.file_bytes, dtype=dtype), many)


@dataclass(frozen=True, slots=True)
class _MemoryBytes:
    memory: Memory
    dtype: str

    def __call__(self, architecture: Any) -> float:
        return self.memory.predict(lower(architecture, self.dtype).graph)


@dataclass(frozen=True, slots=True)
class _EnergyMj:
    energy: Energy
    predictor: Predictor
    dtype: str

    def __call__(self, architecture: Any) -> float:
        specs = lower(architecture, self.dtype).graph.specs
        return self.energy.predict(specs, self.predictor.predict(specs))


#: names of costs other than latency, without the device behind the colon; the last two need a table
OTHERS = (*OF_NETWORKS, *OF_TABLES)


def other(name: str, space: Any, dtype: str = "float32", table: LatencyTable | None = None) -> Cost:
    """A cost other than latency, by its name.

    Args:
        name: one of `OTHERS`, or one of the last two followed by `:DEVICE`.
        space: to be searched.
        dtype: element type of the networks.
        table: of the device, for `memory_bytes` and `energy_mj`.

    Raises:
        BadInput: there is no such cost, or the table does not know it.
    """
    kind, _, device = name.partition(":")
    if kind not in OTHERS or (device and kind in OF_NETWORKS) or name.endswith(":"):
        raise BadInput(
            f"cost {name!r}; allowed: {', '.join(OTHERS)}, the last two also of another device, such as "
            "energy_mj:pi5"
        )
    if kind == "parameters":
        return parameters(space)
    if kind == "file_bytes":
        return file_bytes(space, dtype)
    if table is None:
        raise BadInput(f"{name} is predicted from a latency table; give one")
    from latency_tables.fitting.resources import resources

    known = resources(table)
    where = f" on {device}" if device else ""
    if kind == "memory_bytes" and known.memory is not None:
        return Counted(name, f"bytes of memory{where}", space, _MemoryBytes(known.memory, dtype))
    if kind == "energy_mj" and known.energy is not None:
        return Counted(name, f"mJ{where}", space, _EnergyMj(known.energy, table.predictor(), dtype))
    raise BadInput(
        f"the latency table {table.address} does not know {name}: its device did not tell, or too few "
        "networks were measured; leave it out, or take a table of a device that tells"
    )


def _above_0(value: Any) -> bool:
    try:
        return math.isfinite(value) and value > 0
    except TypeError:
        return False


def goals_for(costs: Sequence[Cost], goals: Sequence[Goal]) -> tuple[Goal, ...]:
    """One goal for each cost, in the order of the costs; those that were not given are plain objectives.

    Raises:
        BadInput: a goal is about none of the costs, two are about one, or none of them is an objective.
    """
    names = [cost.name for cost in costs]
    given = {goal.cost: goal for goal in goals}
    if twice := [name for name in names if names.count(name) > 1]:
        raise BadInput(f"two costs are called {twice[0]}; each needs a name of its own")
    if len(given) < len(goals):
        raise BadInput("two goals are about the same cost; give each cost one goal")
    if foreign := [name for name in given if name not in names]:
        raise BadInput(f"a goal is about {foreign[0]}, which is no cost here; there are: {', '.join(names)}")
    found = tuple(given.get(name, Goal(name)) for name in names)
    if not any(goal.objective for goal in found):
        raise BadInput("no cost is an objective; at least one must be, or there is no front to look for")
    for goal in found:
        if not goal.known and goal.cap is not None:
            raise BadInput(
                f"{goal.cost} is unknown before a candidate is evaluated, so it cannot have a cap; leave out "
                "one of the two"
            )
    return found
