"""CSV and Parquet files of figures: what is written predicts, once read, as the table did."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from devices.measurement import Settings
from latency_tables.errors import BadTable
from latency_tables.exchange import figures_file
from latency_tables.exchange.importing import UNKNOWN, import_table, unknown_origin
from latency_tables.fitting.calibration import Calibration
from latency_tables.fitting.context import Sizes
from latency_tables.ops import OpSpec
from latency_tables.records import Given
from latency_tables.store import LatencyTable
from tests.mnas.measured_table import make

OPERATORS = ("relu/float32/1x8/1x8", "conv_2d/float32/1x8x8x3/1x8x8x4/k1x1/s1x1/same")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("figures") / "t.db")


def csv(path: Path, *rows: str, header: str = "operator,latency_ms") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_round_trip_predicts_the_same(built: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"figures{suffix}"
    with LatencyTable.open(built) as table:
        rows = figures_file.write(table, path)
        assert rows == len(table.figures())
        found = figures_file.read(path)
        assert found.origin == table.origin
        import_table(str(tmp_path / "new.db"), table.origin, found.figures, found.calibration)
        with LatencyTable.open(tmp_path / "new.db") as again:
            assert {one.method for one in again.figures().values()} == {"imported"}
            assert again.ready
            for network in table.networks():
                before, after = table.predict(network.graph.specs), again.predict(network.graph.specs)
                assert after == before
            assert again.networks() == []
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(["new.db", path.name])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_growth_with_size_blocks_and_intervals_survive(tmp_path: Path, suffix: str) -> None:
    figures = [
        Given(OPERATORS[0], 1 / 3, 0.01, 7, "transferred", 0.3),
        Given(f"{OPERATORS[1]} & {OPERATORS[0]}", 2.0, None, None, "imported", -0.05),
    ]
    calibration = Calibration("scale", 1.07, anchors=9, lack_of_fit=0.02, fit_error=0.01, multiplier=1.8)
    sizes = Sizes(2.0, 0.5, 9.0)
    import_table(str(tmp_path / "1.db"), unknown_origin({}), figures, (calibration, sizes), "a test")
    with LatencyTable.open(tmp_path / "1.db") as first:
        assert first.given_from == "a test"
        figures_file.write(first, tmp_path / f"f{suffix}")
        found = figures_file.read(tmp_path / f"f{suffix}")
        import_table(str(tmp_path / "2.db"), first.origin, found.figures, found.calibration)
        with LatencyTable.open(tmp_path / "2.db") as second:
            relu, conv = map(OpSpec.parse, OPERATORS)
            for specs in ([relu], [conv, relu], [conv, relu, relu, relu], [relu] * 40):
                prediction = second.predict(specs)
                assert prediction == first.predict(specs)
                assert prediction.low_ms is not None
            plain = 1.07 * (2.0 + 2 / 3)
            assert second.predict([conv, relu, relu, relu]).latency_ms != pytest.approx(plain)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_file_is_one_that_others_read(built: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"figures{suffix}"
    with LatencyTable.open(built) as table:
        figures_file.write(table, path)
        frame = pd.read_csv(path, comment="#") if suffix == ".csv" else pd.read_parquet(path)
        scale = table.predictor().scale
        assert (frame["calibrated_ms"] / frame["latency_ms"]).tolist() == pytest.approx([scale] * len(frame))
        if suffix == ".csv":
            about = json.loads(path.read_text().splitlines()[0].removeprefix("# "))
            assert about["purpose"] == table.origin.purpose
            assert about["facts"]["cpu_model"] == table.origin.facts.cpu_model
            assert about["settings"]["threads"] == 1


def test_a_file_made_elsewhere_has_sums_without_error_bars(tmp_path: Path) -> None:
    header = "operator,latency_ms,std_error_ms,observations"
    rows = (f"{OPERATORS[0]},0.25,0.01,7", f"{OPERATORS[0]} & {OPERATORS[1]},2,,")
    found = figures_file.read(csv(tmp_path / "f.csv", *rows, header=header))
    assert (found.origin, found.calibration) == (None, None)
    assert found.figures == (
        Given(OPERATORS[0], 0.25, 0.01, 7, "imported"),
        Given(f"{OPERATORS[0]} & {OPERATORS[1]}", 2.0, None, None, "imported"),
    )
    origin = unknown_origin({}, "a phone")
    import_table(str(tmp_path / "t.db"), origin, found.figures)
    with LatencyTable.open(tmp_path / "t.db") as table:
        assert table.origin.facts.cores is None
        assert (table.origin.facts.address, table.origin.facts.runtime) == ("a phone", UNKNOWN)
        unit = next(one for one in table.figures() if "&" not in one)
        predictor = table.predictor()
        assert predictor.scale == 1.0
        assert predictor.unit_ms(unit) == 0.25
        assert predictor.calibration.lack_of_fit is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((f"{OPERATORS[0]},0",), "row 1 of .*latency_ms is 0.0.*above 0"),
        ((f"{OPERATORS[0]},1", f"{OPERATORS[1]},-1"), "row 2 of .*latency_ms is -1"),
        ((f"{OPERATORS[0]},",), "row 1 of .*latency_ms is None"),
        ((f"{OPERATORS[0]},inf",), "row 1 of .*latency_ms is inf"),
        ((f"{OPERATORS[0]},moon",), "row 1 of .*latency_ms is 'moon'"),
        (("moon,1",), "row 1 of .*'moon' is no operator"),
        ((f"{OPERATORS[0]},1", f"{OPERATORS[0]},2"), "row 2 of .*twice"),
        ((), "has no rows"),
    ],
)
def test_rows_that_cannot_be_are_named(tmp_path: Path, rows: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadTable, match=message):
        figures_file.read(csv(tmp_path / "f.csv", *rows))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("f.csv", b"a,b\n1,2\n", "needs the columns operator"),
        ("f.csv", b"", "no CSV"),
        ("f.csv", b"\xff\xfe\x00", "no text"),
        ("f.csv", b"# {\noperator,latency_ms\n", "does not say where"),
        ("f.csv", b'# {"format": "a song"}\noperator,latency_ms\n', "a song"),
        ("f.csv", b'# {"format": "mnas latency figures", "version": 9}\na\n', "version 9"),
        ("f.csv", b'# {"format": "mnas latency figures", "version": 1}\na\n', "does not say where"),
        ("f.parquet", b"PAR1 and no more", "no Parquet"),
        ("f.parquet", b"", "no Parquet"),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadTable, match=message):
        figures_file.read(path)


def test_places_that_cannot_be_read_or_written(built: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "no.csv", tmp_path / "no.parquet"):
        with pytest.raises(BadTable, match="No such file"):
            figures_file.read(path)
    with LatencyTable.open(built) as table:
        with pytest.raises(BadTable, match=r"to \.csv or \.parquet, not '\.xls'"):
            figures_file.write(table, tmp_path / "f.xls")
        with pytest.raises(BadTable, match="No such file"):
            figures_file.write(table, tmp_path / "no" / "f.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_is_there_is_left_alone(built: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    path.write_bytes(built.read_bytes())
    with pytest.raises(BadTable, match="exists already"):
        import_table(str(path), unknown_origin({}), [])
    assert path.read_bytes() == built.read_bytes()


def test_a_device_of_many_threads_keeps_them() -> None:
    origin = unknown_origin({}, threads=4)
    assert replace(origin.settings, threads=1) == Settings()


def test_figures_are_imported_to_a_server_whole(built: Path, tmp_path: Path, postgresql_url: str) -> None:
    path = tmp_path / "f.csv"
    with LatencyTable.open(built) as table:
        figures_file.write(table, path)
        found = figures_file.read(path)
        import_table(postgresql_url, table.origin, found.figures, found.calibration, "a test")
        with LatencyTable.open(postgresql_url) as there:
            specs = table.networks()[0].graph.specs
            assert there.predict(specs) == table.predict(specs)
            assert there.given_from == "a test"
    with pytest.raises(BadTable, match="exists already"):
        import_table(postgresql_url, unknown_origin({}), found.figures)
