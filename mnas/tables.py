"""Joins spaces and latency tables: which networks a table of a space measures, and which stay unseen."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

from devices.device import Device
from devices.errors import BadSettings
from devices.records import from_plain
from latency_tables.errors import BadTable
from latency_tables.ops import Graph
from latency_tables.records import Network, Origin, Purpose
from latency_tables.store import LatencyTable
from mnas import recipes, spaces
from mnas.architecture import Architecture
from mnas.errors import BadInput
from mnas.lower import DTYPES, lower
from mnas.spaces import Space
from mnas.spaces.covering import TIMES, covering_choices
from mnas.spaces.operators import Choices

#: random networks drawn in search of new ones before a space counts as exhausted, per network wanted
DRAWS = 100
#: anchor networks unless the caller says otherwise: the calibration is uncertain by their own spread over the
#: square root of their number, which is the greater part of what a whole table is off by
ANCHORS = 30
#: what tables do not say that were made before it could be chosen
EARLIER = {"cover_times": 1}


@dataclass(frozen=True, slots=True)
class TableRequest:
    """What a latency table is made for. Frozen in the table: another request needs another table.

    Attributes:
        resolution: height and width of the image in pixels.
        width: multiplier of the filters; None for a space that has none.
        channels: of the image.
        dtype: `float32` or `int8`.
        anchors: random networks that bring the calibration.
        seed: of the anchors.
        cover_times: networks that contain each operator, at least.
    """

    space: str
    resolution: int
    width: float | None
    channels: int = 3
    classes: int = 1000
    dtype: str = "float32"
    anchors: int = ANCHORS
    seed: int = 0
    cover_times: int = TIMES

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise BadInput(f"element type {self.dtype!r}; allowed: {', '.join(DTYPES)}")
        if self.anchors < 1:
            raise BadInput(f"anchors is {self.anchors}; a table needs at least 1, and {ANCHORS} are advised")
        if self.cover_times < 1:
            raise BadInput(f"cover_times is {self.cover_times}; each operator must be in 1 network or more")

    @classmethod
    def for_space(
        cls,
        name: str,
        *,
        resolution: int | None = None,
        width: float | None = None,
        channels: int = 3,
        classes: int = 1000,
        dtype: str = "float32",
        anchors: int = ANCHORS,
        seed: int = 0,
        cover_times: int = TIMES,
    ) -> Self:
        """A request in which what is None is the space's own.

        Raises:
            BadInput: there is no such space, or it does not allow the figures.
        """
        space = spaces.create(name, resolution=resolution, width=width, channels=channels, classes=classes)
        own = getattr(space, "width", width)  # not every space has one
        return cls(name, space.resolution, own, channels, classes, dtype, anchors, seed, cover_times)

    @classmethod
    def of_table(cls, table: LatencyTable) -> Self:
        """The request that a table was made for.

        Raises:
            BadInput: the table was not made for a space, or says of it what cannot be.
        """
        purpose = _purpose(table)
        names = [field.name for field in fields(cls)]
        if set(purpose) != set(names):
            raise BadInput(f"the latency table {table.address} was not made for a search space")
        try:
            return from_plain(cls, purpose)
        except BadSettings as error:
            raise BadInput(
                f"the latency table {table.address} does not say what it was made for: {error}"
            ) from error

    def space_of(self) -> Space:
        """The space."""
        return spaces.create(
            self.space,
            resolution=self.resolution,
            width=self.width,
            channels=self.channels,
            classes=self.classes,
        )


def open_or_create(address: Path | str, request: TableRequest, device: Device) -> LatencyTable:
    """The table at `address`, or a new one there with the networks to measure.

    Raises:
        BadTable: what is there is no table, one of given figures, or one made for something else; says what
            differs.
        BadInput: there is no such space.
    """
    if not LatencyTable.exists(address):
        networks = networks_of(request)
        return LatencyTable.create(address, Origin(asdict(request), device.facts, device.settings), networks)
    table = LatencyTable.open(address)
    if of_given_figures(table):
        reason = _not_built(table)
        table.close()
        raise BadTable(reason)
    if differences := unlike(request, _purpose(table), "the table's"):
        table.close()
        raise BadTable(
            f"the latency table {table.address} was made for something else: {'; '.join(differences)}. "
            "Choose another name, or ask for what it was made for"
        )
    return table


def unlike(request: TableRequest, purpose: Purpose, whose: str, besides: Collection[str] = ()) -> list[str]:
    """How what is asked for differs from what something was made for, a line for each.

    Args:
        whose: the other's, for the lines.
        besides: what may differ.
    """
    return [
        f"{name} is {wanted!r}, {whose} is {purpose.get(name)!r}"
        for name, wanted in asdict(request).items()
        if name not in besides and purpose.get(name) != wanted
    ]


def of_given_figures(table: LatencyTable) -> bool:
    """Whether a table was imported or transferred: it has no networks that cover its space."""
    return bool(table.given()) and not any(one.role == "cover" for one in table.networks())


def _not_built(table: LatencyTable) -> str:
    """Why a table of given figures is not measured by a build, and what there is to do."""
    given = table.given()
    how = " and ".join(sorted({one.method for one in given}))
    source = "" if table.given_from is None else f", from {table.given_from}"
    return (
        f"the latency table {table.address} has {len(given)} {how} figures{source}: a build would mix a "
        "table of its own into it. Choose another name to measure one; `mnas table extend` adds the "
        "operators of a model to this one, and `mnas table transfer` makes one for another device from it"
    )


def _purpose(table: LatencyTable) -> Purpose:
    """What a table was made for, with what tables of before did not say."""
    return {**EARLIER, **table.origin.purpose} if "space" in table.origin.purpose else table.origin.purpose


def networks_of(request: TableRequest) -> list[Network]:
    """The networks that a table measures: those that cover the space's operators, then the anchors."""
    space = request.space_of()
    covering = covering_choices(space, request.dtype, request.cover_times)
    seen = [_graph(space, choices, request.dtype) for choices in covering]
    anchors = unseen(space, request.dtype, request.anchors, request.seed, seen)
    return [
        *(
            Network(f"cover-{number:03}", _graph(space, choices, request.dtype), "cover")
            for number, choices in enumerate(covering)
        ),
        *(
            Network(f"anchor-{number:03}", _graph(space, choices, request.dtype), "anchor")
            for number, choices in enumerate(anchors)
        ),
    ]


