from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from latency_tables.errors import BadTable
from latency_tables.storage.lock import exclusive

HOLDER = """
import sys
from pathlib import Path
from latency_tables.storage.lock import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
COUNTER = """
import sys
from pathlib import Path
from latency_tables.errors import BadTable
from latency_tables.storage.lock import exclusive
lock, file = map(Path, sys.argv[1:])
done = 0
while done < 100:
    try:
        with exclusive(lock):
            file.write_text(str(int(file.read_text()) + 1))
            done += 1
    except BadTable:
        pass
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.db.lock"


def test_the_file_is_there_while_it_is_held(path: Path) -> None:
    with exclusive(path):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()
    with pytest.raises(KeyboardInterrupt), exclusive(path):
        raise KeyboardInterrupt
    assert not path.exists()


def test_another_process_that_holds_it_is_named_until_it_dies(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(BadTable, match=rf"process {holder.pid} is at work on .*t\.db: wait"),
            exclusive(path),
        ):
            pass
        holder.kill()
        holder.wait()
    assert path.exists()
    with exclusive(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_what_a_dead_holder_wrote_is_replaced(path: Path) -> None:
    path.write_text("1234567890123\n")
    with exclusive(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(BadTable, match=r"cannot write .*t\.db\.lock: No such file"),
        exclusive(tmp_path / "no" / "t.db.lock"),
    ):
        pass


def test_no_two_hold_it_at_once(path: Path, tmp_path: Path) -> None:
    """Though each removes the file that the others are about to lock."""
    file = tmp_path / "count"
    file.write_text("0")
    command = [sys.executable, "-c", COUNTER, str(path), str(file)]
    jobs = [subprocess.Popen(command) for _ in range(4)]
    assert [job.wait(60) for job in jobs] == [0] * 4
    assert file.read_text() == "400"
