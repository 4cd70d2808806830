"""What a search space is: a fixed tuple of categorical choices, and a decoder. Knows no particular space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mnas.architecture import Architecture
from mnas.errors import BadInput

Option = str | int | float


@dataclass(frozen=True, slots=True)
class Choice:
    """One categorical decision: its name and its options, all different."""

    name: str
    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        if not self.options or len(set(self.options)) != len(self.options):
            raise BadInput(f"choice {self.name}: options {self.options} must be at least one and all different")


class Space(Protocol):
    """A set of architectures, each named by one option index per choice."""

    @property
    def name(self) -> str:
        """The registry's name."""

    @property
    def resolution(self) -> int:
        """Height and width of the input image in pixels."""

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The decisions, in the order a controller takes them."""

    def decode(self, indices: Sequence[int]) -> Architecture:
        """The architecture of one option index per choice; raises BadInput for a wrong length or index."""
