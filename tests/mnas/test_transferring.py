"""Tables transferred between devices of known latencies: how close, how honest, and when not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from devices.measurement import Settings
from latency_tables.errors import BadTable
from latency_tables.storage import lock
from latency_tables.store import LatencyTable
from mnas import transferring
from mnas.errors import BadInput
from mnas.tables import TableRequest, held_out, open_or_create
from mnas.transferring import SAMPLES, Wanted, transfer_table
from tests.mnas.boards import ONCE, REQUEST, Board, alike, complete, unlike

#: as reference kernels are to optimised ones: by kind
OTHER = alike({"conv_2d": 4.0, "depthwise_conv_2d": 1.5, "mul": 0.7, "add": 0.5, "average_pool_2d": 2.0})


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return complete(tmp_path_factory.mktemp("transfer") / "from.db")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer networks to choose from, for speed."""
    monkeypatch.setattr(transferring, "CANDIDATES", 40)
    monkeypatch.setattr(transferring, "OTHERS", 30)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new.db"


def errors_percent(path: Path, board: Board) -> np.ndarray:
    """Of networks that the table has not seen."""
    with LatencyTable.open(path) as table:
        found = [
            (table.predict(graph.specs), board.latency_ms(graph.specs)) for _, graph in held_out(table, 20, 7)
        ]
    return np.array([100 * abs(one.latency_ms - true_ms) / true_ms for one, true_ms in found])


def transfer(source: Path, board: Board, new: Path, wanted: Wanted | None = None, **named):
    with LatencyTable.open(source) as table:
        return transfer_table(table, board, str(new), wanted or Wanted(8), ONCE, **named)


def test_few_samples_make_a_table_of_another_device(source: Path, new: Path) -> None:
    board = Board("second", OTHER)
    report = transfer(source, board, new)
    assert report.refused is None
    assert report.kept is None
    assert (report.samples, report.measured, len(board.seen)) == (8, 8, 8)
    assert [one.name for one in new.parent.iterdir()] == ["new.db"]
    found = report.found
    assert found is not None
    assert found.measured < len(found.figures)
    assert len(found.residuals) == 8
    errors = errors_percent(new, board)
    assert np.mean(errors) < 2.0
    assert found.mape_percent < 2.0
    assert found.low_percent <= found.mape_percent <= found.high_percent
    with LatencyTable.open(source) as first, LatencyTable.open(new) as table:
        assert table.ready
        assert table.figures().keys() == first.figures().keys()
        methods = [one.method for one in table.figures().values()]
        assert (methods.count("in context"), set(methods)) == (found.measured, {"in context", "transferred"})
        assert table.origin.facts.address == "second"
        assert TableRequest.of_table(table) == replace(REQUEST, anchors=8)
        assert "first (from.db), by 8 samples" in (table.given_from or "")
        prediction = table.predict(table.networks()[0].graph.specs)
        assert prediction.low_ms is not None
        assert prediction.low_ms < prediction.latency_ms


def test_whole_latencies_tell_where_there_is_no_profiler(source: Path, new: Path) -> None:
    board = Board("second", OTHER, profiler=False)
    report = transfer(source, board, new, Wanted(16, max_error_percent=15))
    assert report.refused is None
    assert report.found is not None
    assert report.found.measured == 0
    assert "no profiler here" in (report.profiler or "")
    assert np.mean(errors_percent(new, board)) < 5.0
    with LatencyTable.open(new) as table:
        assert {one.method for one in table.figures().values()} == {"transferred"}


def test_a_table_that_does_not_transfer_is_refused_and_its_samples_kept(source: Path, new: Path) -> None:
    board = Board("second", unlike(1.5))
    report = transfer(source, board, new, Wanted(5, max_error_percent=3))
    assert report.refused is not None
    assert "it does not transfer: each predicted from the others, 5 samples are off by" in report.refused
    assert report.kept == f"{new}{SAMPLES}"
    assert [one.name for one in new.parent.iterdir()] == [f"new.db{SAMPLES}"]
    assert report.found is not None
    # the error that was told is what one would have had
    assert report.found.mape_percent > 3
    more = transfer(source, board, new, Wanted(7, max_error_percent=1000))
    assert (more.refused, more.samples, more.measured) == (None, 7, 2)
    assert len(board.seen) == len(set(board.seen)) == 7
    assert [one.name for one in new.parent.iterdir()] == ["new.db"]


def test_a_table_is_whole_though_somebody_looks_at_its_samples(source: Path, new: Path) -> None:
    """Whose connection keeps the log of the samples' file."""
    board = Board("second", OTHER)
    transfer(source, board, new, budget_s=0.0)
    with LatencyTable.open(f"{new}{SAMPLES}") as samples, samples._database.reading() as connection:
        connection.exec_driver_sql("SELECT 1 FROM meta")
        assert transfer(source, board, new).refused is None
        with LatencyTable.open(new) as table:
            assert len(table.measured()) == 8
            assert table.ready
            assert table.given()
    assert [one.name for one in new.parent.iterdir()] == ["new.db"]


