"""The latency tables of a search: whether they fit it, each other and their devices. Searches nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnas.config import RunConfig
from mnas.errors import BadInput
from mnas.latency import build_command, differing, require_complete
from mnas.wanted import OtherCost, label_of

if TYPE_CHECKING:
    from latency_tables.records import Origin
    from latency_tables.store import LatencyTable
    from mnas.run import RunDirectory

#: settings that a search takes from its first table unless they are given
_OF_TABLE = ("space", "resolution", "width", "dtype")
#: what all tables of a search must have been made for
_OF_ALL = ("space", "resolution", "width", "channels", "classes")
#: facts that no update changes: where one differs, it is another device
ANOTHER_DEVICE = frozenset({"machine", "cpu_model", "soc", "identity"})


@dataclass(frozen=True, slots=True)
class Placed:
    """A table of a search and the device that it stands for.

    Attributes:
        label: the device's name in the search; None for the first.
        where: where the device is found, a name in bench.toml or an address.
    """

    label: str | None
    table: str
    table_sha256: str | None
    where: str
    threads: int | None


def placed(config: RunConfig) -> list[Placed]:
    """The tables of a search, the first device's first; none where candidates are measured."""
    if config.table is None:
        return []
    others = [
        Placed(label_of(name), one.table, one.table_sha256, one.device or config.device, one.threads)
        for name, one in config.also.items()
        if one.table is not None
    ]
    return [Placed(None, config.table, config.table_sha256, config.device, config.threads), *others]


@dataclass(slots=True)
class Conditions:
    """Compares tables with their devices as they are now; each device is opened once.

    Attributes:
        bench: the inventory in which devices are looked up.
    """

    bench: Path | None = None
    _found: dict[tuple[str, int | None, str], list[str]] = field(default_factory=dict)

    def known(self, label: str) -> bool:
        """Whether the inventory has a device of that name."""
        from devices.inventory.file import load

        return any(entry.name == label for entry in load(self.bench).entries)

    def differing(self, where: str, threads: int | None, origin: Origin) -> list[str]:
        """What differs between a table and a device; nothing where that is out of reach."""
        key = (where, threads, repr(origin))
        if key not in self._found:
            self._found[key] = self._look(where, threads, origin)
        return self._found[key]

    def _look(self, where: str, threads: int | None, origin: Origin) -> list[str]:
        from devices.errors import DevicesError
        from devices.governor import governor_now
        from devices.registry import open_device, settings_for

        try:
            settings = settings_for(where, bench=self.bench, threads=threads)
            with closing(open_device(where, settings, bench=self.bench)) as device:
                return differing(origin, device.facts, device.settings, governor_now(device))
        except DevicesError:
            return []


def completed(settings: Mapping[str, Any], conditions: Conditions) -> dict[str, Any]:
    """Settings completed by what their tables were made for, which must fit the dataset and the wishes.

    A device that has a name is the one of that name in bench.toml; one that is not there is where its table
    says.

    Raises:
        BadInput: there is no such table, or it is made for something else.
    """
    made, digest = _made(settings["table"])
    label = settings.get("label")
    if label is not None and conditions.known(label):
        made |= {"device": label}
    found = _fitting(settings["table"], made, settings) | {"table_sha256": digest}
    also = {
        name: one if one.table is None else _completed(label_of(name), one, found, conditions)
        for name, one in settings.get("also", {}).items()
    }
    return found | {"also": also}


def _completed(
    label: str | None, one: OtherCost, settings: Mapping[str, Any], conditions: Conditions
) -> OtherCost:
    assert one.table is not None
    assert label is not None
    made, digest = _made(one.table)
    _fitting(one.table, made, {name: settings[name] for name in _OF_ALL if name in settings})
    where = label if conditions.known(label) else made["device"]
    return replace(
        one,
        table_sha256=digest,
        device=where,
        threads=made["threads"],
        dtype=made["dtype"],
    )


