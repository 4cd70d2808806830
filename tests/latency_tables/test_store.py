"""Tables in files. What they share with those on a server is in `table_contract`."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from latency_tables.errors import BadTable, MissingOperators
from latency_tables.records import graph_from_json, graph_to_json
from latency_tables.storage.database import Database
from latency_tables.store import LatencyTable
from tests.latency_tables.table_contract import TableContract
from tests.latency_tables.toy_table import NETWORKS, ORIGIN, SPECS, burst, fill, times

ROOT = Path(__file__).parents[2]
#: writes passes of `c` without end, telling each; or reads without end until it has seen so many
WRITER = """
import sys
from itertools import count
from latency_tables.store import LatencyTable
from tests.latency_tables.toy_table import burst, times
with LatencyTable.open(sys.argv[1]) as table:
    for index in count(len(table.measured())):
        table.add("c", index, burst("c"), times(1.0, 3.0))
        print(index, flush=True)
"""
READER = """
import sys
from latency_tables.store import LatencyTable
seen = 0
while seen < int(sys.argv[2]):
    with LatencyTable.open(sys.argv[1]) as table:
        passes = len(table.measured())
        observations = len(table.observations())
        assert seen <= passes <= observations / 2, (seen, passes, observations)
        table.predict([])
        seen = passes
print("done")
"""


def test_a_network_survives_its_text():
    for network in NETWORKS:
        assert graph_from_json(graph_to_json(network.graph)) == network.graph


class TestFile(TableContract):
    @pytest.fixture
    def address(self, tmp_path: Path) -> str:
        return str(tmp_path / "t.db")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.db"


@pytest.fixture
def table(path: Path) -> Iterator[LatencyTable]:
    with LatencyTable.create(path, ORIGIN, NETWORKS) as made:
        yield made


def test_a_file_is_complete_between_writes(table, path):
    fill(table)
    assert [file.name for file in path.parent.iterdir()] == ["t.db"]
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    with LatencyTable.open(copy) as copied:
        assert copied.observations() == table.observations()


def test_a_missing_table_is_not_made(path):
    with pytest.raises(BadTable, match=r"no latency table .*t\.db"):
        LatencyTable.open(path)
    assert not path.exists()


def test_a_table_that_was_removed_is_not_made_anew(table, path):
    path.unlink()
    for act in (table.bursts, lambda: table.mark_stale("it went")):
        with pytest.raises(BadTable, match=r"no latency table .*t\.db"):
            act()
    assert not path.exists()


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(BadTable, match="no folder"):
        LatencyTable.create(tmp_path / "no" / "t.db", ORIGIN, NETWORKS)


def test_an_odd_name_is_a_name(tmp_path):
    path = tmp_path / "50% of? a#b &mode=ro.db"
    with LatencyTable.create(path, ORIGIN, NETWORKS) as made:
        fill(made)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with LatencyTable.open(path) as again:
        assert again.ready


@pytest.mark.parametrize("content", [b"", b"TFL3 is something else", b"SQLite format 3\0 and then no page"])
def test_other_files_are_refused_and_left_alone(path, content):
    path.write_bytes(content)
    with pytest.raises(BadTable, match=r"t\.db"):
        LatencyTable.open(path)
    assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == ["t.db"]


def test_a_folder_is_no_table(path):
    path.mkdir()
    for act in (LatencyTable.open, LatencyTable.exists):
        with pytest.raises(BadTable, match=r"t\.db: Is a directory"):
            act(path)


def test_other_databases_are_refused_and_left_alone(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE meta (key, value)")
    before = path.read_bytes()
    with pytest.raises(BadTable, match="no latency table"):
        LatencyTable.open(path)
    assert path.read_bytes() == before


def test_damage_never_shows_as_another_error(table, path):
    fill(table)
    whole = path.read_bytes()
    rng = random.Random(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        if rng.random() < 0.3:
            del damaged[rng.randrange(1, len(damaged)) :]
        else:
            start = rng.randrange(len(damaged))
            damaged[start : start + 200] = rng.randbytes(min(200, len(damaged) - start))
        path.write_bytes(damaged)
        try:
            with LatencyTable.open(path) as opened:
                opened.networks()
                opened.bursts()
                opened.failures()
                opened.predict([SPECS[0]])
        except (BadTable, MissingOperators):
            refused += 1
        for companion in path.parent.glob("t.db-*"):
            companion.unlink()
    assert refused >= 15


def test_one_writes_while_many_read(table, path):
    """Readers see the table grow pass by pass, each whole, and neither side is ever refused."""
    fill(table)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, cwd=ROOT)
    readers = [
        subprocess.Popen([sys.executable, "-c", READER, path, "40"], stdout=subprocess.PIPE, cwd=ROOT)
        for _ in range(2)
    ]
    try:
        assert [reader.communicate(timeout=60)[0] for reader in readers] == [b"done\n"] * 2
        assert writer.poll() is None
    finally:
        for process in (writer, *readers):
            process.kill()
            process.communicate()


def test_a_reader_sees_one_state_while_another_writes(table, path):
    fill(table)
    with LatencyTable.open(path) as reader, reader._database.reading() as connection:
        count = "SELECT count(*) FROM passes"
        assert connection.exec_driver_sql(count).scalar() == 3
        table.add("c", 1, burst("c"), times(1.0, 3.0))
        assert connection.exec_driver_sql(count).scalar() == 3
    assert len(table.measured()) == 4


def test_what_was_told_before_a_kill_is_there_after_it(table, path):
    fill(table)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, cwd=ROOT)
    with LatencyTable.open(path) as reader, reader._database.reading() as connection:
        connection.exec_driver_sql("SELECT 1 FROM meta")  # so that the writer leaves its log behind
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(5)][-1]
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        shutil.copytree(path.parent, path.parent / "found")
    with LatencyTable.open(path.parent / "found" / "t.db") as again:
        assert {("c", index) for index in range(3, told + 1)} <= again.measured()
        assert len(again.observations()) == 7 + 2 * (len(again.measured()) - 3)
    assert [file.name for file in (path.parent / "found").iterdir()] == ["t.db"]


def test_a_copy_has_what_a_writer_has_not_folded_in(table, path):
    with LatencyTable.open(path) as reader, reader._database.reading() as connection:
        connection.exec_driver_sql("SELECT 1 FROM meta")
        fill(table)
        assert path.with_name("t.db-wal").stat().st_size
        Database(str(path)).back_up(path.with_name("copy.db"))
    with LatencyTable.open(path.with_name("copy.db")) as copied:
        assert copied.observations() == table.observations()


class TestReadOnly:
    """As somebody who may read but not write: root may do anything, so it is a process without that right."""

    LOOK = """