def test_a_table_that_was_made_meanwhile_stays(source: Path, new: Path) -> None:
    def make(_: str) -> None:
        if not new.exists():
            new.write_bytes(source.read_bytes())

    with pytest.raises(BadTable, match=r"new\.db was made by somebody else meanwhile: choose another name"):
        transfer(source, Board("second", OTHER, before=make), new)
    assert new.read_bytes() == source.read_bytes()
    new.rename(new.with_name("other.db"))
    again = Board("second", OTHER)
    report = transfer(source, again, new)
    assert (report.refused, report.measured, again.seen) == (None, 0, [])
    with LatencyTable.open(new) as table:
        assert table.origin.facts.address == "second"
    assert {one.name for one in new.parent.iterdir()} == {"new.db", "other.db"}


def test_nobody_builds_where_a_table_is_to_be(source: Path, new: Path) -> None:
    seen = []

    def build(_: str) -> None:
        with pytest.raises(BadTable, match=r"is at work on .*new\.db: wait"), lock.builder(str(new)):
            pass
        seen.append(1)

    assert transfer(source, Board("second", OTHER, before=build), new).refused is None
    assert seen
    board, other = Board("third", OTHER), new.with_name("other.db")
    with lock.builder(str(other)), pytest.raises(BadTable, match=r"is at work on .*other\.db: wait"):
        transfer(source, board, other)
    assert board.seen == []


def test_what_was_measured_before_an_end_is_kept(source: Path, new: Path) -> None:
    def end(_: str) -> None:
        if len(board.seen) == 6:
            raise KeyboardInterrupt

    board = Board("second", OTHER, before=end)
    with pytest.raises(KeyboardInterrupt):
        transfer(source, board, new)
    assert [one.name for one in new.parent.iterdir()] == [f"new.db{SAMPLES}"]
    again = Board("second", OTHER)
    report = transfer(source, again, new)
    assert (report.refused, report.samples, report.measured) == (None, 8, 2)
    assert not set(board.seen) & set(again.seen)


def test_a_budget_ends_it_between_networks(source: Path, new: Path) -> None:
    report = transfer(source, Board("second", OTHER), new, budget_s=0.0)
    assert report.budget_over
    assert report.found is None
    assert report.refused == "the time was over after 0 samples"
    assert not new.exists()


def test_types_are_crossed_when_that_is_said(source: Path, new: Path) -> None:
    board = Board("first", OTHER)
    with pytest.raises(BadInput, match="is of float32 networks, and int8 was asked for; if that is meant"):
        transfer(source, board, new, Wanted(8, dtype="int8"))
    report = transfer(source, board, new, Wanted(8, dtype="int8", across=["dtype"]))
    assert report.refused is None
    assert np.mean(errors_percent(new, board)) < 2.0
    with LatencyTable.open(new) as table:
        assert {unit.split("/")[1] for unit in table.figures()} == {"int8"}


def test_the_same_samples_are_chosen_each_time(source: Path, tmp_path: Path) -> None:
    chosen = []
    for number, seed in enumerate((0, 0, 1)):
        place = tmp_path / f"{number}.db"
        transfer(source, Board("second", OTHER), place, Wanted(6, seed=seed), budget_s=0.0)
        with LatencyTable.open(f"{place}{SAMPLES}") as table:
            chosen.append([one.graph for one in table.networks()])
    assert len(chosen[0]) == 6
    assert chosen[0] == chosen[1]
    assert chosen[0] != chosen[2]


def test_what_cannot_be_transferred_is_refused_before_anything_is_measured(
    source: Path, new: Path, tmp_path: Path
) -> None:
    board = Board("second", OTHER)
    with pytest.raises(BadInput, match="of this very device"):
        transfer(source, Board("first"), new)
    with pytest.raises(BadInput, match="merge"):
        transfer(source, board, "postgresql://x/y")
    (tmp_path / "there.db").write_bytes(source.read_bytes())
    with pytest.raises(BadTable, match="exists already"):
        transfer(source, board, tmp_path / "there.db")
    begun = tmp_path / "begun.db"
    with open_or_create(begun, REQUEST, Board("first")):
        pass
    with pytest.raises(BadTable, match="is incomplete"):
        transfer(begun, board, new)
    assert board.seen == []
    for wrong, message in (
        ({"samples": 3}, "4 or more"),
        ({"across": ["moon"]}, "allowed: dtype"),
        ({"dtype": "float64"}, "float64"),
        ({"max_error_percent": 0.0}, "more than 0"),
    ):
        with pytest.raises(BadInput, match=message):
            Wanted(**wrong)


def test_samples_of_another_device_are_refused(source: Path, new: Path) -> None:
    transfer(source, Board("second", unlike(1.0)), new, Wanted(5, max_error_percent=0.01))
    with pytest.raises(BadTable, match="address is 'third'"):
        transfer(source, Board("third", OTHER), new)
    with pytest.raises(BadTable, match="threads is 2"):
        transfer(source, Board("second", OTHER, settings=Settings(threads=2)), new)
    with pytest.raises(BadTable, match="dtype is 'int8', the samples' is 'float32'"):
        transfer(source, Board("second", OTHER), new, Wanted(5, dtype="int8", across=["dtype"]))