def _made(file: str) -> tuple[dict[str, Any], str]:
    """What a table was made for and on, and its digest."""
    from latency_tables.storage.database import shown
    from latency_tables.store import LatencyTable
    from mnas.tables import TableRequest

    if shown(file) != file:
        raise BadInput(
            f"the settings of a search keep the address of its table, {shown(file)}: "
            "give the password by PGPASSWORD or ~/.pgpass, not in the URL"
        )
    digest = sha256(file)
    with LatencyTable.open(file) as table:
        request = TableRequest.of_table(table)
        device = {"device": table.origin.facts.address, "threads": table.origin.settings.threads}
    return {name: getattr(request, name) for name in (*_OF_TABLE, "channels", "classes")} | device, digest


def _fitting(file: str, made: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, and what a table was made for where they say nothing."""
    wanted = {name: settings[name] for name in made if name in settings}
    if odd := [f"{name} {made[name]}, not {value}" for name, value in wanted.items() if made[name] != value]:
        raise BadInput(
            f"the latency table {file} was made for {', '.join(odd)}; make one that fits with "
            f"{build_command({**made, **wanted})}"
        )
    return {**made, **settings}


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
def complete_table(file: Path | str) -> Iterator[LatencyTable]:
    """A table that has all that its space needs.

    Raises:
        BadInput: it lacks something; the message has the command that goes on with it.
    """
    from latency_tables.store import LatencyTable

    with LatencyTable.open(file) as table:
        require_complete(table)
        yield table


def require_conditions(config: RunConfig, conditions: Conditions, *, asked: bool) -> None:
    """Check that the devices of a search are as their tables were measured, or differ across what may differ.

    Args:
        asked: whether the first device was asked for; if not, another device in its place is none of the
            search's. Those of the other tables count as asked for where bench.toml has their names.

    Raises:
        BadInput: one is not; says what differs and what to do.
    """
    from latency_tables.measuring.mismatch import beyond, name_of, options, refuse_unknown_names
    from latency_tables.store import LatencyTable
    from mnas.tables import TableRequest

    refuse_unknown_names(config.across)
    for one in placed(config):
        with LatencyTable.open(one.table) as table:
            origin, request, address = table.origin, asdict(TableRequest.of_table(table)), table.address
        found = conditions.differing(one.where, one.threads, origin)
        label = config.label if one.label is None else one.label
        named = (one.label is None and asked) or (label == one.where and conditions.known(one.where))
        if not named and any(name_of(difference) in ANOTHER_DEVICE for difference in found):
            continue
        if refused := beyond(found, config.across):
            where = {"device": one.where, "threads": one.threads}
            raise BadInput(
                f"the latency table {address} was measured under other conditions than {one.where} has "
                f"now: {'; '.join(refused)}. Measure another table, {build_command(request | where)} -o NEW, "
                f"or search by this one in spite of that: {options(refused)}"
            )


def table_warnings(run: RunDirectory, conditions: Conditions | None = None) -> tuple[str, ...]:
    """What to know of a run's tables before their predictions are believed; the run's log gets it too.

    Each table is compared with the device that the run's settings name. A search by a table does without
    the device, so where that cannot be reached there is nothing to say of it, as in a search that measures.

    Raises:
        BadTable: the run's copy of a table cannot be read.
    """
    from latency_tables.store import LatencyTable

    conditions = conditions or Conditions()
    texts = []
    for one in placed(run.config) if run.config.latency == "table" else []:
        of = "" if one.label is None else f" of {one.label}"
        with LatencyTable.open(run.table_of(one.label)) as table:
            origin, stale = table.origin, table.stale
        if stale is not None:
            texts.append(f"the latency table{of} is stale, {stale}: its predictions may be off as a whole")
        if found := conditions.differing(one.where, one.threads, origin):
            texts.append(
                f"the latency table{of} is from elsewhere than {one.where}, where its figures may not hold: "
                f"{'; '.join(found)}"
            )
    for text in texts:
        run.log(text)
    return tuple(texts)
