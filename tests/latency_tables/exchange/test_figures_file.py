"""CSV and Parquet files of figures: what is written predicts, once read, as the table did."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from devices.measurement import Settings
from latency_tables.errors import BadTable
from latency_tables.exchange import figures_file
from latency_tables.exchange.importing import UNKNOWN, import_table, unknown_origin
from latency_tables.exchange.provenance import Provenance
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


@pytest.mark.parametrize("folder", ["t.db", "no", "/sys"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_that_cannot_be_written_is_named_not_its_draft(built: Path, folder: str, suffix: str) -> None:
    path = built.parent / folder / f"figures{suffix}"
    with LatencyTable.open(built) as table, pytest.raises(BadTable) as caught:
        figures_file.write(table, path)
    reasons = ("Not a directory", "No such file or directory", "Permission denied", "Read-only file system")
    assert str(caught.value) in [f"{path}: {reason}" for reason in reasons]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_growth_with_size_blocks_and_intervals_survive(tmp_path: Path, suffix: str) -> None:
    figures = [
        Given(OPERATORS[0], 1 / 3, 0.01, 7, "transferred", 0.3),
        Given(f"{OPERATORS[1]} & {OPERATORS[0]}", 2.0, None, None, "imported", -0.05),
    ]
    calibration = Calibration("scale", 1.07, anchors=9, lack_of_fit=0.02, fit_error=0.01, multiplier=1.8)
    sizes = Sizes(2.0, 0.5, 9.0)
    import_table(
        str(tmp_path / "1.db"), unknown_origin({}), figures, (calibration, sizes), given_from="a test"
    )
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
        ((f"{OPERATORS[0]},0",), "row 1 of .*latency_ms is 0:.*above 0"),
        ((f"{OPERATORS[0]},1", f"{OPERATORS[1]},-1"), "row 2 of .*latency_ms is -1"),
        ((f"{OPERATORS[0]},",), "row 1 of .*latency_ms is None"),
        ((f"{OPERATORS[0]},inf",), "row 1 of .*latency_ms is inf"),
        ((f"{OPERATORS[0]},moon",), "row 1 of .*latency_ms is 'moon'"),
        (("moon,1",), "row 1 of .*'moon' is no operator"),
        ((f"{OPERATORS[0]},1", f"{OPERATORS[0]},2"), "row 2 of .*twice"),
        ((f"{OPERATORS[0]},{'9' * 400}",), "row 1 of .*latency_ms is inf"),
        ((f"{OPERATORS[0]},1e-300",), "row 1 of .*latency_ms is 1e-300"),
        (("relu/float32/1x999999999999x999999999999/1x8,1",), "row 1 of .*larger than any device"),
        (("conv_2d/float32/none/1x8x8x4/k1x1/s1x1/same,1",), "row 1 of .*inputs are not those of conv_2d"),
        ((), "has no rows"),
    ],
)
def test_rows_that_cannot_be_are_named(tmp_path: Path, rows: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadTable, match=message):
        figures_file.read(csv(tmp_path / "f.csv", *rows))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("observations", "1e300", "row 1 of .*observations is 1e.300: it must be a whole number"),
        ("observations", "2147483648", "row 1 of .*observations is .*up to 2147483647"),
        ("observations", "2.5", "row 1 of .*observations is 2.5"),
        ("observations", "-1", "row 1 of .*observations is -1"),
        ("std_error_ms", "1e200", "row 1 of .*std_error_ms is 1e.200"),
        ("std_error_ms", "31", "row 1 of .*std_error_ms is 31, of a latency of 1"),
        ("std_error_ms", "nan", "row 1 of .*std_error_ms is nan"),
        ("size_exponent", "1e9", "row 1 of .*size_exponent is 1e.09"),
    ],
)
def test_columns_beyond_their_bounds_are_named(tmp_path: Path, column: str, value: str, message: str) -> None:
    path = csv(tmp_path / "f.csv", f"{OPERATORS[0]},1,{value}", header=f"operator,latency_ms,{column}")
    with pytest.raises(BadTable, match=message):
        figures_file.read(path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_nobody_counted_is_missing_and_stays_so(tmp_path: Path, suffix: str) -> None:
    figures = [Given(OPERATORS[0], 1.0, None, None, "imported"), Given(OPERATORS[1], 2.0, 0.1, 7, "imported")]
    import_table(str(tmp_path / "t.db"), unknown_origin({}), figures)
    with LatencyTable.open(tmp_path / "t.db") as table:
        figures_file.write(table, tmp_path / f"f{suffix}")
    found = figures_file.read(tmp_path / f"f{suffix}")
    assert {one.unit: (one.count, one.std_ms) for one in found.figures} == {
        OPERATORS[0]: (None, None),
        OPERATORS[1]: (7, 0.1),
    }


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_figures_that_are_stale_stay_so(tmp_path: Path, suffix: str) -> None:
    figures = [Given(OPERATORS[0], 1.0, None, None, "imported")]
    import_table(str(tmp_path / "t.db"), unknown_origin({}), figures, given_from="a lab", stale="9 % slower")
    with LatencyTable.open(tmp_path / "t.db") as table:
        table.anchor_again("2026-01-02T03:04:05+00:00")
        figures_file.write(table, tmp_path / f"f{suffix}")
        said = Provenance(table.created_at, "2026-01-02T03:04:05+00:00", "9 % slower", "a lab")
    found = figures_file.read(tmp_path / f"f{suffix}").provenance
    assert found == said
    words = found.said("f")
    assert all(one in words for one in (said.created_at or "", "2026-01-02T03:04:05+00:00", "a lab"))


@pytest.fixture(scope="module")
def exported(built: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("exported") / "f.csv"
    with LatencyTable.open(built) as table:
        figures_file.write(table, path)
    return path.read_text()


def edited(exported: str, path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A file of a built table's figures whose first line says something else."""
    first, _, rest = exported.partition("\n")
    about = json.loads(first.removeprefix("# "))
    change(about)
    path.write_text(f"# {json.dumps(about)}\n{rest}")
    return path


