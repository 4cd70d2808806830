"""Joins spaces and transfer: which networks a new device measures, and the table that comes of it.

What is measured lies in a file beside the new table, `NEW.samples`, until the table is whole: so nothing is
lost when the job ends or when the error says that the table does not transfer, and a job with more samples
goes on with those that are there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from devices.device import Device
from devices.plan import Plan
from latency_tables.anchoring import anchor_within
from latency_tables.build import PLAN, sweep
from latency_tables.errors import BadTable
from latency_tables.exchange.whole import named_at_the_end, refuse_taken, remove
from latency_tables.figures import Figure
from latency_tables.fitting.ratios import Ratios
from latency_tables.fitting.sampling import choose
from latency_tables.measuring.mismatch import refuse_other_device
from latency_tables.measuring.session import Progress, Session
from latency_tables.ops import Graph
from latency_tables.records import Network, Origin, StoredFailure
from latency_tables.storage import lock
from latency_tables.storage.copying import copy
from latency_tables.storage.database import is_url
from latency_tables.store import LatencyTable
from latency_tables.transfer import LEAST_SAMPLES, MAX_ERROR_PERCENT, Transferred, transfer
from latency_tables.units import Units, retyped
from mnas.errors import BadInput
from mnas.lower import DTYPES, lower
from mnas.spaces.covering import covering_choices
from mnas.tables import TableRequest, unlike, unseen

#: what may differ between a table and the one that is made from it, if it is named, besides the device
ACROSS = ("dtype",)
#: random networks to choose samples from, beside those that cover the space; and those that are to be known
CANDIDATES, OTHERS = 200, 100
#: what the file of measured samples is called
SAMPLES = ".samples"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a transfer is asked for.

    Attributes:
        samples: networks to measure on the new device.
        seed: of the networks to choose from.
        dtype: element type of the new table; None is the other's.
        across: what may differ, of `ACROSS`.
        max_error_percent: a table whose held-out error is larger is not made.
    """

    samples: int = 20
    seed: int = 0
    dtype: str | None = None
    across: Collection[str] = ()
    max_error_percent: float = MAX_ERROR_PERCENT

    def __post_init__(self) -> None:
        if self.samples < LEAST_SAMPLES:
            raise BadInput(f"{self.samples} samples; it takes {LEAST_SAMPLES} or more to tell the error")
        if self.dtype is not None and self.dtype not in DTYPES:
            raise BadInput(f"element type {self.dtype!r}; allowed: {', '.join(DTYPES)}")
        if odd := sorted(set(self.across) - set(ACROSS)):
            raise BadInput(f"--across {odd[0]}; allowed: {', '.join(ACROSS)}")
        if not self.max_error_percent > 0:
            raise BadInput(f"a largest error of {self.max_error_percent} %; it must be more than 0")


@dataclass(frozen=True, slots=True)
class TransferReport:
    """What a transfer came to.

    Attributes:
        found: figures and their error; None where the time was over before there were enough samples.
        refused: why no table was made; None if one was.
        samples: networks measured on the new device.
        kept: the file with what was measured, where no table was made.
        measured: passes that this call measured.
        profiler: why the device has no profiler, so that whole latencies had to tell; None where it has one.
    """

    found: Transferred | None
    refused: str | None
    samples: int
    kept: str | None
    measured: int
    profiler: str | None
    budget_over: bool
    failures: tuple[StoredFailure, ...]
    seconds: float


def transfer_table(
    source: LatencyTable,
    device: Device,
    output: str,
    wanted: Wanted,
    plan: Plan = PLAN,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    budget_s: float | None = None,
    stop: threading.Event | None = None,
) -> TransferReport:
    """Make a table for a device from another's and a few measured networks.

    Args:
        source: the other table; of a space, and complete.
        output: the new table's file.

    Raises:
        BadInput: the table is of no space, of another element type than was asked for, or of this device.
        BadTable: it is incomplete, something is at the output or somebody at work there, or the samples there
            are of another device. What was made at the output meanwhile stays, and the samples are kept.
        DeviceTrouble: nothing can be measured on the device; what was measured is kept.
        KeyboardInterrupt: it was interrupted; likewise.
    """
    request = _request(source, device, wanted)
    if is_url(output):
        raise BadInput("a transferred table is made in a file; `mnas table merge` puts it on a server")
    refuse_taken(output)
    figures = as_dtype(source.predictor().figures, request.dtype)
    place = f"{output}{SAMPLES}"
    with lock.builder(output):
        refuse_taken(output)  # another transfer may have made it just now
        with _samples(place, request, device) as table, table.building():
            refuse_other_device(table, device)
            session = Session(table, device, plan, budget_s=budget_s, on_progress=on_progress, stop=stop)
            chooser = Chooser(figures, request, wanted.seed)
            # whether there is a profile decides which networks tell most: the first ones show it
            for count in (LEAST_SAMPLES, wanted.samples):
                profile = bool(table.observations()) or not table.measured()
                session.add_networks(chooser.choose(table.networks(), count, profile=profile))
                _measure(session)
            session.close()
            if session.drifted is not None:
                anchor_within(session, plan.passes)
            counted = len({name for name, _ in table.measured()})
            found: Transferred | None = None
            refused: str | None = f"the time was over after {counted} samples"
            if not session.cut_short:
                found = transfer(figures, table.contents(), output)
                refused = _judge(found, wanted)
                if refused is None:
                    with named_at_the_end(output) as new:
                        copy(place, Path(new))
                        with LatencyTable.open(new) as made:
                            made.add_given(found.figures)
                            made.say_given_from(_said(source, found))
            failures = tuple(table.failures())
        if refused is None:
            remove(place)
    return TransferReport(
        found=found,
        refused=refused,
        samples=counted,
        kept=place if refused else None,
        measured=session.measured,
        profiler=session.profiler,
        budget_over=session.cut_short,
        failures=failures,
        seconds=session.seconds,
    )


