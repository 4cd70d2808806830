"""What lies in a work folder on a device: how old, how large, and what of it may go. Removes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from devices.errors import DeviceTrouble
from devices.text import one_line

#: the folders in which files are stored, in the order in which they give way to others
FOLDERS = ("models", "lib", "bin")
REASON_KEPT = 300

_STORED = re.compile(r"(?!\.\.?/)[A-Za-z0-9+._-]{1,120}(/[A-Za-z0-9+._-]{1,120})?")
_AGE = re.compile(rf"(\d{{1,12}}) (\d{{1,15}}) ({'|'.join(FOLDERS)})/(\S+)")


@dataclass(frozen=True, slots=True)
class Staged:
    """A file that was put there: its folder, its name in it, its age since its last use, its size."""

    folder: str
    name: str
    age_s: int
    size_bytes: int

    @property
    def unit(self) -> str:
        """What it is used and removed with: a model is alone, a program or a set of libraries not."""
        name = self.name if self.folder == "models" else self.name.partition("/")[0]
        return f"{self.folder}/{name}"


def listed(text: str) -> list[Staged]:
    """The files of a listing: the clock of the device, then a line with time, size and name for each.

    Raises:
        DeviceTrouble: it does not begin with the device's clock.
    """
    first, *lines = text.splitlines() or [""]
    if not re.fullmatch(r"\d{1,12}", first):
        raise DeviceTrouble(f"the device's clock cannot be read: {one_line(first)[:REASON_KEPT]!r}")
    found = []
    for line in lines:
        match = _AGE.fullmatch(line)
        if match and _STORED.fullmatch(match[4]):
            found.append(Staged(match[3], match[4], max(0, int(first) - int(match[1])), int(match[2])))
    return found


def idle(found: Iterable[Staged], older_than_s: Mapping[str, float], used: Set[str]) -> Iterator[Staged]:
    """The files that may go: those of units of which no file was used for so long.

    Args:
        older_than_s: for each folder whose files may go.
        used: units to leave alone.
    """
    found = list(found)
    young = {one.unit for one in found if one.age_s < older_than_s.get(one.folder, 0.0)}
    return (
        one for one in found if one.folder in older_than_s and one.unit not in young and one.unit not in used
    )
