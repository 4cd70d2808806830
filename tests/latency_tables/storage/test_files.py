"""Files that links lead to, and files that go away or are replaced while they are at work on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.measurement import Settings
from latency_tables.build import build
from latency_tables.errors import BadTable
from latency_tables.exchange.importing import import_table
from latency_tables.exchange.merge import merge
from latency_tables.records import Origin
from latency_tables.storage import lock
from latency_tables.store import LatencyTable
from tests.latency_tables import desk
from tests.latency_tables.toy_table import NETWORKS, ORIGIN, burst, fill, times

ROOT = Path(__file__).parents[3]
LOOK = """
import sys
from latency_tables.store import LatencyTable
with LatencyTable.open(sys.argv[1]) as table:
    print(len(table.measured()))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.db"


@pytest.fixture
def table(path: Path) -> Iterator[LatencyTable]:
    with LatencyTable.create(path, ORIGIN, NETWORKS) as made:
        yield made


def passes(path: Path) -> int:
    with LatencyTable.open(path) as found:
        return len(found.measured())


class TestLinks:
    @pytest.fixture
    def link(self, path: Path, tmp_path: Path) -> Path:
        """Two links, one of them relative, in other folders than the file."""
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
        (tmp_path / "second" / "link.db").symlink_to("../t.db")
        link = tmp_path / "first" / "other name.db"
        link.symlink_to(tmp_path / "second" / "link.db")
        return link

    def test_a_table_is_built_by_one_of_its_names_at_a_time(self, table: LatencyTable, link: Path) -> None:
        message = rf"process {os.getpid()} is at work on {link}: wait"
        with LatencyTable.open(link) as other, table.building(), pytest.raises(BadTable, match=message):
            other.building().__enter__()
        assert not list(link.parent.glob("*.lock"))

    def test_a_table_is_made_where_a_link_leads(self, path: Path, link: Path) -> None:
        with LatencyTable.create(link, ORIGIN, NETWORKS) as made, made.building():
            fill(made)
        assert link.is_symlink()
        assert passes(path) == 3

    def test_a_circle_of_links_is_no_table(self, path: Path) -> None:
        path.symlink_to("other.db")
        path.with_name("other.db").symlink_to("t.db")
        for act in (
            lambda: LatencyTable.open(path),
            lambda: LatencyTable.create(path, ORIGIN, NETWORKS),
            lambda: merge([str(path), str(path)], str(path.with_name("new.db"))),
            lambda: import_table(str(path), ORIGIN, []),
        ):
            with pytest.raises(BadTable, match=r"t\.db"):
                act()
        assert sorted(one.name for one in path.parent.iterdir()) == ["other.db", "t.db"]

    def test_the_log_of_a_file_is_read_with_it(self) -> None:
        """From a folder that may not be written, where the log cannot be told by the link's own name."""
        with tempfile.TemporaryDirectory(prefix="mnas-links-") as name:
            folder, path = Path(name) / "links", Path(name) / "tables" / "t.db"
            folder.mkdir()
            path.parent.mkdir()
            (folder / "link.db").symlink_to(path)
            with (
                LatencyTable.create(path, ORIGIN, NETWORKS) as made,
                made._database.reading() as connection,
            ):
                connection.exec_driver_sql("SELECT 1 FROM meta")
                fill(made)
                assert path.with_name("t.db-wal").stat().st_size
                folder.chmod(0o555)
                path.parent.chmod(0o555)
                rights = "-dac_override,-dac_read_search"
                bound = ["setpriv", "--bounding-set", rights] if os.geteuid() == 0 else []
                found = subprocess.run(
                    [*bound, sys.executable, "-c", LOOK, folder / "link.db"],
                    check=False,
                    capture_output=True,
                    text=True,
                    cwd=ROOT,
                )
                folder.chmod(0o755)
                path.parent.chmod(0o755)
            assert (found.stdout, found.stderr) == ("3\n", "")


