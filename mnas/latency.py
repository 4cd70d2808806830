"""Where an architecture's latency comes from. Trains nothing."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mnas.architecture import Architecture
from mnas.errors import BadInput
from mnas.lower import lower
from mnas.spaces.base import Space

if TYPE_CHECKING:
    from devices.device import Device
    from devices.measurement import DeviceFacts, Settings
    from devices.plan import Plan
    from latency_tables.records import Origin
    from latency_tables.store import LatencyTable
    from latency_tables.units import Unit
    from mnas.spaces.vectorised import Vectorised


@dataclass(frozen=True, slots=True)
class Latency:
    """An architecture's latency.

    Attributes:
        low_ms: lower end of the 90 % interval of a prediction; None where the table cannot tell it, and for
            what was measured.
        high_ms: upper end.
    """

    latency_ms: float
    low_ms: float | None = None
    high_ms: float | None = None


class LatencySource(Protocol):
    """Knows the latency of an architecture without training it."""

    @property
    def name(self) -> str:
        """What the figures are, for people."""

    def predict(self, architecture: Architecture) -> Latency:
        """Latency, above 0, with its interval."""

    def predict_ms(self, architecture: Architecture) -> float:
        """The latency alone."""

    @property
    def quick(self) -> bool:
        """Whether a latency takes about a millisecond to get, so that thousands can be looked at."""


@runtime_checkable
class VectorisedLatency(Protocol):
    """A source that knows the latencies of many points of a space at once."""

    def vectorised(self, space: Space) -> Callable[[NDArray[np.int64]], NDArray[np.float64]]:
        """From option indices [n, choices] to milliseconds [n]."""


class TableLatency:
    """Predicts from a latency table.

    What it predicts is the median over passes of each pass's lower quartile, which is a little less than the
    median of all runs that `mnas profile`, reports and `mnas pick` give.

    Args:
        table: of the device that counts.
        dtype: element type to lower to, the one the table was made for.
    """

    def __init__(self, table: LatencyTable, dtype: str = "float32") -> None:
        self._predictor = table.predictor()
        self._table = table.address
        self._dtype = dtype

    @property
    def name(self) -> str:
        """The table's address."""
        return f"{self._table} ({self._dtype})"

    @property
    def quick(self) -> bool:
        """It is."""
        return True

    def predict(self, architecture: Architecture) -> Latency:
        """Predicted latency.

        Raises:
            MissingOperators: the table has no figure for some of the operators; it names them.
        """
        found = self._predictor.predict(lower(architecture, self._dtype).graph.specs)
        return Latency(found.latency_ms, found.low_ms, found.high_ms)

    def predict_ms(self, architecture: Architecture) -> float:
        """The predicted latency alone; raises as `predict`."""
        return self.predict(architecture).latency_ms

    def vectorised(self, space: Space) -> Callable[[NDArray[np.int64]], NDArray[np.float64]]:
        """The same for many points of a space at once; making it takes about a second."""
        from mnas.spaces.vectorised import Vectorised

        return partial(_latencies_ms, Vectorised(space, self._predictor, self._dtype))


def _latencies_ms(vectorised: Vectorised, points: NDArray[np.int64]) -> NDArray[np.float64]:
    return vectorised.predict(points).latency_ms


class DeviceLatency:
    """Measures networks of random weights on a device; nothing else of this process should compute then.

    Args:
        device: open, and left open.
        plan: how to measure.
        dtype: element type of the network: `float32` or `int8`.
    """

    def __init__(self, device: Device, plan: Plan, dtype: str = "float32") -> None:
        self._device = device
        self._plan = plan
        self._dtype = dtype

    @property
    def name(self) -> str:
        """The device's address."""
        return f"measured on {self._device.facts.address} ({self._dtype})"

    @property
    def quick(self) -> bool:
        """It is not."""
        return False

    def predict(self, architecture: Architecture) -> Latency:
        """Measured latency, which has no interval; raises as `predict_ms`."""
        return Latency(self.predict_ms(architecture))

    def predict_ms(self, architecture: Architecture) -> float:
        """Measured latency: the median over passes of each pass's lower quartile, as latency tables have it.

        Raises:
            DevicesError: the device cannot measure it; the kind that the device reports.
        """
        from devices import errors
        from devices.measurement import Failure, ModelFile
        from latency_tables.fitting.statistics import network_ms
        from latency_tables.tflite import write

        model = ModelFile(str(architecture)[:80], write(lower(architecture, self._dtype).graph))
        passes = []
        for answer in self._device.stream([model], self._plan):
            if isinstance(answer, Failure):
                kind = getattr(errors, answer.error, errors.DeviceTrouble)
                raise kind(answer.message)
            passes.append(answer.distribution_ms)
        return network_ms(passes)


def elsewhere(origin: Origin, facts: DeviceFacts, settings: Settings, governor: str | None = None) -> str:
    """How a table's device and its settings differ from others, by name; empty where they are the same."""
    return "; ".join(differing(origin, facts, settings, governor))


def differing(
    origin: Origin, facts: DeviceFacts, settings: Settings, governor: str | None = None
) -> list[str]:
    """The same, a line for each.

    Cores count only where the table was made on cores asked for.
    """
    if origin.settings.cpus is None:
        settings = replace(settings, cpus=None)
    return origin.differences(facts, settings, governor)


def space_parts(table: LatencyTable) -> list[Unit]:
    """The layers of a table's space, where its own networks do not say what it is to have; else none.

    Networks that cover the space say it themselves. A table of given figures has no such networks.
    """
    from mnas.spaces.layers import Layers
    from mnas.tables import TableRequest

    if any(one.role == "cover" for one in table.networks()):
        return []
    try:
        request = TableRequest.of_table(table)
        return Layers(request.space_of(), request.dtype).every()
    except BadInput:  # it was not made for a space, or for one that does not say its layers
        return []


def missing_operators(table: LatencyTable) -> list[str]:
    """The operators without a figure of which networks of the table's space are made, by their text form."""
    from latency_tables.status import lacked

    return lacked(table, space_parts(table))


def require_complete(table: LatencyTable) -> None:
    """Check that a table has every operator of its space, and its scale.

    Raises:
        BadInput: it does not; the message has the command that goes on with it.
    """
    if not table.ready or missing_operators(table):
        raise BadInput(f"the latency table {table.address} is incomplete, {lacking(table)}")


def lacking(table: LatencyTable) -> str:
    """What an incomplete table lacks, and the command that goes on with it.

    Raises:
        BadInput: it was not made for a space.
    """
    from mnas.tables import TableRequest, of_given_figures

    if missing := len({*missing_operators(table), *table.missing_alone()}):
        lacks = f"{missing} operators missing"
    else:
        lacks = "some networks not measured yet" if table.ready else "no anchor network measured"
    origin = table.origin
    request = TableRequest.of_table(table)
    where = {"device": origin.facts.address, "threads": origin.settings.threads}
    if of_given_figures(table):
        return (
            f"{lacks}, and its figures were given, not measured here; a whole table is measured by "
            f"{build_command(asdict(request) | where)} -o NEW"
        )
    return f"{lacks}; go on with {build_command(asdict(request) | where)} -o {shlex.quote(table.address)}"


def build_command(options: Mapping[str, Any]) -> str:
    """The `mnas table build` with these options; those that are None are left out."""
    given = (
        f"--{name.replace('_', '-')} {shlex.quote(str(value))}"
        for name, value in options.items()
        if value is not None
    )
    return f"mnas table build {' '.join(given)}"
