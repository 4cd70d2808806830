"""What a search space is: a fixed tuple of categorical choices, and a decoder. Knows no particular space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from mnas.architecture import Architecture, Block
from mnas.errors import BadInput

Option = str | int | float


@dataclass(frozen=True, slots=True)
class Choice:
    """One categorical decision: its name and its options, all different."""

    name: str
    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        if not self.options or len(set(self.options)) != len(self.options):
            raise BadInput(
                f"choice {self.name}: options {self.options} must be at least one and all different"
            )


class SearchSpace(Protocol):
    """What a search looks through; `decode` may give anything whose `str` tells it apart.

    A space in which not every combination of options exists has, besides, `points`: those that do, as option
    indices [n, choices].
    """

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The decisions, in the order a controller takes them."""

    def decode(self, indices: Sequence[int]) -> Any:
        """What one option index per choice stands for."""


class Space(SearchSpace, Protocol):
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


@runtime_checkable
class StagedSpace(Space, Protocol):
    """A space whose networks are chains: the same stem, one block per stage, the same head.

    What such a space promises makes its operators countable: a stage's block follows from the stage's own
    choices and the filters that come in, and from nothing else.
    """

    @property
    def frame(self) -> Architecture:
        """The network without its stages: the stem's block, then the head's."""

    @property
    def stages(self) -> tuple[range, ...]:
        """Per stage, in order, the positions of its choices; together they are all choices."""

    def block(self, stage: int, indices: Sequence[int], filters: int) -> Block:
        """The block of a stage, from one option index per choice *of the stage* and its input's filters."""


def check_indices(choices: Sequence[Choice], indices: Sequence[int]) -> None:
    """Raise BadInput unless there is one index per choice, each of an existing option."""
    if len(indices) != len(choices):
        raise BadInput(
            f"{len(indices)} option indices; this space has {len(choices)} choices, one index for each"
        )
    for choice, index in zip(choices, indices, strict=True):
        if not 0 <= index < len(choice.options):
            raise BadInput(f"index {index} of choice {choice.name}; allowed: 0 to {len(choice.options) - 1}")