def unseen(space: Space, dtype: str, count: int, seed: int, seen: Sequence[Graph]) -> list[Choices]:
    """Random networks of the space, all different and none with the operators of one seen already.

    Raises:
        BadInput: the space has too few networks.
    """
    rng = random.Random(f"{space.name}/{seed}")
    known = {graph.specs for graph in seen}
    found: list[Choices] = []
    for _ in range(DRAWS * count):
        if len(found) == count:
            break
        choices = spaces.sample(space, rng)
        specs = _graph(space, choices, dtype).specs
        if specs not in known:
            known.add(specs)
            found.append(choices)
    if len(found) < count:
        raise BadInput(f"the space {space.name} has only {len(found)} more networks of the {count} wanted")
    return found


def held_out(table: LatencyTable, count: int, seed: int) -> list[tuple[str, Graph]]:
    """Random networks of a table's space that are not in the table, with names.

    Raises:
        BadInput: the table was not made for a space, or the space has too few networks.
    """
    request = TableRequest.of_table(table)
    space = request.space_of()
    seen = [network.graph for network in table.networks()]
    # a seed of its own: the anchors were drawn with `request.seed`
    drawn = unseen(space, request.dtype, count, request.seed + 1_000_003 * (seed + 1), seen)
    return [
        (f"held-out-{number:03}", _graph(space, choices, request.dtype))
        for number, choices in enumerate(drawn)
    ]


def model_for(table: LatencyTable, model: str) -> bytes | Graph:
    """What is meant by a `.tflite` file, a recipe or an architecture: the file's content, or a network.

    A recipe is taken at the table's resolution, channels and classes; recipe and architecture in its type.

    Args:
        model: the path of an existing file, a recipe's name, or an architecture's text.

    Raises:
        BadInput: it is none of these, or a recipe or an architecture and the table is of no space.
    """
    path = Path(model)
    if _is_file(path):
        return path.read_bytes()
    if path.suffix == ".tflite" or "/" in model:
        raise BadInput(f"there is no file {model}")
    given = model.lstrip().startswith("in_")
    architecture = Architecture.parse(model) if given else recipes.recipe(model)
    try:
        request = TableRequest.of_table(table)
    except BadInput as error:
        what = "element type" if given else "image size, classes and element type"
        raise BadInput(
            f"{error}, so the {what} to take {'an architecture' if given else model} with are not known. "
            "Give a .tflite file; or, where the figures are from a file, import it with --space"
        ) from error
    if not given:
        architecture = architecture.at(
            request.resolution, request.resolution, channels=request.channels, classes=request.classes
        )
    return lower(architecture, request.dtype).graph


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # an architecture's text is longer than a file's name may be
        return False


def _graph(space: Space, choices: Choices, dtype: str) -> Graph:
    return lower(space.decode(choices), dtype).graph