def as_dtype(figures: Mapping[str, Figure], dtype: str) -> dict[str, Figure]:
    """Figures under the units of another element type: the same operators, as a space has them in both."""
    return {unit: replace(one, unit=unit) for unit, one in retyped(figures, dtype).items()}


def _request(source: LatencyTable, device: Device, wanted: Wanted) -> TableRequest:
    request = TableRequest.of_table(source)
    if not source.ready:
        raise BadTable(
            f"the latency table {source.address} is incomplete: go on with the `mnas table build` that began "
            "it"
        )
    if wanted.dtype not in (None, request.dtype) and "dtype" not in wanted.across:
        raise BadInput(
            f"the latency table {source.address} is of {request.dtype} networks, and {wanted.dtype} was "
            "asked for; if that is meant, say --across dtype"
        )
    dtype = wanted.dtype or request.dtype
    if dtype == request.dtype and not source.origin.differences(device.facts, device.settings):
        raise BadInput(
            f"the latency table {source.address} is of this very device under these settings: "
            "`mnas table anchor` calibrates it again"
        )
    return replace(request, dtype=dtype, anchors=wanted.samples)


def _samples(place: str, request: TableRequest, device: Device) -> LatencyTable:
    """The file of samples, new or begun."""
    if not LatencyTable.exists(place):
        return LatencyTable.create(place, Origin(asdict(request), device.facts, device.settings), [])
    table = LatencyTable.open(place)
    if differences := unlike(request, table.origin.purpose, "the samples'", besides=("anchors",)):
        table.close()
        raise BadTable(
            f"{place} holds samples for something else: {'; '.join(differences)}. Remove it, or name another "
            "table"
        )
    return table


def _measure(session: Session) -> None:
    there = session.table.measured()
    passes = range(session.plan.passes)
    lacking = [name for name in session.networks if any((name, index) not in there for index in passes)]
    sweep(session, lacking, "networks")
    if session.profiler is not None:  # it turned out on the way: the rest is measured whole
        sweep(session, lacking, "networks")


class Chooser:
    """Chooses samples: few networks of a space after which the others are known best."""

    def __init__(self, figures: Mapping[str, Figure], request: TableRequest, seed: int = 0) -> None:
        """For a space.

        Args:
            figures: of the device that is known, in the request's element type.
            seed: of the networks to choose from.
        """
        space, dtype = request.space_of(), request.dtype
        drawn = unseen(space, dtype, CANDIDATES + OTHERS, request.seed + 2_000_003 * (seed + 1), [])
        graphs = [
            lower(space.decode(choices), dtype).graph
            for choices in (*drawn, *covering_choices(space, dtype, 1))
        ]
        self._latencies_ms = {unit: one.latency_ms for unit, one in figures.items()}
        self._ratios = Ratios(self._latencies_ms)
        self._units = Units(figures)
        self._others = [self._split(graph) for graph in graphs[:OTHERS]]
        self._candidates = {graph.specs: (graph, self._split(graph)) for graph in graphs[OTHERS:]}

    def choose(self, there: Sequence[Network], count: int, *, profile: bool) -> list[Network]:
        """The networks to measure beside those that are there, so that they become `count`."""
        known = {one.graph.specs for one in there}
        left = [one for specs, one in self._candidates.items() if specs not in known]
        places = choose(
            self._ratios,
            self._latencies_ms,
            [units for _, units in left],
            self._others,
            max(0, count - len(there)),
            profile=profile,
            measured=[self._split(one.graph) for one in there],
        )
        return [
            Network(f"sample-{len(there) + number:03}", left[place][0], "anchor")
            for number, place in enumerate(places)
        ]

    def _split(self, graph: Graph) -> list[str]:
        found, missing = self._units.split(graph.specs)
        if missing:
            raise BadTable(f"the table to transfer from lacks {missing[0]}")
        return [unit for unit, _ in found]


def _judge(found: Transferred, wanted: Wanted) -> str | None:
    if found.mape_percent <= wanted.max_error_percent:
        return None
    return (
        f"it does not transfer: each predicted from the others, {len(found.residuals)} samples are off "
        f"by {found.mape_percent:.1f} % on the mean "
        f"({found.low_percent:.1f} to {found.high_percent:.1f} %), "
        f"more than {wanted.max_error_percent:g} %"
    )


def _said(source: LatencyTable, found: Transferred) -> str:
    return (
        f"{source.origin.facts.address} ({Path(source.address).name}), by {len(found.residuals)} samples; "
        f"each, predicted from the others, is {found.mape_percent:.2f} % off on the mean "
        f"({found.low_percent:.2f} to {found.high_percent:.2f} %)"
    )
