"""Many networks at once: the same as one network at a time, to the last digits that count."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latency_tables import tflite
from latency_tables.errors import MissingOperators
from latency_tables.figures import Figure
from latency_tables.fitting.calibration import UNCALIBRATED, Calibration
from latency_tables.fitting.context import Sizes
from latency_tables.ops import OpSpec
from latency_tables.predict import Prediction, Predictor
from latency_tables.units import print_unit
from mnas import spaces
from mnas.architecture import Architecture, Block
from mnas.errors import BadInput
from mnas.lower import lower
from mnas.spaces import Choice, Space, StagedSpace, vectorised
from mnas.spaces.vectorised import Latencies, Vectorised
from tests.latency_tables.given_predictor import sum_variance_ms2
from tests.mnas.toy import ToySpace

SMALL = spaces.create("mnasnet-small-images", resolution=28, width=0.25, channels=1, classes=10)
FULL = spaces.create("mnasnet", resolution=96, width=0.5)
CALIBRATION = Calibration(
    "affine",
    1.07,
    intercept_ms=0.05,
    anchors=20,
    lack_of_fit=0.01,
    fit_error=0.003,
    multiplier=1.73,
)


def chance(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 16**8


def figure(unit: str, std_error_ms: float | None = None) -> Figure:
    """Milliseconds between 0.01 and 1, and up to a fifth of it as the standard error."""
    ms = 0.01 + 0.99 * chance(unit)
    error = 0.2 * ms * chance(f"{unit} error") if std_error_ms is None else std_error_ms
    exponent = 0.3 * chance(f"{unit} exponent") - 0.1
    return Figure(unit, ms, error, ms, "in context", 9, 3, 3, 1.0, 1.0, exponent)


def predictor(
    specs: Iterable[OpSpec], calibration: Calibration = CALIBRATION, blocks: Sequence[str] = ()
) -> Predictor:
    units = [*map(str, specs), *blocks]
    return Predictor({unit: figure(unit) for unit in units}, calibration, "t.db", Sizes(20.0, 10.0, 30.0))


def predictor_of(space: Space, dtype: str = "float32", **given: object) -> Predictor:
    return predictor(spaces.operators(space, dtype).specs, **given)  # type: ignore[arg-type]


def drawn(space: Space, count: int, seed: int = 0) -> np.ndarray:
    rng = random.Random(seed)
    return np.array([spaces.sample(space, rng) for _ in range(count)])


def one_by_one(space: Space, table: Predictor, rows: np.ndarray, dtype: str = "float32") -> list[Prediction]:
    return [table.predict(lower(space.decode(row), dtype).graph.specs) for row in rows.tolist()]


def assert_same(found: Latencies, expected: Sequence[Prediction]) -> None:
    for name in ("latency_ms", "low_ms", "high_ms"):
        each = [getattr(one, name) for one in expected]
        np.testing.assert_allclose(getattr(found, name), each, rtol=1e-9, atol=0)


PREDICTING = {
    (name, dtype): (space, dtype, predictor_of(space, dtype))
    for name, space in (("small", SMALL), ("full", FULL))
    for dtype in ("float32", "int8")
}
MAKERS = {name: Vectorised(space, table, dtype) for name, (space, dtype, table) in PREDICTING.items()}


@pytest.mark.parametrize("name", PREDICTING, ids="-".join)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_row_is_the_sum_over_the_network_s_file(name: tuple[str, str], data: st.DataObject) -> None:
    space, dtype, table = PREDICTING[name]
    row = [data.draw(st.integers(0, len(choice.options) - 1)) for choice in space.choices]
    graph = lower(space.decode(row), dtype).graph
    found = MAKERS[name].predict(np.array([row]))
    assert_same(found, [table.predict(graph.specs)])
    assert_same(found, [table.predict(tflite.read(tflite.write(graph)).specs)])
    assert found.low_ms is not None
    assert found.low_ms[0] < found.latency_ms[0]


def test_many_rows_are_what_each_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectorised, "ROWS", 7)
    rows = drawn(SMALL, 60)
    space, dtype, table = PREDICTING["small", "float32"]
    assert_same(MAKERS["small", "float32"].predict(rows), one_by_one(space, table, rows, dtype))


def test_operators_that_several_stages_share_widen_the_interval_together() -> None:
    space, _, table = PREDICTING["small", "float32"]
    rows = drawn(space, 40)
    apart, together = [], []
    for row in rows.tolist():
        specs = lower(space.decode(row)).graph.specs
        apart.append(sum(table.variance_ms2(str(spec)) for spec in specs))
        together.append(sum_variance_ms2(table, specs))
    tables = MAKERS["small", "float32"]._tables
    assert tables is not None
    np.testing.assert_allclose(tables.add_up(rows)[1], together, rtol=1e-9)
    assert np.mean(np.array(together) > 1.05 * np.array(apart)) > 0.9  # or this would not tell c^2 from c


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.uint64])
def test_any_type_of_whole_numbers_will_do(dtype: type) -> None:
    maker, rows = MAKERS["small", "float32"], drawn(SMALL, 5)
    assert maker.predict(rows.astype(dtype)).latency_ms.tolist() == maker.predict(rows).latency_ms.tolist()


def test_rows_may_lie_in_memory_in_any_way() -> None:
    maker, rows = MAKERS["small", "float32"], drawn(SMALL, 10)
    assert maker.predict(rows[::2]).latency_ms.tolist() == maker.predict(rows).latency_ms[::2].tolist()
    across = np.asfortranarray(rows)
    np.testing.assert_allclose(maker.predict(across).latency_ms, maker.predict(rows).latency_ms, rtol=1e-12)


def test_no_rows_have_no_latencies() -> None:
    found = MAKERS["small", "float32"].predict(drawn(SMALL, 1)[:0])
    assert found.latency_ms.shape == (0,)


def test_without_anchors_there_is_no_interval() -> None:
    rows = drawn(SMALL, 3)
    table = predictor_of(SMALL, calibration=UNCALIBRATED)
    found = Vectorised(SMALL, table).predict(rows)
    assert (found.low_ms, found.high_ms) == (None, None)
    expected = [one.latency_ms for one in one_by_one(SMALL, table, rows)]
    np.testing.assert_allclose(found.latency_ms, expected, rtol=1e-9)


def test_figures_of_several_operators_together_are_used() -> None:
    rows = drawn(SMALL, 6)
    specs = lower(SMALL.decode(rows[0].tolist())).graph.specs
    block = print_unit(specs[4:7])
    table = predictor_of(SMALL, blocks=(block,))
    found = Vectorised(SMALL, table).predict(rows)
    assert_same(found, one_by_one(SMALL, table, rows))
    assert found.latency_ms[0] != pytest.approx(MAKERS["small", "float32"].predict(rows).latency_ms[0])


def test_a_space_without_stages_is_predicted() -> None:
    space = ToySpace(3)
    rows = drawn(space, 8)
    specs = {spec for row in rows.tolist() for spec in lower(space.decode(row)).graph.specs}
    for calibration in (CALIBRATION, UNCALIBRATED):
        table = predictor(specs, calibration)
        found = Vectorised(space, table).predict(rows)
        expected = one_by_one(space, table, rows)
        np.testing.assert_allclose(found.latency_ms, [one.latency_ms for one in expected], rtol=1e-9)
        assert (found.low_ms is None) == (calibration is UNCALIBRATED)


def changed(row: int, column: int, value: int) -> np.ndarray:
    rows = drawn(SMALL, 3)
    rows[row, column] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (changed(1, 2, 2), r"index 2 of choice stage1_se in row 1; allowed: 0 to 1"),
        (changed(2, 41, -1), r"index -1 of choice stage7_layers in row 2"),
        (drawn(SMALL, 3)[:, 1:], r"shape \(3, 41\); expected \(networks, 42\)"),
        (drawn(SMALL, 3)[0], r"shape \(42,\); expected \(networks, 42\)"),
        (drawn(SMALL, 3).astype(float), r"type float64; expected a NumPy matrix of whole numbers"),
        (drawn(SMALL, 3).astype(bool), r"type bool; expected"),
        (drawn(SMALL, 3).tolist(), r"type list; expected a NumPy matrix"),
    ],
)
def test_rows_that_are_none_are_refused(rows: np.ndarray, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        MAKERS["small", "float32"].predict(rows)


def test_an_impossible_type_is_refused() -> None:
    with pytest.raises(BadInput, match="element type 'float64'"):
        Vectorised(SMALL, MAKERS["small", "float32"]._predictor, "float64")


def test_operators_that_the_table_lacks_are_named_for_all_rows() -> None:
    rows = drawn(SMALL, 2)
    first, second = ({*lower(SMALL.decode(row)).graph.specs} for row in rows.tolist())
    lacking = {min(first - second, key=str), min(second - first, key=str)}
    every = set(spaces.operators(SMALL).specs)
    maker = Vectorised(SMALL, predictor(every - lacking))
    with pytest.raises(MissingOperators) as caught:
        maker.predict(rows)
    assert set(caught.value.keys) == set(map(str, lacking))
    others = [
        row for row in drawn(SMALL, 50, 1).tolist() if not lacking & {*lower(SMALL.decode(row)).graph.specs}
    ]
    found = maker.predict(np.array(others))
    assert_same(found, one_by_one(SMALL, predictor(every), np.array(others)))


@dataclass(frozen=True)
class Tiny:
    """Stages of a layer each, few enough to look at every network."""

    name: str = "tiny"
    resolution: int = 8
    choices: tuple[Choice, ...] = field(
        default_factory=lambda: tuple(
            Choice(f"stage{stage}_{name}", options)
            for stage in range(3)
            for name, options in (("kernel", (3, 5)), ("channels", (8, 16)))
        )
    )
    stages: tuple[range, ...] = (range(2), range(2, 4), range(4, 6))
    frame: Architecture = Architecture.parse("in_8x8x3,cv_r1_k3_s2_c8,cv_r1_k1_s1_c16,fc_10")  # noqa: RUF009 - frozen

    def block(self, stage: int, indices: Sequence[int], filters: int) -> Block:
        kernel, channels = (self.choices[2 * stage + at].options[index] for at, index in enumerate(indices))
        return Block.parse(f"ds_r{stage + 1}_k{kernel}_s1_c{channels}")

    def decode(self, indices: Sequence[int]) -> Architecture:
        stem, head = self.frame.blocks
        own = (self.block(stage, indices[2 * stage : 2 * stage + 2], 0) for stage in range(3))
        return Architecture(8, 8, 3, (stem, *own, head), 10)


def test_every_network_of_a_tiny_space() -> None:
    space = Tiny()
    assert isinstance(space, StagedSpace)
    rows = np.array(list(itertools.product(range(2), repeat=6)))
    table = predictor_of(space)
    assert_same(Vectorised(space, table).predict(rows), one_by_one(space, table, rows))
