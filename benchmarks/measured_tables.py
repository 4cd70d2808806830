"""The measured tables: which networks each has, and the columns of its file. Trains and measures nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from mnas import spaces
from mnas.architecture import Architecture

#: what is noted of a network beside its figures
FACTS = ("macs", "parameters", "training_seconds", "architecture")


@dataclass(frozen=True, slots=True)
class Column:
    """A choice of the table: for each option, what it means to the stages that share it."""

    stages: tuple[int, ...]
    decision: str
    options: tuple[str | int | float, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """A table to make.

    Attributes:
        dataset: what is trained on, resized to 28 x 28 pixels.
        width: of the space.
        steps: of a training, 128 images each.
        dtype: of the latency.
        fixed: what no column says, by decision.
        columns: by name. Options of `filters` and `layers` are positions among those of a stage.
    """

    dataset: str
    width: float
    steps: int
    dtype: str
    fixed: Mapping[str, str | int | float]
    columns: Mapping[str, Column]

    @property
    def trained(self) -> list[str]:
        """Columns of the file before latencies are measured."""
        return [*self.columns, "accuracy", *FACTS]

    @property
    def measured(self) -> list[str]:
        """Columns of the file with latencies."""
        return [*self.columns, "accuracy", self.latency, *FACTS]

    @property
    def latency(self) -> str:
        """The column of latencies."""
        return f"latency_{self.dtype}_ms"

    def rows(self) -> list[dict[str, Any]]:
        """Every combination, by column name."""
        menus = [column.options for column in self.columns.values()]
        return [dict(zip(self.columns, combination, strict=True)) for combination in product(*menus)]

    def architecture(self, row: Mapping[str, Any]) -> Architecture:
        """The network of a row."""
        space = spaces.create("mnasnet-small-images", 28, self.width, 1, 10)
        wanted = {
            (stage, column.decision): row[name]
            for name, column in self.columns.items()
            for stage in column.stages
        }
        indices = []
        for choice in space.choices:
            stage, decision = choice.name.removeprefix("stage").split("_", 1)
            value = wanted.get((int(stage), decision), self.fixed[decision])
            by_position = decision in ("filters", "layers")
            indices.append(
                min(int(value), len(choice.options) - 1) if by_position else choice.options.index(value)
            )
        return space.decode(indices)


TABLES: Mapping[str, Measured] = {
    "fashion-192": Measured(
        dataset="fashion_mnist",
        width=0.5,
        steps=320,
        dtype="float32",
        fixed={"operation": "ds", "kernel": 3, "se": 0.0, "skip": "identity", "filters": 1, "layers": 0},
        columns={
            "early_operation": Column((2, 3), "operation", ("ds", "ir_e3")),
            "late_operation": Column((4, 5, 6), "operation", ("ds", "ir_e3")),
            "last_operation": Column((7,), "operation", ("ds", "ir_e3")),
            "kernel": Column((2, 3, 4, 5, 6), "kernel", (3, 5)),
            "se": Column((3, 4, 5, 6), "se", (0.0, 0.25)),
            "filters": Column((3, 4, 5, 6), "filters", (0, 1, 2)),
            "layers": Column((2, 3, 4, 5, 6), "layers", (0, 1)),
        },
    ),
    "fashion-108": Measured(
        dataset="fashion_mnist",
        width=0.35,
        steps=160,
        dtype="int8",
        fixed={"operation": "ir_e3", "kernel": 3, "se": 0.0, "skip": "identity", "filters": 1, "layers": 0},
        columns={
            "operation": Column((3, 4), "operation", ("ds", "ir_e3", "ir_e6")),
            "early_layers": Column((2, 3), "layers", (0, 1)),
            "late_layers": Column((4, 5, 6), "layers", (0, 1, 2)),
            "late_filters": Column((5, 6, 7), "filters", (0, 1, 2)),
            "early_kernel": Column((1, 2, 3), "kernel", (3, 5)),
        },
    ),
}

#: one network, to show that it works
TINY = Measured(
    dataset="digits",
    width=0.35,
    steps=1,
    dtype="float32",
    fixed={"operation": "ds", "kernel": 3, "se": 0.0, "skip": "identity", "filters": 0, "layers": 0},
    columns={"kernel": Column((2,), "kernel", (3,))},
)
