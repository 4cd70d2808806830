"""From a search's settings to its costs and goals, and where latencies can be measured. Trains nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mnas import spaces
from mnas.config import RunConfig
from mnas.costs import Cost, Latency, goals_for, other
from mnas.feasible import require_feasible
from mnas.latency import DeviceLatency, LatencySource, TableLatency
from mnas.run import RunDirectory
from mnas.search_tables import complete_table, placed
from mnas.spaces import Space
from mnas.status import goals_of
from mnas.wanted import LATENCY, label_of

if TYPE_CHECKING:
    from devices.device import Device
    from latency_tables.store import LatencyTable
    from mnas.correction import Measurable


@dataclass(frozen=True, slots=True)
class Opened:
    """What a search knows of candidates without training them.

    Attributes:
        latencies: by device, the first device first and with the empty name.
        others: costs that are no latencies.
        tables: open, by device likewise; none where candidates are measured.
        dtypes: of the tables, by device likewise.
    """

    latencies: Mapping[str, LatencySource]
    others: tuple[Cost, ...]
    tables: Mapping[str, LatencyTable]
    dtypes: Mapping[str, str]

    def costs(self, space: Space) -> tuple[Cost, ...]:
        """All of them, the latencies first."""
        named = (Latency(source, space, name or None) for name, source in self.latencies.items())
        return (*named, *self.others)


def space_of(config: RunConfig) -> Space:
    """The space that a search looks through."""
    return spaces.create(config.space, config.resolution, config.width, config.channels, config.classes)


@contextmanager
def by_tables(config: RunConfig, files: Mapping[str, Path | str]) -> Iterator[Opened]:
    """What tables in these files tell, by device, the first device's name being empty.

    Raises:
        BadInput: a table is incomplete, or does not know a cost.
    """
    others = {label_of(name) or "": one for name, one in config.also.items() if one.table is not None}
    dtypes = {"": config.dtype, **{name: one.dtype or config.dtype for name, one in others.items()}}
    with ExitStack() as stack:
        tables = {name: stack.enter_context(complete_table(file)) for name, file in files.items()}
        latencies = {name: TableLatency(table, dtypes[name]) for name, table in tables.items()}
        yield Opened(latencies, _others(config, tables, dtypes), tables, dtypes)


def _others(
    config: RunConfig, tables: Mapping[str, LatencyTable], dtypes: Mapping[str, str]
) -> tuple[Cost, ...]:
    space = space_of(config)
    found = []
    for name in config.also:
        if not name.startswith(LATENCY):
            device = label_of(name) or ""
            found.append(other(name, space, dtypes.get(device, config.dtype), tables.get(device)))
    return tuple(found)


@contextmanager
def opened_for(
    run: RunDirectory,
    *,
    bench: Path | None = None,
    wait_s: float = 0.0,
    on_event: Callable[[str], None] | None = None,
) -> Iterator[Opened]:
    """What a run knows of candidates: by its own copies of the tables, or the device that measures each."""
    config = run.config
    if config.latency == "table":
        files = {one.label or "": run.table_of(one.label) for one in placed(config)}
        with by_tables(config, files) as opened:
            yield opened
        return
    from devices.plan import Plan

    plan = Plan(passes=3, min_runs=30, min_time_s=0.2, seed=config.seed)
    with closing(device_of(config, bench=bench, wait_s=wait_s, on_event=on_event)) as device:
        measured = DeviceLatency(device, plan, config.dtype)
        yield Opened({"": measured}, _others(config, {}, {}), {}, {"": config.dtype})


def require_possible(config: RunConfig) -> None:
    """Check that some architecture keeps to targets and caps, by the tables as they were given.

    Raises:
        Infeasible: none does.
        BadInput: a table is incomplete, or does not know a cost.
    """
    space = space_of(config)
    if config.latency != "table":
        _others(config, {}, {})
        return
    with by_tables(config, {one.label or "": one.table for one in placed(config)}) as opened:
        costs = opened.costs(space)
        require_feasible(space, costs, goals_for(costs, goals_of(config)))


def measurables(
    config: RunConfig, opened: Opened, *, bench: Path | None = None, across: Collection[str] = ()
) -> dict[str, Measurable]:
    """Where each latency that a table predicts can be measured, by the name of the cost.

    A device that was not asked for by a name in bench.toml is the one that its table was made on.
    """
    from devices.errors import BadSettings
    from devices.inventory.file import load
    from mnas.correction import Measurable
    from mnas.visiting import WAIT_S, place_of

    space, found = space_of(config), {}
    aims = {goal.cost: goal.target for goal in goals_of(config)}
    inventory = load(bench)
    for one in placed(config):
        name = one.label or ""
        cost = Latency(opened.latencies[name], space, one.label)
        connect = partial(device_of, config, one.where, threads=one.threads, bench=bench, wait_s=WAIT_S)
        try:
            here = inventory.entry(one.where).place.scheme == "local"
        except BadSettings:  # which a visit will say, too
            here = False
        label = config.names.get(cost.name, one.where)
        place = place_of(label, connect, opened.tables[name], across=across, here=here)
        found[cost.name] = Measurable(opened.latencies[name], place, aims.get(cost.name), opened.dtypes[name])
    return found


def device_of(
    config: RunConfig,
    where: str | None = None,
    *,
    threads: int | None = None,
    bench: Path | None = None,
    wait_s: float = 0.0,
    on_event: Callable[[str], None] | None = None,
) -> Device:
    """The device whose latencies count, with the run's threads; `where` names another one.

    Raises:
        BadSettings: there is no such device.
        DeviceTrouble: it cannot be reached.
    """
    from devices.registry import open_device, settings_for

    where = config.device if where is None else where
    settings = settings_for(where, bench=bench, threads=threads or config.threads)
    return open_device(where, settings, bench=bench, wait_s=wait_s, on_event=on_event)
