"""Which networks are finalized: the finalists, and baselines on the space's footing. Trains nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mnas.architecture import Architecture
from mnas.errors import BadInput
from mnas.finalists.choose import choose
from mnas.finalists.ledger import Role
from mnas.latency import Latency
from mnas.recipes import recipe
from mnas.run import RunDirectory
from mnas.status import status_of


@dataclass(frozen=True, slots=True)
class Entrant:
    """A network to train, export, measure and test.

    Attributes:
        trial: number of the search's result; None for a baseline, like what follows.
        search_accuracy: what the search saw, share 0 to 1.
        search_latency: what the search took its latency for.
    """

    name: str
    role: Role
    architecture: Architecture
    trial: int | None = None
    search_accuracy: float | None = None
    search_latency: Latency | None = None


def entrants(run: RunDirectory, finalists: int, baselines: Sequence[str]) -> tuple[Entrant, ...]:
    """Up to `finalists` of the run's candidates, fastest first, then the baselines.

    Candidates are chosen over all of the search's objectives and targets (`choose`).

    Raises:
        BadInput: nothing is trained yet, or an unknown or unfitting baseline.
    """
    chosen = [
        Entrant(
            f"trial-{result.number}",
            "finalist",
            Architecture.parse(result.architecture),
            result.number,
            result.accuracy,
            Latency(result.point[1], result.low_ms, result.high_ms),
        )
        for result in choose(status_of(run), finalists).finalists
    ]
    like = chosen[0].architecture
    return (*chosen, *(Entrant(name, "baseline", baseline(name, like)) for name in baselines))


def baseline(name: str, like: Architecture) -> Architecture:
    """A recipe on the footing of a space, so that the two differ in their stages only.

    Block by block it takes the strides of `like` (any architecture of the space), so that every stage works
    at the same resolution, and the filters of its last convolution; image and classes are those of `like`.
    In the space `mnasnet` at 224 pixels MobileNetV2 stays as published. Kernels, expansions, layers, filters
    and activations are the recipe's own.

    Raises:
        BadInput: no such recipe, or one whose blocks do not match the space's one to one.
    """
    own = recipe(name)
    if len(own.blocks) != len(like.blocks):
        raise BadInput(
            f"baseline {name} has {len(own.blocks)} blocks, this space's networks have {len(like.blocks)}: "
            "their strides do not match one to one; take mobilenetv2 at some width, as in mobilenetv2-0.5"
        )
    blocks = [
        replace(block, stride=other.stride) for block, other in zip(own.blocks, like.blocks, strict=True)
    ]
    blocks[-1] = replace(blocks[-1], channels=like.blocks[-1].channels)
    return Architecture(like.height, like.width, like.channels, tuple(blocks), like.classes)
