"""All settings of one search as a value, to and from TOML. Opens nothing that the settings name."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

import tomli_w

from mnas.errors import BadInput, BadRun
from mnas.lower import DTYPES
from mnas.records import require_fields
from mnas.reward import Exponents
from mnas.wanted import LATENCY, OF_NETWORKS, OtherCost, check_name, label_of

SCHEMA = 1
LATENCIES = ("table", "device")
#: candidates to train, unless a search says otherwise
TRIALS = 40
#: trained candidates after which the front is measured, unless a search says otherwise
MEASURE_EVERY = 20

#: allowed types per field in TOML; a field that may be None is left out there
_TYPES: Mapping[str, tuple[type, ...]] = {
    "space": (str,),
    "resolution": (int,),
    "width": (int, float),
    "dataset": (str,),
    "channels": (int,),
    "classes": (int,),
    "latency": (str,),
    "table": (str,),
    "table_sha256": (str,),
    "dtype": (str,),
    "device": (str,),
    "threads": (int,),
    "target_ms": (int, float),
    "cap_ms": (int, float),
    "controller": (str,),
    "trials": (int,),
    "seed": (int,),
    "validation_share": (int, float),
    "training": (dict,),
    "label": (str,),
    "also": (dict,),
    "reward": (str,),
    "alpha": (int, float),
    "beta": (int, float),
    "settings": (dict,),
    "measure_every": (int,),
    "across": (list,),
}
_OTHER_COST_TYPES: Mapping[str, tuple[type, ...]] = {
    "objective": (bool,),
    "target": (int, float),
    "cap": (int, float),
    "table": (str,),
    "table_sha256": (str,),
    "device": (str,),
    "threads": (int,),
    "dtype": (str,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What a run directory was made for. Everything but `trials` stays as it is for the life of the run.

    Attributes:
        space: name of the search space.
        resolution: height and width of the networks' input in pixels.
        width: the space's width multiplier; None is the space's own default.
        dataset: the dataset as `open_dataset` takes it.
        channels: colour channels of its images.
        classes: number of its labels.
        latency: `table` (predicted from a latency table) or `device` (every candidate is measured).
        table: the table's path as given; the run keeps its own copy. None when measuring.
        table_sha256: of the given table's content; None likewise.
        dtype: element type whose latency counts: `float32` or `int8`.
        device: address of the device that the latencies belong to.
        threads: threads of the runtime on it.
        target_ms: the reward's latency target; an unreachable one is refused before anything is trained.
        cap_ms: candidates above it are recorded infeasible and never trained; None for no cap.
        controller: name in the registry of controllers.
        trials: candidates to train. May grow later.
        seed: of the controller, the split and the training.
        validation_share: share of the training images that the search is judged on.
        training: fields of the proxy training's plan by name, those that are None left out.
        label: name that the command line gave the device by `--table NAME=FILE`; None for a table alone.
        also: what is wanted of costs besides this device's latency, by the cost's name.
        reward: the form of the reward's exponents, `soft` or `hard`.
        alpha: exponent at or below the target; None for that of the form.
        beta: exponent above the target; likewise.
        settings: of the controller, all of them, so that defaults of another version change nothing; runs of
            before have those that were asked for.
        measure_every: trained candidates after which the front is measured on the devices; 0 for never.
        across: facts and settings in which devices may differ from their tables'.
    """

    space: str
    resolution: int
    width: float | None = None
    dataset: str
    channels: int
    classes: int
    latency: str = "table"
    table: str | None = None
    table_sha256: str | None = None
    dtype: str = "float32"
    device: str = "local"
    threads: int = 1
    target_ms: float
    cap_ms: float | None = None
    controller: str
    trials: int
    seed: int = 0
    validation_share: float = 0.1
    training: Mapping[str, int | float | str] = field(default_factory=dict)
    label: str | None = None
    also: Mapping[str, OtherCost] = field(default_factory=dict)
    reward: str = "soft"
    alpha: float | None = None
    beta: float | None = None
    settings: Mapping[str, int | float | str | bool] = field(default_factory=dict)
    measure_every: int = MEASURE_EVERY
    across: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("resolution", "channels", "classes", "threads", "trials"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name in ("width", "target_ms", "cap_ms"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise BadInput(f"{name} is {value}; it must be a number above 0")
        if self.cap_ms is not None and self.cap_ms < self.target_ms:
            raise BadInput(
                f"cap_ms is {self.cap_ms:g}, below target_ms {self.target_ms:g}; it must not be lower"
            )
        if not 0 <= self.seed < 2**32:
            raise BadInput(f"seed is {self.seed}; it must lie between 0 and {2**32 - 1}")
        if not 0 < self.validation_share < 1:
            raise BadInput(f"validation_share is {self.validation_share}; it must lie between 0 and 1")
        for name, allowed in (("latency", LATENCIES), ("dtype", DTYPES)):
            if getattr(self, name) not in allowed:
                raise BadInput(f"{name} is {getattr(self, name)!r}; allowed: {', '.join(allowed)}")
        Exponents.of(self.reward, self.alpha, self.beta)
        if self.measure_every < 0:
            raise BadInput(f"measure_every is {self.measure_every}; it must be 0, for never, or more")
        for name in self.also:
            check_name(name)
        if self.latency == "table" and self.table is None:
            raise BadInput("latency is 'table' but no table is given; give one, or measure on the device")

    def to_toml(self) -> str:
        """The text form that `from_toml` reads back."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        for name in ("training", "settings"):
            values[name] = dict(values.pop(name))  # tables stand last in TOML
        values["also"] = {name: _set(asdict(one)) for name, one in values.pop("also").items()}
        values["across"] = list(self.across)
        kept = {name: value for name, value in _set(values).items() if value not in ({}, [])}
        return tomli_w.dumps({"schema": SCHEMA} | kept)

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Read the text form back.

        Raises:
            BadRun: no TOML, another schema version, or a field that is missing, unknown or unusable.
        """
        try:
            values: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise BadRun(f"not TOML: {error}") from error
        schema = values.pop("schema", None)
        if schema != SCHEMA:
            raise BadRun(f"schema version is {schema!r}; this version of mnas reads {SCHEMA}")
        _check(values, _TYPES)
        for part, kinds in (("training", (int, float, str)), ("settings", (int, float, str, bool))):
            for name, value in values.get(part, {}).items():
                if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                    raise BadRun(f"field {part}.{name} is {value!r}; it must be a number or a word")
        require_fields(values, cls)
        values = {"measure_every": 0, **values}  # runs of before did not measure
        if not all(isinstance(name, str) for name in values.get("across", [])):
            raise BadRun(f"field across is {values['across']!r}; it must be a list of words")
        try:
            values["across"] = tuple(values.get("across", ()))
            values["also"] = {name: _other(name, one) for name, one in values.get("also", {}).items()}
            return cls(**values)
        except BadInput as error:
            raise BadRun(str(error)) from error

    @property
    def names(self) -> dict[str, str]:
        """What people call the device of each cost, where devices have names."""
        costs = {LATENCY: self.label, **{name: label_of(name) or self.label for name in self.also}}
        return {name: label for name, label in costs.items() if label and name not in OF_NETWORKS}


def _set(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _check(values: Mapping[str, Any], types: Mapping[str, tuple[type, ...]], within: str = "") -> None:
    for name, value in values.items():
        if name not in types:
            raise BadRun(f"unknown field {within + name!r}")
        if isinstance(value, bool) is not (types[name] == (bool,)) or not isinstance(value, types[name]):
            kinds = " or ".join(kind.__name__ for kind in types[name])
            raise BadRun(f"field {within}{name} is {value!r}; it must be {kinds}")


def _other(name: str, values: Any) -> OtherCost:
    if not isinstance(values, dict):
        raise BadRun(f"field also.{name} is {values!r}; it must be a table")
    _check(values, _OTHER_COST_TYPES, f"also.{name}.")
    return OtherCost(**values)


def differences(frozen: RunConfig, wanted: RunConfig) -> tuple[str, ...]:
    """What in `wanted` contradicts a run made with `frozen`, one text per field; more trials do not."""
    found = []
    for entry in fields(RunConfig):
        old, new = getattr(frozen, entry.name), getattr(wanted, entry.name)
        same_table = entry.name == "table" and frozen.table_sha256 == wanted.table_sha256
        if old == new or same_table or (entry.name == "trials" and new > old):
            continue
        if entry.name == "also":
            found += _of_costs(old, new)
        elif entry.name == "settings":
            found += _of_controller(old, new) if frozen.controller == wanted.controller else []
        else:
            more = "; trials may only grow" if entry.name == "trials" else ""
            found.append(difference(entry.name, old, new) + more)
    return tuple(found)


def _of_controller(frozen: Mapping[str, object], wanted: Mapping[str, object]) -> list[str]:
    return [
        difference(f"controller option {name}", frozen.get(name), wanted.get(name))
        for name in dict.fromkeys([*frozen, *wanted])
        if frozen.get(name) != wanted.get(name)
    ]


def _of_costs(frozen: Mapping[str, OtherCost], wanted: Mapping[str, OtherCost]) -> list[str]:
    found = [f"{name} is a cost of it, and now left out" for name in frozen if name not in wanted]
    found += [f"{name} is none of its costs" for name in wanted if name not in frozen]
    for name in [name for name in frozen if name in wanted]:
        old, new = frozen[name], wanted[name]
        same_table = old.table_sha256 == new.table_sha256
        pairs = {field: (getattr(old, field), getattr(new, field)) for field in _OTHER_COST_TYPES}
        found += [
            difference(f"{field} of {name}", *pair)
            for field, pair in pairs.items()
            if pair[0] != pair[1] and not (field == "table" and same_table)
        ]
    return found


def difference(name: str, old: object, new: object) -> str:
    """How a setting that is frozen differs from the one that is asked for; None is one that is not set."""
    return f"{name} is {_print(old)}, " + ("and now left out" if new is None else f"not {_print(new)}")


def _print(value: object) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{name}={item}" for name, item in sorted(value.items()))
        return f"({inside})" if inside else "not set"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "not set"
    return "not set" if value is None else str(value)
