from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from latency_tables.fitting.footprint import weight_bytes
from latency_tables.frame import COLUMNS, TOLD_COLUMNS
from latency_tables.ops import OpSpec
from latency_tables.profiles.attribute import Attribution
from latency_tables.records import Given, Network
from latency_tables.store import LatencyTable
from tests.latency_tables.toy_table import NETWORKS, ORIGIN, SPECS, burst, chain, fill, times

CONV = OpSpec(
    "conv_2d", "float32", ((1, 8, 8, 3),), (1, 4, 4, 16), kernel=(3, 3), stride=(2, 2), padding="same"
)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[LatencyTable]:
    networks = [*NETWORKS, Network("d", chain(CONV, SPECS[0]), "cover")]
    with LatencyTable.create(tmp_path / "t.db", ORIGIN, networks) as made:
        yield made


def row(frame: pd.DataFrame, unit: object) -> dict[str, object]:
    (found,) = frame[frame["operator"] == str(unit)].to_dict("records")
    return found


def test_a_row_says_what_an_operator_is_and_what_it_takes(table: LatencyTable) -> None:
    fill(table)
    table.add("d", 0, burst("d"), times(5.0, 1.0))
    found = row(table.frame(), CONV)
    figure = table.figures()[str(CONV)]
    assert {name: found[name] for name in list(COLUMNS)[:9]} == {
        "operator": str(CONV),
        "operators": 1,
        "kind": "conv_2d",
        "dtype": "float32",
        "input_shapes": "1x8x8x3",
        "output_shape": "1x4x4x16",
        "kernel": "3x3",
        "stride": "2x2",
        "macs": 4 * 4 * 16 * 3 * 3 * 3,
    }
    assert found["latency_ms"] == figure.latency_ms
    assert found["profiled_ms"] == figure.profiled_ms
    assert (found["observations"], found["networks"], found["passes"]) == (1, 1, 1)
    assert found["method"] == "in context"
    assert pd.isna(found["suspect"])
    assert str(found["first_measured_at"]) == str(found["last_measured_at"]) == "2026-01-02 03:04:05+00:00"


def test_each_unit_has_its_row_and_each_column_its_type(table: LatencyTable) -> None:
    fill(table)
    frame = table.frame()
    assert list(frame["operator"]) == sorted(map(str, SPECS))
    assert list(frame.columns) == list(COLUMNS)
    assert set(map(str, frame.dtypes.to_dict().values())) <= {
        "object",
        "str",
        "int64",
        "Int64",
        "float64",
        "datetime64[ns, UTC]",
        "datetime64[us, UTC]",
    }
    assert frame["kernel"].isna().all()
    assert frame["latency_ms"].to_dict() == dict(
        enumerate(figure.latency_ms for _, figure in sorted(table.figures().items()))
    )


def test_what_is_unknown_is_missing_and_not_zero(table: LatencyTable) -> None:
    table.add_given(
        [Given(str(SPECS[0]), 9.0, None, None, "imported"), Given(str(CONV), 2.0, 0.5, 7, "imported")]
    )
    frame = table.frame()
    assert len(frame) == 2
    found = row(frame, SPECS[0])
    for name in (
        "std_error_ms",
        "profiled_ms",
        "between_pass_spread_percent",
        "between_network_spread_percent",
        "first_measured_at",
        "last_measured_at",
    ):
        assert pd.isna(found[name])
    assert (found["latency_ms"], found["method"], found["networks"]) == (9.0, "imported", 0)
    assert pd.isna(found["observations"])
    assert (row(frame, CONV)["std_error_ms"], row(frame, CONV)["observations"]) == (0.5, 7)
    assert str(frame["last_measured_at"].dtype).startswith("datetime64")


def test_a_table_without_figures_has_the_columns(table: LatencyTable) -> None:
    frame = table.frame()
    assert len(frame) == 0
    assert list(frame.columns) == list(COLUMNS)


def test_a_block_is_one_row(table: LatencyTable) -> None:
    table.add("d", 0, burst("d"), [Attribution((0, 1), 7.0, ("a partition",))])
    (found,) = table.frame().to_dict("records")
    assert found["operator"] == f"{CONV} & {SPECS[0]}"
    assert (found["operators"], found["kind"], found["macs"]) == (2, "conv_2d & logistic", CONV.macs)
    assert (found["kernel"], found["stride"]) == ("3x3 & none", "2x2 & none")
    assert (found["input_shapes"], found["output_shape"]) == ("1x8x8x3 & 1x1", "1x4x4x16 & 1x1")


def test_doubts_of_the_device_are_with_what_they_touch(table: LatencyTable) -> None:
    fill(table)
    drift = "the canary drifted by 9 %"
    later = burst("a", suspect=drift, started_at="2026-01-03T05:04:05+02:00")
    table.add("a", 1, later, times(1.0, 2.0))
    frame = table.frame()
    assert row(frame, SPECS[0])["suspect"] == f"1 of 3: {drift}"
    assert pd.isna(row(frame, SPECS[2])["suspect"])
    assert str(row(frame, SPECS[0])["last_measured_at"]) == "2026-01-03 03:04:05+00:00"
    assert str(row(frame, SPECS[0])["first_measured_at"]) == "2026-01-02 03:04:05+00:00"


def test_memory_and_energy_are_columns_where_the_device_told_them(tmp_path: Path) -> None:
    """One milliwatt throughout, one byte of memory for each of the weights."""
    convolutions = [replace(CONV, output=(1, 4, 4, filters)) for filters in (8, 16, 32, 64, 128)]
    networks = [
        Network(f"n{number}", chain(spec), "anchor" if number % 2 else "cover")
        for number, spec in enumerate(convolutions)
    ]
    for told in (False, True):
        with LatencyTable.create(tmp_path / f"{told}.db", ORIGIN, networks) as made:
            for number, spec in enumerate(convolutions):
                ms, memory = float(number + 1), weight_bytes(spec)
                kept = burst("n", samples=(ms,) * 3, memory=memory, energy=ms / 1000)
                plain = burst("n", samples=(ms,) * 3)
                made.add(f"n{number}", 0, kept if told else plain, times(ms))
            frame = made.frame()
            assert list(frame.columns) == [*COLUMNS, *(TOLD_COLUMNS if told else ())]
    for number, spec in enumerate(convolutions):
        found = row(frame, spec)
        assert found["energy_mj"] == pytest.approx((number + 1) / 1000, rel=0.1)
        assert found["memory_bytes"] == pytest.approx(weight_bytes(spec), rel=0.1)


def test_the_columns_are_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()
    table = text.split("| column | what it says |\n| --- | --- |\n")[1].partition("\n\n")[0]
    told = {name: f"{says}; a column only where the device tells" for name, says in TOLD_COLUMNS.items()}
    assert table.splitlines() == [f"| `{name}` | {says} |" for name, says in (COLUMNS | told).items()]