NAN, INF = float("nan"), float("inf")
TYPICAL = {"typical_ms": 2.0, "least_ms": 1.0, "most_ms": 3.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda about: about["calibration"].update(scale=NAN), "scale is nan"),
        (lambda about: about["calibration"].update(scale=INF), "scale is inf"),
        (lambda about: about["calibration"].update(scale=10**400), "scale is inf"),
        (lambda about: about["calibration"].update(scale=-1.0), "scale is -1"),
        (lambda about: about["calibration"].update(scale=0), "scale is 0"),
        (lambda about: about["calibration"].update(scale="1"), "calibration cannot be read: .*'1' is no"),
        (lambda about: about["calibration"].update(shape="moon"), "shape is 'moon'; allowed: none, scale"),
        (lambda about: about["calibration"].update(intercept_ms=-1.0), "intercept_ms is -1"),
        (lambda about: about["calibration"].update(lack_of_fit=NAN), "lack_of_fit is nan"),
        (lambda about: about["calibration"].update(lack_of_fit=1e200), "lack_of_fit is 1e.200"),
        (lambda about: about["calibration"].update(multiplier=1e9), "multiplier is 1e.09"),
        (lambda about: about["calibration"].update(left_out_percent=NAN), "left_out_percent is nan"),
        (lambda about: about["calibration"].update(anchors=-1), "anchors is -1"),
        (lambda about: about["calibration"].update(moon=1), "moon"),
        (
            lambda about: about["calibration"].update(sizes={**TYPICAL, "typical_ms": -1.0}),
            "typical_ms is -1",
        ),
        (lambda about: about["calibration"].update(sizes={**TYPICAL, "typical_ms": 9.0}), "between 1 and 3"),
        (lambda about: about["calibration"].update(sizes={**TYPICAL, "most_ms": INF}), "most_ms is inf"),
        (lambda about: about["calibration"].update(sizes=[1]), "calibration cannot be read"),
        (lambda about: about.update(calibration=7), "calibration is 7"),
        (lambda about: about.update(purpose=[]), r"purpose is \[\]: it must be an object"),
        (lambda about: about["purpose"].update(resolution=[]), r"resolution of the purpose is \[\]"),
        (lambda about: about["purpose"].update(width=NAN), "width of the purpose is nan"),
        (lambda about: about.update(governor=[]), "governor is"),
        (lambda about: about.update(stale=7), "stale is 7"),
        (lambda about: about.update(created_at="moon"), "moon"),
        (lambda about: about.pop("calibration"), "it has no 'calibration'"),
    ],
)
def test_what_a_file_says_of_its_table_is_checked(
    exported: str, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(BadTable, match=f"where its figures are from: .*{message}"):
        figures_file.read(edited(exported, tmp_path / "f.csv", change))


def test_a_file_of_before_ages_were_written_is_read(exported: str, tmp_path: Path) -> None:
    def change(about: dict[str, Any]) -> None:
        for name in ("created_at", "reanchored_at", "stale", "given_from"):
            del about[name]

    assert figures_file.read(edited(exported, tmp_path / "f.csv", change)).provenance == Provenance()


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
        import_table(postgresql_url, table.origin, found.figures, found.calibration, given_from="a test")
        with LatencyTable.open(postgresql_url) as there:
            specs = table.networks()[0].graph.specs
            assert there.predict(specs) == table.predict(specs)
            assert there.given_from == "a test"
    with pytest.raises(BadTable, match="exists already"):
        import_table(postgresql_url, unknown_origin({}), found.figures)
