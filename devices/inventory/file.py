"""`bench.toml`: which devices a bench has, how to reach them and how to run models there. Reaches none.

[devices.NAME] tables, one for each device. `Entry` lists their keys.
"""

from __future__ import annotations

import difflib
import os
import re
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NoReturn

from devices.errors import BadInventory, BadSettings
from devices.inventory.entry import READERS, Entry, Unfit, shown
from devices.inventory.toml_lines import Value, line_of, with_table

FILE_NAME = "bench.toml"
VARIABLE = "MNAS_BENCH"
SCHEMA = 1
_HEADER = re.compile(r"""\s*\[\s*devices\s*\.\s*(?:"([^"\\]+)"|'([^']+)'|([A-Za-z0-9_-]+))""")


@dataclass(frozen=True, slots=True)
class Inventory:
    """The devices of a bench, in the order of their file.

    Attributes:
        path: of the file; None where there is none.
    """

    path: Path | None
    entries: tuple[Entry, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder from which relative paths of its libraries count."""
        return self.path.parent if self.path else Path()

    def entry(self, where: str) -> Entry:
        """The entry of that name, or of an address that needs none.

        Raises:
            BadSettings: neither; the message has the names there are.
        """
        for entry in self.entries:
            if entry.name == where:
                return entry
        if where == "local" or "://" in where:
            return Entry.at(where)
        names = [entry.name for entry in self.entries]
        near = difflib.get_close_matches(where, [*names, "local"], n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        have = (
            f"{self.path} has {', '.join(names) or 'no device'}"
            if self.path
            else f"there is no {FILE_NAME} here or above, in ${VARIABLE} or by --bench"
        )
        raise BadSettings(
            f"there is no device {where[:100]!r}{meant}: {have}; local, adb://... and ssh://... need no entry"
        )

    def place(self, entry: Entry, key: str = "address") -> str:
        """Where it says something of a device, for messages: file, line and name.

        Raises:
            BadInventory: the file cannot be read any more.
        """
        if self.path is None or entry not in self.entries:
            return f"device {shown(entry.name)}"
        line = line_of(_read(self.path), ("devices", entry.name, key))
        return f"{self.path}, line {line}, device {shown(entry.name)}"

    def check_files(self, entry: Entry) -> None:
        """See that the files on this host that an entry names are there.

        Raises:
            BadInventory: one is not; the message has its line.
        """
        for library in entry.libraries:
            path = self.folder / Path(library).expanduser()
            if not path.is_file():
                raise BadInventory(
                    f"{self.place(entry, 'libraries')}: libraries: there is no file {shown(library)} in "
                    f"{self.folder.absolute()}, the inventory's folder"
                )


def find(start: Path | None = None) -> Path | None:
    """The inventory to use where none is named: `$MNAS_BENCH`, else bench.toml here or in a folder above."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    start = (start or Path.cwd()).absolute()
    return next((one / FILE_NAME for one in (start, *start.parents) if (one / FILE_NAME).is_file()), None)


def load(path: Path | None = None) -> Inventory:
    """The inventory in a file; by default the one that `find` finds, and an empty one where it finds none.

    Raises:
        BadInventory: it cannot be read, or says something that cannot be: the message has line and device.
    """
    path = path or find()
    if path is None:
        return Inventory(None)
    return Inventory(path, parse(_read(path), str(path)))


def changed(path: Path, entry: Entry) -> str:
    """What `add` would write.

    Raises:
        BadInventory: the file cannot be read or changed.
    """
    return with_entry(_read(path) if path.exists() else f"schema = {SCHEMA}\n", entry, str(path))


def add(path: Path, entry: Entry) -> None:
    """Write an entry into an inventory: a new one at its end, or new values of the one of that name.

    The rest of the file, comments included, stays as it is. The file is made if it is absent.

    Raises:
        BadInventory: the file cannot be read, changed or written.
    """
    text = changed(path, entry)
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            file.write(text)
        Path(file.name).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        Path(file.name).replace(path)
    except OSError as error:
        raise BadInventory(f"cannot write {path}: {error.strerror}") from error


def parse(text: str, name: str = FILE_NAME) -> tuple[Entry, ...]:
    """The entries of an inventory's text.

    Args:
        name: of the file, for messages.

    Raises:
        BadInventory: as in `load`.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # some figures are no TOMLDecodeError
        raise BadInventory(_no_toml(text, name, str(error))) from error

    def refuse(path: tuple[str, ...], problem: str) -> NoReturn:
        where = f", device {shown(path[1])}" if len(path) > 1 else ""
        raise BadInventory(f"{name}, line {line_of(text, path)}{where}: {problem}")

    for key in document:
        if key not in ("schema", "devices"):
            refuse((key,), _unknown(key, ("schema", "devices"), "a device begins with [devices.NAME]"))
    schema = document.get("schema", SCHEMA)
    if schema != SCHEMA or isinstance(schema, bool):
        refuse(("schema",), f"schema is {schema!r}; this version of mnas reads {SCHEMA}")
    tables = document.get("devices", {})
    if not isinstance(tables, dict):
        refuse(("devices",), "devices is a single value; a device begins with [devices.NAME]")
    entries = []
    for device, values in tables.items():
        path = ("devices", device)
        if not isinstance(values, dict):
            refuse(path, f"it is a single value; begin the device with [devices.{shown(device)}]")
        for key in values:
            if key not in READERS:
                refuse((*path, key), _unknown(key, tuple(READERS), f"keys are {', '.join(READERS)}"))
        if "address" not in values:
            refuse(path, 'it has no address; give one, such as address = "adb://SERIAL"')
        given = {}
        for key, value in values.items():
            try:
                given[key] = READERS[key](value)
            except Unfit as error:
                refuse((*path, key), f"{key} is {shown(value)}; {error}")
        try:
            entries.append(Entry(device, **given))
        except BadSettings as error:
            key = str(error).partition(":")[0]
            refuse((*path, key) if key in values else path, str(error))
    return tuple(entries)


def with_entry(text: str, entry: Entry, name: str = FILE_NAME) -> str:
    """An inventory's text with an entry in it, new or in place of the one of its name; all else as it was.

    Raises:
        BadInventory: the text is no inventory, or has the entry in a form that cannot be changed in place.
    """
    before = parse(text, name)
    known = any(one.name == entry.name for one in before)
    after = tuple(entry if one.name == entry.name else one for one in before)
    after = after if known else (*before, entry)
    try:
        changed = with_table(text, ("devices", entry.name), _values(entry))
        if parse(changed, name) == after:
            return changed
    except (ValueError, BadInventory):
        pass  # the entry, or all of them, are not written as tables with headers
    path = ("devices", entry.name) if known else ("devices",)
    why = (
        f"it does not begin with a line [devices.{entry.name}], so it can only be changed by hand"
        if known
        else "the devices there do not begin with lines [devices.NAME], so it can only be added by hand"
    )
    raise BadInventory(f"{name}, line {line_of(text, path)}, device {entry.name}: {why}")


def _no_toml(text: str, name: str, problem: str) -> str:
    """What is wrong with a text that is no TOML, with its line and the device around it."""
    found = re.search(r" \(at (?:line ([0-9]+), column [0-9]+|end of document)\)$", problem)
    if found is None:
        return f"{name} is no TOML: {problem}"
    line = int(found[1] or len(text.rstrip().split("\n")))
    headers = [_HEADER.match(one) for one in text.split("\n")[:line]]
    device = next((one[1] or one[2] or one[3] for one in reversed(headers) if one), None)
    around = "" if device is None else f", device {shown(device)}"
    return f"{name}, line {line}{around}: this is no TOML: {problem[: found.start()]}"


def _values(entry: Entry) -> dict[str, Value]:
    """What has to be written of an entry: the address, and what is not as it would be anyway."""
    plain = Entry(entry.name, entry.address)
    return {
        field.name: getattr(entry, field.name)
        for field in fields(entry)
        if field.name == "address"
        or (field.name != "name" and getattr(entry, field.name) != getattr(plain, field.name))
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInventory(f"cannot read the inventory {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInventory(f"the inventory {path} is not UTF-8 text: {error.reason}") from error


def _unknown(key: str, known: Sequence[str], otherwise: str) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"unknown key {shown(key)}; " + (f"did you mean {near[0]}?" if near else otherwise)
