"""Since when figures in a file are, and what is known against them, as their table knew it. Reads no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from latency_tables.store import LatencyTable


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a table says of the age of its figures.

    Attributes:
        created_at: when it was begun, ISO 8601; None if unknown, as all below.
        reanchored_at: since when passes of its anchors count, likewise; None: all do.
        stale: why its figures are not to be trusted any more; None: nothing is known against them.
        given_from: where those of its figures are from that it did not measure.
    """

    created_at: str | None = None
    reanchored_at: str | None = None
    stale: str | None = None
    given_from: str | None = None

    @classmethod
    def of(cls, table: LatencyTable) -> Self:
        """A table's."""
        return cls(table.created_at or None, table.reanchored_at, table.stale, table.given_from)

    def to_plain(self) -> dict[str, str | None]:
        """As JSON knows it."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The same again; what is absent is unknown, and other entries are not looked at.

        Raises:
            ValueError: an entry is no text, or a time is none.
        """
        found: dict[str, str | None] = {}
        for name in ("created_at", "reanchored_at", "stale", "given_from"):
            value = plain.get(name) or None
            if value is not None and (not isinstance(value, str) or "\0" in value):
                raise ValueError(f"{name} is {value!r}: it must be a text or null")
            if value is not None and name.endswith("_at"):
                datetime.fromisoformat(value)
            found[name] = value
        return cls(**found)

    def said(self, file: str) -> str:
        """In words, where figures from a file are from."""
        parts = [f"the file {file}"]
        if self.created_at is not None:
            parts.append(f"of a table begun {self.created_at}")
        if self.reanchored_at is not None:
            parts.append(f"anchored {self.reanchored_at}")
        if self.given_from is not None:
            parts.append(f"given figures of which were from {self.given_from}")
        return ", ".join(parts)


#: of a file that does not say
UNKNOWN = Provenance()
