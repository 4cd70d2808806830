"""From the settings of a search to the things they name, and the search itself. Knows no command line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnas import spaces
from mnas.config import RunConfig
from mnas.errors import BadInput, BadRun
from mnas.latency import (
    DeviceLatency,
    LatencySource,
    TableLatency,
    build_command,
    differing,
    require_complete,
    require_reachable,
)
from mnas.run import RunDirectory
from mnas.spaces import Space

if TYPE_CHECKING:
    from devices.device import Device
    from latency_tables.records import Origin
    from mnas.accuracy import Evaluator
    from mnas.data import Dataset, Images
    from mnas.search import Status
    from mnas.training_plan import TrainingPlan

#: training steps of a candidate where neither steps nor epochs are asked for
STEPS = 320
#: settings of a new search that has to say nothing about them
CONTROLLER = "tpe"
TRIALS = 40
#: settings that a search takes from its table unless they are given
_OF_TABLE = ("space", "resolution", "width", "dtype")
#: facts that no update changes: where one differs, it is another device
ANOTHER_DEVICE = frozenset({"machine", "cpu_model", "soc", "identity"})

Settings = Mapping[str, Any]


def begin(
    given: Settings, training: Settings, bench: Path | None = None, across: Collection[str] = ()
) -> RunConfig:
    """The configuration of a new search.

    A table is compared with the device that its latencies are to be of, as far as that can be reached: the
    one that was asked for, else the one that it was made on. A device that was not asked for and is plainly
    another one, such as this machine for a table of `local` from elsewhere, is no obstacle: `table_warnings`.

    Args:
        given: fields of `RunConfig` that were asked for. It needs `dataset`, `target_ms`, and either
            `table` or `latency` as `device` with a `space`.
        training: fields of `TrainingPlan` that were asked for.
        bench: the inventory in which the device is looked up.
        across: names of facts and settings in which the device may differ from the table's.

    Raises:
        BadInput: something is missing, unusable, or at odds with the table, or the table is incomplete or
            was measured under other conditions than the device has now.
        BadTable: `across` names what is no fact and no setting.
        BadSettings: there is no such device.
        Infeasible: no architecture of the space reaches the target, by the table.
    """
    from controllers.registry import create
    from devices.registry import settings_for
    from mnas.data import open_dataset
    from mnas.training_plan import TrainingPlan

    measured = given.get("latency") == "device"
    if measured and "table" in given:
        raise BadInput("latency comes from a table or from measuring, not from both")
    missing = [name for name in ("dataset", "target_ms") if name not in given]
    missing += [] if measured or "table" in given else ["table"]
    missing += ["space"] if measured and "space" not in given else []
    if missing:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise BadInput(f"a new search also needs {options}; to go on with one, name its directory by -o")
    dataset = open_dataset(given["dataset"])
    settings = {"controller": CONTROLLER, "trials": TRIALS, **given}
    settings |= {"channels": dataset.channels, "classes": len(dataset.labels)}
    create(settings["controller"], 0)
    if measured:
        space = spaces.create(settings["space"], settings.get("resolution"), settings.get("width"))
        settings |= {"resolution": space.resolution, "width": getattr(space, "width", None)}
        own = settings_for(settings.get("device", "local"), bench=bench, threads=settings.get("threads"))
        settings |= {"threads": own.threads}
    else:
        settings = _with_table(settings)
    training = {"steps": STEPS, **training} if "epochs" not in training else training
    config = RunConfig(**settings)
    space_of(config)
    if not measured:
        with _table(settings["table"], config.dtype) as latency:
            require_reachable(space_of(config), latency, config.target_ms)
        _require_conditions(config, bench, across, asked="device" in given)
    plan = TrainingPlan(**training)
    frozen = {entry.name: getattr(plan, entry.name) for entry in fields(plan)}
    return replace(config, training={name: value for name, value in frozen.items() if value is not None})


def resume(config: RunConfig, given: Settings, training: Settings) -> RunConfig:
    """The configuration of an existing search with what is asked for now; what may not change shows later."""
    settings = dict(given)
    if "table" in settings and settings["table"] != config.table:
        settings["table_sha256"] = sha256(settings["table"])
    plan = dict(config.training)
    if "epochs" in training:
        plan.pop("steps", None)
    if "steps" in training:
        plan.pop("epochs", None)
    return replace(config, **settings, training={**plan, **training})


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
        return search(space, evaluator, latency, sampler, run, on_progress=on_progress)


def table_warnings(run: RunDirectory, bench: Path | None = None) -> tuple[str, ...]:
    """What to know of a run's table before its predictions are believed; the run's log gets it too.

    The table is compared with the device that the run's settings name. A search by a table does without the
    device, so where that cannot be reached there is nothing to say of it, as in a search that measures.

    Raises:
        BadTable: the run's copy of the table cannot be read.
    """
    from latency_tables.store import LatencyTable

    config = run.config
    if config.latency != "table":
        return ()
    with LatencyTable.open(run.table) as table:
        origin, stale = table.origin, table.stale
    texts = []
    if stale is not None:
        texts.append(f"the latency table is stale, {stale}: its predictions may be off as a whole")
    if found := _differing(config, origin, bench):
        texts.append(
            f"the latency table is from elsewhere than {config.device}, where its figures may not hold: "
            f"{'; '.join(found)}"
        )
    for text in texts:
        run.log(text)
    return tuple(texts)


def _differing(config: RunConfig, origin: Origin, bench: Path | None) -> list[str]:
    """What differs between a table and the device of a run as it is now; nothing where it is out of reach."""
    from devices.errors import DevicesError
    from devices.governor import governor_now

    try:
        with closing(device_of(config, bench=bench)) as device:
            return differing(origin, device.facts, device.settings, governor_now(device))
    except DevicesError:
        return []


def _require_conditions(
    config: RunConfig, bench: Path | None, across: Collection[str], *, asked: bool
) -> None:
    """Check that the device of a run is as its table was measured.

    Args:
        asked: whether it was asked for; if not, another device in its place is none of the run's.

    Raises:
        BadInput: it is not; says what differs and what to do.
    """
    from latency_tables.measuring.mismatch import beyond, name_of, options, refuse_unknown_names
    from latency_tables.store import LatencyTable
    from mnas.tables import TableRequest

    assert config.table is not None
    refuse_unknown_names(across)
    with LatencyTable.open(config.table) as table:
        origin, request, address = table.origin, asdict(TableRequest.of_table(table)), table.address
    found = _differing(config, origin, bench)
    if not asked and any(name_of(one) in ANOTHER_DEVICE for one in found):
        return
    if refused := beyond(found, across):
        where = {"device": config.device, "threads": config.threads}
        raise BadInput(
            f"the latency table {address} was measured under other conditions than {config.device} has "
            f"now: {'; '.join(refused)}. Measure another table, {build_command(request | where)} -o NEW, or "
            f"search by this one in spite of that: {options(refused)}"
        )


def space_of(config: RunConfig) -> Space:
    """The space that a search looks through."""
    return spaces.create(config.space, config.resolution, config.width, config.channels, config.classes)


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
        with _table(run.table, config.dtype) as source:
            yield source
        return
    from devices.plan import Plan

    plan = Plan(passes=3, min_runs=30, min_time_s=0.2, seed=config.seed)
    with closing(device_of(config, bench=bench, wait_s=wait_s, on_event=on_event)) as device:
        yield DeviceLatency(device, plan, config.dtype)


def sha256(table: Path | str) -> str:
    """Hexadecimal SHA-256 of a table in a file or on a server.

    Raises:
        BadInput: there is none, or it cannot be read.
    """
    from latency_tables.errors import BadTable
    from latency_tables.storage.copying import digest

    try:
        return digest(str(table))
    except BadTable as error:
        raise BadInput(str(error)) from error


@contextmanager
def _table(file: Path | str, dtype: str) -> Iterator[TableLatency]:
    from latency_tables.store import LatencyTable

    with LatencyTable.open(file) as table:
        require_complete(table)
        yield TableLatency(table, dtype)


def _with_table(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings completed by what the table was made for, which must fit the dataset and the wishes."""
    from latency_tables.storage.database import shown
    from latency_tables.store import LatencyTable
    from mnas.tables import TableRequest

    file = settings["table"]
    if shown(file) != file:
        raise BadInput(
            f"the settings of a search keep the address of its table, {shown(file)}: "
            "give the password by PGPASSWORD or ~/.pgpass, not in the URL"
        )
    digest = sha256(file)
    with LatencyTable.open(file) as table:
        request = TableRequest.of_table(table)
        device = {"device": table.origin.facts.address, "threads": table.origin.settings.threads}
    made = {name: getattr(request, name) for name in (*_OF_TABLE, "channels", "classes")} | device
    wanted = {name: settings[name] for name in made if name in settings}
    if odd := [f"{name} {made[name]}, not {value}" for name, value in wanted.items() if made[name] != value]:
        raise BadInput(
            f"the latency table {file} was made for {', '.join(odd)}; make one that fits with "
            f"{build_command(made | wanted)}"
        )
    return made | settings | {"table_sha256": digest}


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
