"""Every error this package raises.

TablesError
├── BadOpSpec         a text that is no operator, or an operator whose figures contradict each other
├── BadModel          a file that is no TFLite model, or one beyond what the reader understands
├── BadTable          a file that is no latency table, or one of another schema, device or setting
└── MissingOperators  the table lacks operators that a network needs; it names them
"""

from __future__ import annotations

from collections.abc import Sequence


class TablesError(Exception):
    """Root of everything this package raises on purpose."""


class BadOpSpec(TablesError):
    """A text that is no operator, or an operator whose figures contradict each other."""


class BadModel(TablesError):
    """A file that is no TFLite model, or one beyond what the reader understands."""


class BadTable(TablesError):
    """A file that is no latency table, or one of another schema, device or setting."""


class MissingOperators(TablesError):
    """The table lacks operators that a network needs.

    Attributes:
        keys: the text form of each missing operator, without repetitions.
    """

    def __init__(self, keys: Sequence[str], table: str) -> None:
        self.keys = tuple(dict.fromkeys(keys))
        shown = ", ".join(self.keys[:5]) + (f" and {len(self.keys) - 5} more" if len(self.keys) > 5 else "")
        super().__init__(f"the table {table} lacks {len(self.keys)} operator(s) of this network: {shown}")
