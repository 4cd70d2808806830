"""`mnas table export` and `mnas table import` as their users see them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from latency_tables.exchange.block_keys import MNASNET, key_of
from latency_tables.exchange.importing import import_table
from latency_tables.fitting.calibration import Calibration
from latency_tables.fitting.context import Sizes
from latency_tables.records import Given
from latency_tables.store import LatencyTable
from mnas.lower import lower
from mnas.spaces import create
from mnas.spaces.layers import Layers
from tests.command_line import Ended, running
from tests.mnas.measured_table import WIDTH, make
from tests.mnas.tables import agrees

Run = Callable[..., Ended]

run = running("table")

SPACE = ("--space", "mnasnet-small-images", "--resolution", "28", "--width", WIDTH, "--channels", "1")
#: of its networks the layers that keys can say: no pool skips, no cv operations
PLAIN = (2, 0, 1, 1, 0, 0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("export") / "whole.db")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_figures_leave_and_come_back(run: Run, whole: Path, tmp_path: Path, suffix: str) -> None:
    file, new = tmp_path / f"t{suffix}", tmp_path / "new.db"
    ended = run("export", whole, "-o", file, "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert agrees(document, "export")
    assert document["rows"] > 100
    ended = run("import", file, "-o", new, "--json")
    assert (ended.code, ended.err) == (0, "")
    document = json.loads(ended.out)
    assert agrees(document, "import")
    assert (document["calibrated"], document["unread"]) == (True, [])
    with LatencyTable.open(whole) as before, LatencyTable.open(new) as after:
        specs = before.networks()[0].graph.specs
        assert after.predict(specs) == before.predict(specs)
    assert f"t{suffix}: " in run("export", whole, "-o", file).out.replace("\n", "")
    assert run("import", file, "-o", tmp_path / "q.db", "-q") == (0, "", "")


def test_layers_leave_as_others_read_them_and_come_back(run: Run, whole: Path, tmp_path: Path) -> None:
    file, new = tmp_path / "t.yaml", tmp_path / "new.db"
    ended = run("export", whole, "-o", file, "--json")
    assert ended.code == 4
    document = json.loads(ended.out)
    assert agrees(document, "export")
    rows = yaml.safe_load(file.read_text())
    assert len(rows) == document["rows"]
    space = create("mnasnet-small-images", resolution=28, width=WIDTH, channels=1, classes=10)
    every = Layers(space).every()
    assert len(every) == document["rows"] + len(document["left_out"])
    assert document["rows"] == sum(key_of(unit, MNASNET) is not None for unit in every)

    ended = run("import", file, "-o", new, "--json", "--classes", 10, *SPACE)
    assert ended.code == 4
    document = json.loads(ended.out)
    assert agrees(document, "import")
    assert (document["figures"], document["calibrated"]) == (len(rows), False)
    assert len(document["missing_layers"]) == len(every) - len(rows)
    assert "without error bars" in ended.err
    with LatencyTable.open(whole) as before, LatencyTable.open(new) as after:
        specs = lower(space.decode(PLAIN * 7)).graph.specs
        found = after.predict(specs)
        assert found.latency_ms == pytest.approx(before.predict(specs).latency_ms, rel=1e-9)
        assert (found.low_ms, found.high_ms) == (None, None)
    # the table is one of the space: recipes and architectures can be asked for
    assert run("predict", new, str(space.decode(PLAIN * 7))).code == 0
    lacking = run("predict", new, str(space.decode((0, 0, 0, 0, 0, 0) * 7)))
    assert (lacking.code, lacking.out) == (4, "")
    assert "lacks" in lacking.err


def test_public_tables_can_be_used(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "note10.yaml"
    file.write_text(
        "Conv-input:8x8x3-output:4x4x8: {mean: 2.0, std: 0.1, count: 4}\n"
        "Logits-input:4x4x8-output:10: {mean: 0.5}\n"
        "moon: {mean: 0.5}\n"
    )
    meaning = ("--blocks", "once-for-all", "--activation", "relu6", "--device", "note10")
    ended = run("import", file, *meaning, "-o", tmp_path / "t.db", "--json")
    assert ended.code == 4
    document = json.loads(ended.out)
    assert [one["key"] for one in document["unread"]] == ["moon"]
    with LatencyTable.open(tmp_path / "t.db") as table:
        assert table.origin.facts.address == "note10"
        assert sorted(table.figures())[0] == "conv_2d/float32/1x8x8x3/1x4x4x8/k3x3/s2x2/same/relu6"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("f.csv", "-o", "t.db", "--dtype", "int8"), "--dtype without --space"),
        (("f.csv", "-o", "t.db", "--resolution", "96", "--width", "3"), "--resolution, --width without"),
        (("f.yaml", "-o", "t.db", "--classes", "10", "--channels", "1"), "--channels, --classes without"),
        (("f.csv", "-o", "t.db", "--unit", "ms"), "--unit would: leave it out"),
        (("twice.yaml", "-o", "t.db"), "twice, in lines 1 and 2"),
        (("huge.yaml", "-o", "t.db"), "mean of"),
        (("huge.csv", "-o", "t.db"), "row 1 of huge.csv: observations is"),
        (("t.xls", "-o", "t.db"), "not '.xls'"),
        (("no.csv", "-o", "t.db"), "No such file"),
        (("no.yaml", "-o", "t.db"), "No such file"),
        (("f.csv", "-o", "t.db", "--activation", "relu"), "--activation"),
        (("f.yaml", "-o", "t.db", "--blocks", "moon"), "mnasnet, once-for-all, proxylessnas"),
        (("f.yaml", "-o", "t.db", "--space", "moon"), "mnasnet-small-images"),
        (("f.yaml", "-o", "a/t.db"), "no folder"),
    ],
)
def test_what_cannot_be_imported_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.yaml").write_text("Logits-input:4x4x8-output:10: {mean: 0.5}\n")
    Path("f.csv").write_text("operator,latency_ms\nrelu/float32/1x8/1x8,1\n")
    Path("twice.yaml").write_text("Logits-input:4x4x8-output:10: {mean: 0.5}\n" * 2)
    Path("huge.yaml").write_text(f"Logits-input:4x4x8-output:10: {{mean: 1{'0' * 400}}}\n")
    Path("huge.csv").write_text("operator,latency_ms,observations\nrelu/float32/1x8/1x8,1,1e300\n")
    ended = run("import", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err.replace("\n", " ")
    left = sorted(one.name for one in tmp_path.iterdir())
    assert left == ["f.csv", "f.yaml", "huge.csv", "huge.yaml", "twice.yaml"]


@pytest.mark.parametrize(
    "options", [("--device", "pixel"), ("--dtype", "int8"), ("--resolution", "96"), ("--classes", "3")]
)
def test_what_a_file_says_itself_is_not_said_again(
    run: Run, whole: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    file = tmp_path / "t.csv"
    assert run("export", whole, "-o", file).code == 0
    ended = run("import", file, "-o", tmp_path / "new.db", *options)
    assert (ended.code, ended.out) == (2, "")
    assert f"leave {options[0]} out" in ended.err.replace("\n", " ")
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".yaml"])
def test_figures_of_a_stale_table_are_stale(run: Run, whole: Path, tmp_path: Path, suffix: str) -> None:
    table, file, new = tmp_path / "t.db", tmp_path / f"f{suffix}", tmp_path / "new.db"
    table.write_bytes(whole.read_bytes())
    with LatencyTable.open(table) as opened:
        opened.mark_stale("9 % slower")
        begun = opened.created_at
    assert "the table is stale, 9 % slower" in run("export", table, "-o", file).err
    ended = run("import", file, "-o", new, "--json")
    assert "the figures are stale: 9 % slower" in ended.err
    assert json.loads(ended.out)["stale"] == "9 % slower"
    shown = json.loads(run("show", new, "--json").out)
    assert shown["stale"] == "9 % slower"
    assert shown["given_from"] == f"the file f{suffix}, of a table begun {begun}"


def test_the_constant_of_a_calibration_is_not_lost_in_silence(run: Run, whole: Path, tmp_path: Path) -> None:
    table, file = tmp_path / "t.db", tmp_path / "t.yaml"
    with LatencyTable.open(whole) as opened:
        figures = [
            Given(one.unit, one.latency_ms, None, None, "imported") for one in opened.figures().values()
        ]
        affine = Calibration("affine", 1.1, intercept_ms=0.25), Sizes()
        import_table(str(table), opened.origin, figures, affine)
    ended = run("export", table, "-o", file, "--json")
    assert json.loads(ended.out)["lost_ms"] == 0.25
    assert "adds 0.25 ms to every network, which is in no row" in ended.err
    assert json.loads(run("export", whole, "-o", file, "--json").out)["lost_ms"] == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-o", "t.xls"), "'.xls'"),
        (("-o", "a/t.csv"), "No such file"),
        (("-o", "t.yaml", "--blocks", "moon"), "allowed: "),
        (("-o", "t.csv", "--blocks", "moon"), "--blocks moon is for .yaml files"),
        (("-o", "/dev/null/t.yaml"), "/dev/null/t.yaml: Not a directory"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    run: Run, whole: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    with contextlib.chdir(tmp_path):
        ended = run("export", whole, *options)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []
