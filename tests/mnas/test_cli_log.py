"""A job's log: what happens, with its time, until the end."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from devices.errors import DeadlineExceeded
from mnas.cli.app import Exit, Interrupted
from mnas.cli.log import Log, ends, logged
from mnas.cli.output import Display
from mnas.errors import BadInput

LINE = rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 \[{os.getpid()}\] (.*)"


def lines(path: Path) -> list[str]:
    found = [re.fullmatch(LINE, line) for line in path.read_text().splitlines()]
    assert all(found), path.read_text()
    return [each[1] for each in found if each]


def test_a_job_from_its_command_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["mnas", "table", "build", "-o", "a b"])
    path = tmp_path / "log"
    for _ in range(2):
        with logged(path) as log, Display(quiet=True, log=log) as display:
            display.report("profiling", 1, 3)
            log("two\nlines \x1b[31m")
            assert ends(log, Exit.FAILURES) is Exit.FAILURES
    once = [
        "begins: mnas table build -o 'a b'",
        "profiling: 1 of 3",
        lines(path)[2],
        "ends with exit code 4",
    ]
    assert lines(path) == once * 2
    assert lines(path)[2].startswith("two lines")
    assert "\x1b" not in path.read_text()


@pytest.mark.parametrize(
    ("error", "last"),
    [
        (Interrupted("go on with"), "ends with exit code 130: interrupted"),
        (KeyboardInterrupt(), "ends with exit code 130: interrupted"),
        (BadInput("no such space"), "ends with exit code 2: no such space"),
        (DeadlineExceeded("too slow"), "ends with exit code 3: too slow"),
        (ZeroDivisionError(), "ends unexpectedly: ZeroDivisionError()"),
    ],
)
def test_what_ends_a_job_is_its_last_line(tmp_path: Path, error: BaseException, last: str) -> None:
    with pytest.raises(type(error)), logged(tmp_path / "log"):
        raise error
    assert lines(tmp_path / "log")[-1] == last


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-o", "postgresql://lab:p%26w%20d%215@h/x"], "-o 'postgresql://lab:***@h/x'"),
        (["--output=postgresql://lab:Q@h/x?schema=a"], "'--output=postgresql://lab:***@h/x?schema=a'"),
        (["-opostgresql://lab:Q@h/x"], "'-opostgresql://***'"),
        (["postgresql://h/x?user=lab&password=p%26w%21"], "'postgresql://h/x?password=***&user=lab'"),
        (["postgresql://lab:Q@h:port/x"], "'postgresql://***'"),
        (["-d", "ssh://pi@bench:22", "-o=a=b.db"], "-d ssh://pi@bench:22 -o=a=b.db"),
    ],
)
def test_a_password_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["mnas", "table", "build", *arguments])
    with logged(tmp_path / "log"):
        pass
    assert lines(tmp_path / "log") == [f"begins: mnas table build {told}"]


def test_a_log_is_its_owners(tmp_path: Path) -> None:
    Log(tmp_path / "new").close()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
    (tmp_path / "shared").touch()
    (tmp_path / "shared").chmod(0o664)
    Log(tmp_path / "shared").close()
    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o664


def test_no_file_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with logged(None) as log:
        log("x")
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(BadInput, match=r"cannot write the log .*: No such file"),
        logged(tmp_path / "no" / "log"),
    ):
        pass


def test_a_full_disk_ends_no_job(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(Path("/dev/full"))
    log("one")
    log("two")
    assert capsys.readouterr().err.replace("\n", " ").count("cannot be written any more") == 1
