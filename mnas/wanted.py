"""What a search wants of costs, and the words that say so: targets, caps, objectives. Opens no table."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mnas.errors import BadInput

if TYPE_CHECKING:
    from mnas.config import RunConfig

#: the cost that a search has first, if it has any: latency on the first device; and energy
LATENCY, ENERGY = "latency_ms", "energy_mj"
#: costs that a latency table tells, besides latency
OF_TABLES = ("memory_bytes", ENERGY)
#: costs that are the network's own, whatever runs it
OF_NETWORKS = ("parameters", "file_bytes")
_OF_DEVICES = (LATENCY, *OF_TABLES)
#: a device's name, which is also part of a file's name
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherCost:
    """What a search wants of a cost besides the first device's latency.

    Attributes:
        objective: whether less of it is better; without, it is only held to its cap.
        target: for a latency, what the reward aims at, in the device's milliseconds.
        cap: candidates above it are never trained; None for no cap.
        table: the latency table that it comes from, as it was given; None for a network's own costs, and for
            costs by a table that another cost of the same device names.
        table_sha256: of that table's content.
        device: where the device is found: a name in bench.toml or an address.
        threads: threads of the runtime on it.
        dtype: element type of that table, whose latency counts.
    """

    objective: bool = True
    target: float | None = None
    cap: float | None = None
    table: str | None = None
    table_sha256: str | None = None
    device: str | None = None
    threads: int | None = None
    dtype: str | None = None

    def __post_init__(self) -> None:
        for name in ("target", "cap"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise BadInput(f"{name} is {value}; it must be a number above 0")
        if self.cap is not None and self.target is not None and self.cap < self.target:
            raise BadInput(f"cap is {self.cap:g}, below the target of {self.target:g}; it must not be lower")


def label_of(cost: str) -> str | None:
    """The device's name in a cost's; None for the first device and for a network's own costs."""
    return cost.partition(":")[2] or None


def check_name(cost: str) -> None:
    """See that a text names a cost that a search may want besides the first latency.

    Raises:
        BadInput: it does not.
    """
    kind, colon, label = cost.partition(":")
    plain = kind in {*OF_NETWORKS, *OF_TABLES} and not colon
    if not plain and not (kind in _OF_DEVICES and _NAME.fullmatch(label)):
        raise BadInput(
            f"there is no cost {cost!r}; there are: {', '.join((*OF_NETWORKS, *OF_TABLES))}, "
            f"and of another device {', '.join(f'{kind}:NAME' for kind in _OF_DEVICES)}"
        )


@dataclass(frozen=True, slots=True)
class Wishes:
    """Targets, caps and objectives by cost, where every named device's costs have its name.

    Attributes:
        tables: latency tables by the name of their device, in order; the name is None where one table alone
            was given without.
        first: name of the device whose latency comes first, if that is settled already.
    """

    tables: Mapping[str | None, str] = field(default_factory=dict)
    targets: Mapping[str, float] = field(default_factory=dict)
    caps: Mapping[str, float] = field(default_factory=dict)
    objectives: frozenset[str] = frozenset()
    first: str | None = None

    @classmethod
    def of_run(cls, config: RunConfig) -> Self:
        """What a run was made for."""
        also = {_full(name, config.label): one for name, one in config.also.items()}
        first = _full(LATENCY, config.label)
        tables = {config.label: config.table}
        tables |= {label_of(name): one.table for name, one in also.items() if one.table is not None}
        targets = {name: one.target for name, one in also.items()} | {first: config.target_ms}
        caps = {name: one.cap for name, one in also.items()} | {first: config.cap_ms}
        return cls(
            {label: table for label, table in tables.items() if table is not None},
            {name: value for name, value in targets.items() if value is not None},
            {name: value for name, value in caps.items() if value is not None},
            frozenset(name for name, one in also.items() if one.objective),
            config.label,
        )

    def settings(self) -> dict[str, Any]:
        """The fields of `RunConfig` that say this; what is not wanted is left out.

        The first device is the first with a target: one that only has a cap is no objective.
        """
        labels = list(self.tables) or [None]
        aimed = [label for label in labels if _full(LATENCY, label) in self.targets]
        first = self.first if self.first in labels else (aimed or labels)[0]
        found = {
            "label": first,
            "table": self.tables.get(first),
            "target_ms": self.targets.get(_full(LATENCY, first)),
            "cap_ms": self.caps.get(_full(LATENCY, first)),
            "also": {
                name if label_of(name) != first else name.partition(":")[0]: self._other(name)
                for name in self._others(first)
            },
        }
        return {name: value for name, value in found.items() if value not in (None, {})}

    def _others(self, first: str | None) -> list[str]:
        wanted = {*self.caps, *self.targets, *self.objectives}
        latencies = [_full(LATENCY, label) for label in self.tables if label != first]
        rest = sorted(name for name in wanted if name.partition(":")[0] != LATENCY)
        return [*latencies, *rest]

    def _other(self, name: str) -> OtherCost:
        kind, _, label = name.partition(":")
        wanted = name in self.objectives or name in self.targets
        if kind == LATENCY and name not in self.caps:
            told = {_full(one, label) for one in OF_TABLES}
            wanted = wanted or not told & {*self.caps, *self.objectives}
        table = self.tables.get(label) if kind == LATENCY else None
        return OtherCost(
            objective=wanted, target=self.targets.get(name), cap=self.caps.get(name), table=table
        )


