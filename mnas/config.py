"""All settings of one search as a value, to and from TOML. Opens nothing that the settings name."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self

import tomli_w

from mnas.errors import BadInput, BadRun
from mnas.lower import DTYPES

SCHEMA = 1
LATENCIES = ("table", "device")

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
        if self.latency == "table" and self.table is None:
            raise BadInput("latency is 'table' but no table is given; give one, or measure on the device")

    def to_toml(self) -> str:
        """The text form that `from_toml` reads back."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        values["training"] = dict(values.pop("training"))
        return tomli_w.dumps({"schema": SCHEMA} | {name: v for name, v in values.items() if v is not None})

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
        for name, value in values.items():
            if name not in _TYPES:
                raise BadRun(f"unknown field {name!r}")
            if isinstance(value, bool) or not isinstance(value, _TYPES[name]):
                raise BadRun(
                    f"field {name} is {value!r}; it must be {' or '.join(t.__name__ for t in _TYPES[name])}"
                )
        for name, value in values.get("training", {}).items():
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise BadRun(f"field training.{name} is {value!r}; it must be a number or a word")
        needed = [one.name for one in fields(cls) if one.default is one.default_factory is MISSING]
        if missing := [name for name in needed if name not in values]:
            raise BadRun(f"missing field(s): {', '.join(missing)}")
        try:
            return cls(**values)
        except BadInput as error:
            raise BadRun(str(error)) from error


def differences(frozen: RunConfig, wanted: RunConfig) -> tuple[str, ...]:
    """What in `wanted` contradicts a run made with `frozen`, one text per field; more trials do not."""
    found = []
    for entry in fields(RunConfig):
        old, new = getattr(frozen, entry.name), getattr(wanted, entry.name)
        same_table = entry.name == "table" and frozen.table_sha256 == wanted.table_sha256
        if old == new or same_table or (entry.name == "trials" and new > old):
            continue
        found.append(difference(entry.name, old, new))
    return tuple(found)


def difference(name: str, old: object, new: object) -> str:
    """How a setting that is frozen differs from the one that is asked for; None is one that is not set."""
    return f"{name} is {_print(old)}, " + ("and now left out" if new is None else f"not {_print(new)}")


def _print(value: object) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{name}={item}" for name, item in sorted(value.items())) + ")"
    return "not set" if value is None else str(value)
