"""From the settings of a search to the things they name, and the search itself. Knows no command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnas import spaces
from mnas.config import RunConfig
from mnas.errors import BadRun
from mnas.latency import DeviceLatency, LatencySource, TableLatency, require_reachable
from mnas.run import RunDirectory
from mnas.search_tables import complete_table
from mnas.spaces import Space

if TYPE_CHECKING:
    from devices.device import Device
    from mnas.accuracy import Evaluator
    from mnas.data import Dataset, Images
    from mnas.search import Status
    from mnas.training_plan import TrainingPlan


def search_run(
    run: RunDirectory,
    on_progress: Callable[[Status], None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
    *,
    bench: Path | None = None,
    wait_s: float = 0.0,
    on_event: Callable[[str], None] | None = None,
) -> Status:
    """Search, or go on searching, as a run's configuration says.

    Args:
        run: open for writing.
        on_progress: called at the start and after every proposal.
        on_step: told a candidate's training steps done and in all.
        bench: the inventory in which the device is looked up.
        wait_s: how long to wait for a device that another job holds.
        on_event: told, in words, what the device is waited for.

    Raises:
        BadInput: something that the configuration names cannot be had any more.
        DeviceTrouble: the device cannot measure.
    """
    from controllers.registry import create
    from mnas.search import search

    config = run.config
    space = space_of(config)
    with latency_of(run, bench=bench, wait_s=wait_s, on_event=on_event) as latency:
        sampler = create(config.controller, config.seed)
        evaluator = _evaluator(config, on_step)
        return search(space, sampler, accuracy=evaluator, latency=latency, run=run, on_progress=on_progress)


def space_of(config: RunConfig) -> Space:
    """The space that a search looks through."""
    return spaces.create(config.space, config.resolution, config.width, config.channels, config.classes)


def require_possible(config: RunConfig) -> None:
    """Check that some architecture keeps to the targets and caps, by the tables as they were given.

    Raises:
        Infeasible: none does.
        BadInput: a table is incomplete, or does not know a cost.
    """
    if config.table is not None:
        with complete_table(config.table) as table:
            require_reachable(space_of(config), TableLatency(table, config.dtype), config.target_ms)


@contextmanager
def latency_of(
    run: RunDirectory,
    *,
    bench: Path | None = None,
    wait_s: float = 0.0,
    on_event: Callable[[str], None] | None = None,
) -> Iterator[LatencySource]:
    """Where a search's latencies come from: its own copy of the table, or the device."""
    config = run.config
    if config.latency == "table":
        with complete_table(run.table) as table:
            yield TableLatency(table, config.dtype)
        return
    from devices.plan import Plan

    plan = Plan(passes=3, min_runs=30, min_time_s=0.2, seed=config.seed)
    with closing(device_of(config, bench=bench, wait_s=wait_s, on_event=on_event)) as device:
        yield DeviceLatency(device, plan, config.dtype)


def device_of(
    config: RunConfig,
    where: str | None = None,
    *,
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
    settings = settings_for(where, bench=bench, threads=config.threads)
    return open_device(where, settings, bench=bench, wait_s=wait_s, on_event=on_event)


def search_images(config: RunConfig, dataset: Dataset) -> tuple[Images, Images]:
    """The images that the search trains and validates on, at its resolution."""
    from mnas.data import resized, split

    images = resized(dataset.train(), config.resolution)
    return split(images, seed=config.seed, validation_share=config.validation_share)


def training_plan(values: Mapping[str, Any]) -> TrainingPlan:
    """The plan of which a run's file, or a change of it, gives the fields.

    Raises:
        BadInput: a figure that no training plan takes.
        BadRun: a field that there is none of.
    """
    from mnas.training_plan import TrainingPlan

    try:
        return TrainingPlan(**values)
    except TypeError as error:
        raise BadRun(f"the run's training plan cannot be used: {error}") from error


def _evaluator(config: RunConfig, on_step: Callable[[int, int], None] | None) -> Evaluator:
    from mnas.accuracy import ProxyTraining
    from mnas.data import open_dataset

    dataset = open_dataset(config.dataset)
    if (dataset.channels, len(dataset.labels)) != (config.channels, config.classes):
        raise BadRun(
            f"{config.dataset} now has {dataset.channels} channels and {len(dataset.labels)} classes; "
            f"the run was begun with {config.channels} and {config.classes}"
        )
    plan = training_plan(config.training)
    return ProxyTraining(*search_images(config, dataset), plan, config.seed, on_step)
