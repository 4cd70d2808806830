"""Latencies of many networks of a space at once, from their choices alone. Opens no file and fits nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mnas.errors import BadInput
from mnas.lower import lower
from mnas.spaces.base import Space, StagedSpace
from mnas.spaces.sum_tables import Floats, SumTables, stages_of

if TYPE_CHECKING:
    from latency_tables.ops import OpSpec
    from latency_tables.predict import Predictor

#: rows that are looked up together, so that what is computed for them stays in a core's cache
ROWS = 2048


@dataclass(frozen=True, slots=True)
class Latencies:
    """Predicted latencies of networks, in the order that they were asked for.

    Attributes:
        latency_ms: shape (networks,), as `Prediction.latency_ms`.
        low_ms: lower ends of their intervals; None where the table has no error bar.
        high_ms: upper ends.
    """

    latency_ms: Floats
    low_ms: Floats | None
    high_ms: Floats | None


class Vectorised:
    """Predicts networks of a space from a matrix of option indices.

    Making it lowers every block that the space can have, which takes about a second. Networks are predicted
    one by one, as exactly but slowly, where a table has figures of several operators together, and in spaces
    without stages.

    Args:
        space: what the choices mean.
        predictor: of the table that counts.
        dtype: element type to lower to, the one the table was made for.

    Raises:
        BadInput: networks cannot be lowered to the element type.
    """

    def __init__(self, space: Space, predictor: Predictor, dtype: str = "float32") -> None:
        self._space = space
        self._predictor = predictor
        self._dtype = dtype
        self._sizes = np.array([len(choice.options) for choice in space.choices])
        self._operators: list[OpSpec] = []
        self._tables: SumTables | None = None
        lower(space.decode((0,) * len(space.choices)), dtype)  # refuses an impossible type here and now
        if predictor.single and isinstance(space, StagedSpace):
            stages, self._operators = stages_of(space, dtype)
            known = [(key, key in predictor.figures) for key in map(str, self._operators)]
            terms = [
                [term(key) if has else np.nan for key, has in known]
                for term in (predictor.unit_ms, predictor.growth_ms)
            ]
            variances = [predictor.variance_ms2(key) if has else 0.0 for key, has in known]
            self._tables = SumTables.of(stages, np.array(terms), np.array(variances))

    def predict(self, choices: NDArray[np.integer]) -> Latencies:
        """Latencies and intervals, the same as `Predictor.predict` has of each network's operators.

        Args:
            choices: option indices, shape (networks, choices of the space).

        Raises:
            BadInput: the matrix has another shape or type, or an index is no option.
            MissingOperators: the table lacks operators of some of the networks; it names them all.
        """
        self._check(choices)
        tables = self._tables
        if tables is None:
            return self._one_by_one(choices)
        sums, variances = np.empty((2, len(choices))), np.empty(len(choices))
        for at in range(0, len(choices), ROWS):
            rows = slice(at, at + ROWS)
            sums[:, rows], variances[rows] = tables.add_up(choices[rows])
        lacking = np.isnan(sums[0])
        if lacking.any():
            missing = tables.missing(choices[lacking])
            self._predictor.predict([self._operators[number] for number in missing])  # raises, naming them
        latency, low, high = self._predictor.finish(sums[0], variances, sums[1])
        if self._predictor.calibration.lack_of_fit is None:
            return Latencies(latency, None, None)
        return Latencies(latency, low, high)

    def _check(self, choices: NDArray[np.integer]) -> None:
        names = self._space.choices
        if not isinstance(choices, np.ndarray) or choices.dtype.kind not in "iu":
            raise BadInput(
                f"choices of type {getattr(choices, 'dtype', type(choices).__name__)}; expected a NumPy "
                f"matrix of whole numbers, a row of {len(names)} option indices for each network"
            )
        if choices.ndim != 2 or choices.shape[1] != len(names):
            raise BadInput(
                f"choices of shape {choices.shape}; expected (networks, {len(names)}), an option index for "
                f"each choice of {self._space.name}"
            )
        wrong = (choices < 0) | (choices >= self._sizes)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise BadInput(
                f"index {choices[row, column]} of choice {names[column].name} in row {row}; allowed: 0 to "
                f"{self._sizes[column] - 1}"
            )

    def _one_by_one(self, choices: NDArray[np.integer]) -> Latencies:
        found = [
            self._predictor.predict(lower(self._space.decode(row), self._dtype).graph.specs)
            for row in choices.tolist()
        ]
        latency = np.array([one.latency_ms for one in found])
        if self._predictor.calibration.lack_of_fit is None:
            return Latencies(latency, None, None)
        low, high = ([getattr(one, end) for one in found] for end in ("low_ms", "high_ms"))
        return Latencies(latency, np.array(low, float), np.array(high, float))