def read(
    tables: Sequence[str] = (),
    targets: Sequence[str] = (),
    caps: Sequence[str] = (),
    objectives: Sequence[str] = (),
    run: RunConfig | None = None,
) -> dict[str, Any]:
    """The fields of `RunConfig` that words say: FILE or NAME=FILE, FIGURE or NAME=FIGURE, NAME.

    Args:
        run: what those words change; names of its devices are known.

    Raises:
        BadInput: a name without a table, a figure that is none, or several tables of which one has no name.
    """
    if not (tables or targets or caps or objectives):
        return {}
    before = Wishes() if run is None else Wishes.of_run(run)
    named = _tables(tables)
    if run is not None and set(named) == {None} and None not in before.tables:
        named = {run.label: named[None]}
    wishes = replace(before, tables={**before.tables, **named})
    if None in wishes.tables and len(wishes.tables) > 1:
        raise BadInput(
            f"{len(wishes.tables)} latency tables, and not each has the name of its device; "
            "name them all: --table pixel6=FILE --table pi5=FILE"
        )
    wishes = replace(
        wishes,
        targets={**before.targets, **_figures("--target-ms", targets, wishes)},
        caps={**before.caps, **_figures("--cap", caps, wishes)},
        objectives=before.objectives | {_cost("--objective", name, name, wishes) for name in objectives},
    )
    found = wishes.settings()
    if run is None:
        return found
    found["also"] = {name: _known(one, run.also.get(name)) for name, one in found.get("also", {}).items()}
    kept = {"table"} if tables else set()
    return {name: value for name, value in found.items() if name in kept or value != getattr(run, name)}


def _known(one: OtherCost, old: OtherCost | None) -> OtherCost:
    """A wish with what a run knows of its table, if that is still the same."""
    if old is None or old.table != one.table:
        return one
    return replace(
        one, table_sha256=old.table_sha256, device=old.device, threads=old.threads, dtype=old.dtype
    )


def _tables(texts: Iterable[str]) -> dict[str | None, str]:
    found: dict[str | None, str] = {}
    for text in texts:
        name, equals, file = text.partition("=")
        label = name if equals and _NAME.fullmatch(name) and not Path(text).exists() else None
        if label in {*OF_NETWORKS, *_OF_DEVICES}:
            raise BadInput(f"--table {text}: {label} is a cost; give the device another name")
        if label is not None and not file:
            raise BadInput(f"--table {text} has a name and no file; give {label}=FILE")
        if label in found:
            which = "without a device's name" if label is None else f"of {label}"
            raise BadInput(
                f"two latency tables {which}, {found[label]} and {text}; "
                "name each by its device: --table pixel6=FILE --table pi5=FILE"
            )
        found[label] = text if label is None else file
    return found


def _figures(option: str, texts: Iterable[str], wishes: Wishes) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in texts:
        name, equals, figure = text.rpartition("=")
        cost = _cost(option, text, name if equals else None, wishes)
        if cost in found:
            raise BadInput(f"{option} is given twice for {name or 'the latency'}; give one figure")
        if option == "--target-ms" and cost.partition(":")[0] != LATENCY:
            raise BadInput(
                f"{option} {text}: only latencies have targets; cap {name} by --cap, or make it "
                f"an objective by --objective {name}"
            )
        try:
            found[cost] = float(figure)
        except ValueError:
            raise BadInput(
                f"{option} {text}: {figure!r} is no number; give FIGURE or NAME=FIGURE, such as 20"
            ) from None
    return found


def _cost(option: str, text: str, name: str | None, wishes: Wishes) -> str:
    """The cost that a word names: a device, or one of the costs by name; of the one device there is."""
    labels = [label for label in wishes.tables if label is not None]
    if name is None:
        if len(labels) > 1:
            raise BadInput(
                f"{option} {text} does not say of which device; there are {', '.join(labels)}: "
                f"{option} {labels[0]}={text}"
            )
        return _full(LATENCY, labels[0] if labels else None)
    kind, colon, label = name.partition(":")
    if name in labels:
        return _full(LATENCY, name)
    if name in OF_NETWORKS or (kind in _OF_DEVICES and colon and label in labels):
        return name
    if name in _OF_DEVICES and len(labels) < 2:
        return _full(name, labels[0] if labels else None)
    devices = f"tables are named {', '.join(labels)}" if labels else "no table has a name"
    raise BadInput(
        f"{option} {text}: {name} is neither the name of a table nor a cost; {devices} (--table {name}=FILE "
        f"names one), costs are {', '.join((*OF_NETWORKS, *OF_TABLES))}, the last two also as {ENERGY}:NAME"
    )


def _full(kind: str, label: str | None) -> str:
    """A cost's name with its device's; a network's own costs have none."""
    return f"{kind}:{label}" if kind in _OF_DEVICES and label else kind
