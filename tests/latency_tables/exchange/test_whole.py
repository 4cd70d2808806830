"""New tables: whole, of the name that was asked for, and never in another one's place."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from latency_tables.errors import BadTable
from latency_tables.exchange.merge import merge
from latency_tables.exchange.whole import whole
from latency_tables.storage import lock
from latency_tables.store import LatencyTable
from tests.latency_tables.toy_table import NETWORKS, ORIGIN, fill

ROOT = Path(__file__).parents[3]
MERGE = """
import sys
from latency_tables.errors import BadTable
from latency_tables.exchange.merge import merge
try:
    merge(sys.argv[1:3], sys.argv[3])
except BadTable as error:
    print(error)
"""


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "new.db"


def make(place: Path | str) -> None:
    with LatencyTable.create(place, ORIGIN, NETWORKS) as table:
        fill(table)


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def test_a_table_gets_its_name_at_the_end(output: Path) -> None:
    output.with_name("new.db.partial").write_bytes(b"of one that was killed")
    with whole(str(output)) as place:
        make(place)
        assert not output.exists()
    assert names(output.parent) == ["new.db"]
    with LatencyTable.open(output) as table:
        assert len(table.measured()) == 3


def test_one_that_ends_early_leaves_nothing(output: Path) -> None:
    def act() -> None:
        with whole(str(output)) as place:
            make(place)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        act()
    assert names(output.parent) == []


@pytest.fixture(params=["links", "none"])
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system where a file can have two names, and one where it cannot, such as FAT."""

    def link(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    if request.param == "none":
        monkeypatch.setattr(os, "link", link)


@pytest.mark.usefixtures("links")
def test_what_was_made_in_the_meantime_stays(output: Path) -> None:
    def act() -> None:
        with whole(str(output)) as place:
            make(place)
            LatencyTable.create(output, ORIGIN, NETWORKS[:1]).close()

    with pytest.raises(BadTable, match=r"new\.db (was made by somebody else|exists already)"):
        act()
    assert names(output.parent) == ["new.db"]
    with LatencyTable.open(output) as table:
        assert table.networks() == NETWORKS[:1]


@pytest.mark.usefixtures("links")
def test_an_empty_file_is_nobodys_table(output: Path) -> None:
    output.touch()
    with whole(str(output)) as place:
        make(place)
    with LatencyTable.open(output) as table:
        assert table.measured()


def test_a_table_is_whole_though_somebody_looks_at_its_draft(output: Path) -> None:
    with whole(str(output)) as place:
        make(place)
        looks = sqlite3.connect(place)
        looks.execute("BEGIN")
        looks.execute("SELECT count(*) FROM meta").fetchall()
        with LatencyTable.open(place) as table:
            table.mark_stale("in the log only")
        assert Path(f"{place}-wal").stat().st_size
    looks.close()
    assert names(output.parent) == ["new.db"]
    with LatencyTable.open(output) as table:
        assert table.stale == "in the log only"


def test_two_do_not_make_the_same_table_at_once(output: Path) -> None:
    with whole(str(output)) as place:
        make(place)
        with pytest.raises(BadTable, match=r"is at work on .*new\.db: wait"), whole(str(output)):
            pass
        with pytest.raises(BadTable, match=r"is at work on .*new\.db: wait"), lock.builder(str(output)):
            pass
    assert output.exists()


def test_a_table_is_made_where_a_link_leads(output: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    output.symlink_to(tmp_path / "elsewhere" / "t.db")
    with whole(str(output)) as place:
        make(place)
    assert output.is_symlink()
    assert names(tmp_path / "elsewhere") == ["t.db"]
    with LatencyTable.open(output) as table:
        assert table.measured()


def test_errors_name_what_was_asked_for(output: Path) -> None:
    def act() -> None:
        with whole(str(output)) as place:
            make(place)
            make(place)

    with pytest.raises(BadTable) as caught:
        act()
    assert str(caught.value).startswith(f"{output} exists already")


def test_a_folder_that_may_not_be_written_is_named_by_what_was_asked_for(tmp_path: Path) -> None:
    for name in ("a.db", "b.db"):
        make(tmp_path / name)
    with tempfile.TemporaryDirectory(prefix="mnas-read-only-") as name:
        folder = Path(name)
        folder.chmod(0o555)
        rights = "-dac_override,-dac_read_search"
        bound = ["setpriv", "--bounding-set", rights] if os.geteuid() == 0 else []
        found = subprocess.run(
            [*bound, sys.executable, "-c", MERGE, tmp_path / "a.db", tmp_path / "b.db", folder / "m.db"],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        folder.chmod(0o755)
        assert names(folder) == []
    assert found.stderr == ""
    assert f"{folder / 'm.db'}: Permission denied" in found.stdout
    assert ".partial" not in found.stdout


def test_merging_keeps_what_was_made_meanwhile(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way: `merge` looks at the output first and gives the name last."""
    first, second = output.with_name("a.db"), output.with_name("b.db")
    make(first)
    make(second)
    real = os.link

    def late(source: str, target: Path) -> None:
        make(output)
        real(source, target)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(BadTable, match=r"new\.db was made by somebody else"):
        merge([str(first), str(second)], str(output))
    assert names(output.parent) == ["a.db", "b.db", "new.db"]