class TestWhileItIsBuilt:
    def test_the_log_stays_between_passes(self, table: LatencyTable, path: Path) -> None:
        log = path.with_name("t.db-wal")
        with table.building():
            table.add("a", 0, burst("a"), times(1.0, 2.0))
            first = log.stat()
            table.add("a", 1, burst("a"), times(1.0, 2.0))
            assert log.stat().st_ino == first.st_ino
            assert log.stat().st_size > first.st_size
        assert [one.name for one in path.parent.iterdir()] == ["t.db"]

    def test_a_file_that_is_removed_is_not_made_anew(self, table: LatencyTable, path: Path) -> None:
        with table.building():
            table.add("a", 0, burst("a"), times(1.0, 2.0))
            path.unlink()
            for act in (table.bursts, lambda: table.add("a", 1, burst("a"), times(1.0, 2.0))):
                with pytest.raises(BadTable, match=r"t\.db was removed or replaced .*not there any more"):
                    act()
        assert list(path.parent.iterdir()) == []
        with pytest.raises(BadTable, match="there is no latency table"):
            table.bursts()

    @pytest.mark.parametrize("way", ["renamed", "linked"])
    def test_nothing_is_written_to_a_file_in_its_place(
        self, table: LatencyTable, path: Path, tmp_path: Path, way: str
    ) -> None:
        other, name = tmp_path / "other.db", path
        LatencyTable.create(other, ORIGIN, NETWORKS).close()
        before = other.read_bytes()
        if way == "linked":
            name = tmp_path / "link.db"
            name.symlink_to(path)
        with LatencyTable.open(name) as at_work, at_work.building():
            at_work.add("a", 0, burst("a"), times(1.0, 2.0))
            if way == "linked":
                name.unlink()
                name.symlink_to(other)
            else:
                path.rename(tmp_path / "moved.db")
                other.rename(path)
            with pytest.raises(BadTable, match="another file is in its place"):
                at_work.add("a", 1, burst("a"), times(1.0, 2.0))
        assert name.read_bytes() == before
        assert passes(name) == 0
        # what was measured until then is in the file that was moved, which is whole without its log
        assert passes(path if way == "linked" else tmp_path / "moved.db") == 1

    def test_one_that_is_edited_in_place_goes_on(self, table: LatencyTable, path: Path) -> None:
        with table.building(), LatencyTable.open(path) as other:
            other.add("a", 0, burst("a"), times(1.0, 2.0))
            table.add("a", 1, burst("a"), times(1.0, 2.0))
        assert passes(path) == 2

    def test_a_file_that_is_put_back_goes_on(self, table: LatencyTable, path: Path) -> None:
        with table.building():
            shutil.move(path, path.with_name("away.db"))
            with pytest.raises(BadTable, match="not there any more"):
                table.bursts()
            shutil.move(path.with_name("away.db"), path)
            table.add("a", 0, burst("a"), times(1.0, 2.0))
        assert passes(path) == 1


def test_a_lock_is_named_by_what_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        lock.builder("t.db"),
        pytest.raises(BadTable, match=r"^process \d+ is at work on \./t\.db: wait for it$"),
        lock.builder("./t.db"),
    ):
        pass


@pytest.mark.parametrize("way", ["removed", "replaced"])
def test_a_build_ends_when_its_file_is_not_there_any_more(tmp_path: Path, way: str) -> None:
    """The whole way: the job, its device and the error that the user sees."""
    path, other = tmp_path / "t.db", tmp_path / "other.db"
    LatencyTable.create(other, Origin({}, desk.FACTS, Settings()), []).close()
    before = other.read_bytes()

    def away(_: str) -> None:
        if path.stat().st_ino == made_as and len(device.seen) == 5:
            if way == "removed":
                path.unlink()
            else:
                other.rename(path)

    device = desk.Desk(before=away)
    with LatencyTable.create(path, Origin({}, desk.FACTS, Settings()), desk.NETWORKS) as table:
        made_as = path.stat().st_ino
        with pytest.raises(BadTable, match=r"t\.db was removed or replaced while it was at work on"):
            build(table, device)
    if way == "replaced":
        assert path.read_bytes() == before
        assert passes(path) == 0
    else:
        assert [one.name for one in tmp_path.iterdir()] == ["other.db"]