import sys
from latency_tables.errors import BadTable
from latency_tables.store import LatencyTable
with LatencyTable.open(sys.argv[1]) as table:
    print(len(table.measured()), round(table.predictor().scale, 1))
    try:
        table.mark_stale("old")
    except BadTable as error:
        print(error)
"""

    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="mnas-read-only-") as name:
            folder = Path(name)
            yield folder
            folder.chmod(0o755)

    def _look(self, path: Path) -> list[str]:
        bound = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
        command = [*bound, sys.executable, "-c", self.LOOK, path]
        found = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
        assert found.returncode == 0, found.stderr
        return found.stdout.splitlines()

    @pytest.mark.parametrize(("file", "folder_mode"), [(0o444, 0o555), (0o444, 0o777), (0o644, 0o555)])
    def test_a_table_that_may_not_be_written_is_read(self, folder: Path, file: int, folder_mode: int) -> None:
        path = folder / "t.db"
        with LatencyTable.create(path, ORIGIN, NETWORKS) as made:
            fill(made)
        before = path.read_bytes()
        path.chmod(file)
        folder.chmod(folder_mode)
        first, second = self._look(path)
        assert first == "3 1.5"
        assert "readonly database" in second
        assert path.read_bytes() == before
        assert [one.name for one in folder.iterdir()] == ["t.db"]

    def test_what_a_writer_has_not_folded_in_is_seen(self, folder: Path) -> None:
        path = folder / "t.db"
        with (
            LatencyTable.create(path, ORIGIN, NETWORKS) as made,
            made._database.reading() as connection,
        ):
            connection.exec_driver_sql("SELECT 1 FROM meta")
            fill(made)
            for one in folder.iterdir():
                one.chmod(0o444)
            folder.chmod(0o555)
            assert (folder / "t.db-wal").stat().st_size
            assert self._look(path)[0] == "3 1.5"

    def test_what_cannot_be_read_whole_is_refused(self, folder: Path) -> None:
        """Its log is there and cannot be used: figures without it would be another table's."""
        path = folder / "t.db"
        with (
            LatencyTable.create(path, ORIGIN, NETWORKS) as made,
            made._database.reading() as connection,
        ):
            connection.exec_driver_sql("SELECT 1 FROM meta")
            fill(made)
            found = folder / "found"
            found.mkdir()
            for end in ("", "-wal"):
                shutil.copy(f"{path}{end}", f"{found / 't.db'}{end}")
            found.chmod(0o555)
        with pytest.raises(AssertionError, match=r"BadTable: .*t\.db cannot be used"):
            self._look(found / "t.db")
        found.chmod(0o755)
