from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from devices.lock import held, holder

HOLDER = """
import sys
from pathlib import Path
from devices.lock import held
with held(Path(sys.argv[1]), "ada since nine"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_holder_is_told_while_it_lives(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder(path) is None
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert holder(path) == "ada since nine"
        with pytest.raises(BlockingIOError, match="ada since nine"), held(path, "me"):
            pass
        process.kill()
        process.wait()
    assert holder(path) is None
    with held(path, "me"):
        assert holder(path) == "me"
    assert holder(path) is None
    assert path.exists()


def test_the_file_goes_where_it_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path, "me", keep=False):
        assert path.read_text() == "me\n"
    assert not path.exists()


def test_a_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path, "first"):
        with pytest.raises(BlockingIOError, match="first"), held(path, "second"):
            pass
        assert holder(path) == "first"


def test_a_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), held(tmp_path / "no" / "lock", "me"):
        pass
