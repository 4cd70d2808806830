"""From what is asked for to the settings of a search, refused before anything is made. Searches nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnas import spaces
from mnas.config import TRIALS, RunConfig
from mnas.errors import BadInput
from mnas.search_costs import require_possible, space_of
from mnas.search_tables import Conditions, completed, require_conditions, sha256

if TYPE_CHECKING:
    from mnas.data import Dataset

#: training steps of a candidate where neither steps nor epochs are asked for
STEPS = 320
#: settings of a new search that has to say nothing about them
CONTROLLER = "predictor_guided"
#: images that every dataset is taken to have, without reading them
FEW = 10

Settings = Mapping[str, Any]


def begin(
    given: Settings,
    training: Settings,
    bench: Path | None = None,
    across: Collection[str] = (),
    conditions: Conditions | None = None,
) -> RunConfig:
    """The configuration of a new search.

    A table is compared with the device that its latencies are to be of, as far as that can be reached: the
    one that was asked for, else the one that it was made on. A device that was not asked for and is plainly
    another one, such as this machine for a table of `local` from elsewhere, is no obstacle:
    `mnas.search_tables.table_warnings`.

    Args:
        given: fields of `RunConfig` that were asked for. It needs `dataset`, `target_ms`, and either
            `table` or `latency` as `device` with a `space`.
        training: fields of `TrainingPlan` that were asked for.
        bench: the inventory in which devices are looked up.
        across: names of facts and settings in which a device may differ from its table's, unless given.
        conditions: remembers how the devices are, for a caller that asks again; by default one for `bench`.

    Raises:
        BadInput: something is missing, unusable, or at odds with a table, or a table is incomplete or
            was measured under other conditions than its device has now.
        BadTable: `across` names what is no fact and no setting.
        BadSettings: there is no such device.
        ControllersError: there is no such controller, or it does not take its settings.
        BadDataset: a validation share is so small or large that images have to be counted, and they cannot be
            read.
        Infeasible: no architecture of the space keeps to the targets and caps, by the tables.
    """
    from devices.registry import settings_for
    from mnas.data import open_dataset
    from mnas.training_plan import TrainingPlan

    conditions = conditions or Conditions(bench)
    measured = given.get("latency") == "device"
    _require(given, measured)
    dataset = open_dataset(given["dataset"])
    settings = {"controller": CONTROLLER, "trials": TRIALS, "across": tuple(across), **given}
    settings |= {"channels": dataset.channels, "classes": len(dataset.labels)}
    settings["settings"] = _of_controller(settings)
    if measured:
        space = spaces.create(settings["space"], settings.get("resolution"), settings.get("width"))
        settings |= {"resolution": space.resolution, "width": getattr(space, "width", None)}
        own = settings_for(settings.get("device", "local"), bench=bench, threads=settings.get("threads"))
        settings |= {"threads": own.threads}
    else:
        settings = completed(settings, conditions)
    training = {"steps": STEPS, **training} if "epochs" not in training else training
    config = RunConfig(**settings)
    _require_split(dataset, config)
    space_of(config)
    require_possible(config)
    if not measured:
        require_conditions(config, conditions, asked="device" in given)
    plan = TrainingPlan(**training)
    frozen = {entry.name: getattr(plan, entry.name) for entry in fields(plan)}
    return replace(config, training={name: value for name, value in frozen.items() if value is not None})


def _require(given: Settings, measured: bool) -> None:
    """See that a new search has all that it needs."""
    if measured and "table" in given:
        raise BadInput("latency comes from a table or from measuring, not from both")
    missing = [name for name in ("dataset", "target_ms") if name not in given]
    missing += [] if measured or "table" in given else ["table"]
    missing += ["space"] if measured and "space" not in given else []
    if missing:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        why = ". The best network keeps to the target; where only a cap counts, give its figure for both"
        why = why if "target_ms" in missing else ""
        raise BadInput(f"a new search also needs {options}; to go on with one, name its directory by -o{why}")


def _require_split(dataset: Dataset, config: RunConfig) -> None:
    """See that images are left to train and to validate on; read only for an extreme share."""
    from mnas.data import split

    if not 0 < round(FEW * config.validation_share) < FEW:
        split(dataset.train(), seed=config.seed, validation_share=config.validation_share)


def _of_controller(settings: Settings) -> dict[str, Any]:
    """All settings of the strategy as they are now, so that the run repeats under any later defaults.

    One that plans for so many trials plans for those that the run begins with, though it may get more.
    """
    from controllers.registry import create, settled

    name = settings["controller"]
    found = settled(name, settings.get("settings", {}))
    if found.get("trials") == 0:
        found["trials"] = settings["trials"]
    create(name, 0, settings=found)
    return found


def resume(config: RunConfig, given: Settings, training: Settings) -> RunConfig:
    """The configuration of an existing search with what is asked for now; what may not change shows later."""
    settings = dict(given)
    if "table" in settings and settings["table"] != config.table:
        settings["table_sha256"] = sha256(settings["table"])
    if "also" in settings:
        settings["also"] = {
            name: one
            if one.table is None or one.table_sha256
            else replace(one, table_sha256=sha256(one.table))
            for name, one in settings["also"].items()
        }
    if "settings" in settings:
        asked = _as_kept(settings.get("controller", config.controller), config, settings["settings"])
        settings["settings"] = {**config.settings, **asked}
    plan = dict(config.training)
    if "epochs" in training:
        plan.pop("steps", None)
    if "steps" in training:
        plan.pop("epochs", None)
    return replace(config, **settings, training={**plan, **training})


def _as_kept(controller: str, config: RunConfig, given: Settings) -> dict[str, Any]:
    """Settings of a strategy that are asked for, by their types; as the run has them where they agree."""
    from controllers.registry import settled

    read = {name: settled(controller, given)[name] for name in given}
    if controller != config.controller:
        return read
    kept = settled(controller, {name: config.settings[name] for name in given if name in config.settings})
    return {
        name: config.settings[name] if name in config.settings and kept[name] == value else value
        for name, value in read.items()
    }
