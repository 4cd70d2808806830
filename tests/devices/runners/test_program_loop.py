"""Programs run one after another on the device, and nothing they do is taken for something else."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import BadSettings, DeadlineExceeded, DevicesError, UnreadableOutput, WorkerCrashed
from devices.runners.program_loop import CoreState, ProgramLoop, _core
from tests.devices.processes import running
from tests.devices.shells import Through, android


@pytest.fixture(params=["here", "android"])
def transport(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Through]:
    before = running()
    found = Through([]) if request.param == "here" else android(tmp_path / "tools")
    yield found
    found.close()
    assert running() <= before


@pytest.fixture
def loop(transport: Through, tmp_path: Path) -> ProgramLoop:
    return ProgramLoop(transport, str(tmp_path), None)


def shell(script: str, *arguments: str) -> list[str]:
    return ["sh", "-c", script, "sh", *arguments]


def ended(pid: int) -> bool:
    """Whether a process ends within seconds; one that nobody has waited for has ended."""
    for _ in range(100):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_each_programs_ending_and_output(loop: ProgramLoop) -> None:
    loop.send(shell("echo out; echo err >&2; exit 7"))
    loop.send(["no-such-program"])
    loop.send(shell("printf 'no end of line'"))
    loop.send(["true"])
    loop.send(shell("kill -11 $$"))
    found = [loop.wait(10.0) for _ in range(5)]
    assert [each.exit_code for each in found] == [7, 127, 0, 0, 139]
    assert sorted(found[0].console.splitlines()) == ["err", "out"]
    assert "not found" in found[1].console
    assert (found[2].console, found[3].console) == ("no end of line", "")
    assert all(each.result is None and each.cores == () for each in found)


def test_arguments_are_not_expanded(loop: ProgramLoop) -> None:
    arguments = ["$HOME", "`id`", "a b", "", "*", "'\"\\", "-n", "; exit 3", "ä€", "\x1b[31m"]
    loop.send(["printf", "%s|", *arguments])
    assert loop.wait(10.0).console == "".join(f"{argument}|" for argument in arguments)
    with pytest.raises(BadSettings, match="several lines"):
        loop.send(["echo", "a\nreboot"])


def test_a_program_reads_nothing_of_what_follows(loop: ProgramLoop) -> None:
    loop.send(["cat"])
    loop.send(["echo", "second"])
    assert loop.wait(10.0).console == ""
    assert loop.wait(10.0).console == "second\n"


def test_a_file_comes_back_once(loop: ProgramLoop, tmp_path: Path) -> None:
    content = bytes(range(256)) * 300
    (tmp_path / "source").write_bytes(content)
    loop.send(["cp", f"{tmp_path}/source", loop.result_path])
    loop.send(["echo", "no file"])
    loop.send(["cp", "/dev/null", loop.result_path])
    assert loop.wait(10.0).result == content
    assert loop.wait(10.0).result is None
    assert loop.wait(10.0).result is None


def test_files_of_broken_loops_are_removed(transport: Through, tmp_path: Path) -> None:
    (tmp_path / "result.mnas0.1").write_bytes(b"old")
    ProgramLoop(transport, str(tmp_path), None)
    assert not (tmp_path / "result.mnas0.1").exists()


def test_endless_output_ends_early(loop: ProgramLoop, tmp_path: Path) -> None:
    loop.send(shell('echo $$ >"$1"; exec yes', f"{tmp_path}/pid"))
    begin = time.monotonic()
    with pytest.raises(UnreadableOutput, match="larger than 4 MB"):
        loop.wait(60.0)
    assert time.monotonic() - begin < 20
    assert ended(int((tmp_path / "pid").read_text(encoding="utf-8")))


def test_nothing_is_written_but_results(loop: ProgramLoop, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    loop.send(["echo", "hello"])
    assert loop.wait(10.0).console == "hello\n"
    assert set(tmp_path.rglob("*")) == before


def test_a_file_that_is_too_large_is_refused(loop: ProgramLoop) -> None:
    loop.send(shell('head -c 4000000 /dev/zero >"$1"', loop.result_path))
    with pytest.raises(UnreadableOutput, match="larger than 4 MB"):
        loop.wait(30.0)


def test_a_program_that_hangs_is_ended_with_all_it_started(loop: ProgramLoop, tmp_path: Path) -> None:
    loop.send(shell('echo $$ >"$1"; sleep 61 & sleep 60', f"{tmp_path}/pid"))
    loop.send(["touch", f"{tmp_path}/after"])
    begin = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        loop.wait(0.5)
    assert time.monotonic() - begin < 5
    assert ended(int((tmp_path / "pid").read_text(encoding="utf-8")))
    assert not (tmp_path / "after").exists()


def test_a_shell_that_is_killed(transport: Through, tmp_path: Path) -> None:
    before = running()
    loop = ProgramLoop(transport, str(tmp_path), None)
    (own,) = (one for one in running() - before if one.ppid() == os.getpid())
    own.kill()
    with pytest.raises(WorkerCrashed, match=r"signal 9 \(SIGKILL\)"):
        loop.wait(5.0)


def test_programs_are_pinned(transport: Through, tmp_path: Path) -> None:
    core = max(os.sched_getaffinity(0))
    loop = ProgramLoop(transport, str(tmp_path), [core])
    loop.send(["grep", "Cpus_allowed_list", "/proc/self/status"])
    found = loop.wait(10.0)
    assert found.console.split() == ["Cpus_allowed_list:", str(core)]
    assert len(found.cores) == 1


def test_when_memory_runs_out_programs_go_first(loop: ProgramLoop) -> None:
    loop.send(["cat", "/proc/self/oom_score_adj"])
    assert loop.wait(10.0).console == "1000\n"


def test_cores_that_cannot_be_used(transport: Through, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"cores \[60\] cannot be used on the device: taskset"):
        ProgramLoop(transport, str(tmp_path), [60])
    core = max(os.sched_getaffinity(0))
    with pytest.raises(BadSettings, match=rf"of cores \[{core}, 60\] only \[{core}\] can be used"):
        ProgramLoop(transport, str(tmp_path), [core, 60])


def test_a_folder_that_is_not_there(transport: Through, tmp_path: Path) -> None:
    with pytest.raises(DevicesError, match="nowhere"):
        ProgramLoop(transport, f"{tmp_path}/nowhere", None)


def test_the_state_of_cores() -> None:
    assert _core("core schedutil 1804800 2400000 2841600") == CoreState(
        "schedutil", 1804800, 2400000, 2841600
    )
    assert _core("core - - - -") == CoreState(None, None, None, None)
    assert _core("core performance <unsupported> 0 99999999999") == CoreState("performance", None, None, None)
    assert _core("") == CoreState(None, None, None, None)


@settings(max_examples=25)
@given(st.binary(max_size=300))
def test_whatever_is_printed_comes_back(tmp_path_factory: pytest.TempPathFactory, printed: bytes) -> None:
    folder = tmp_path_factory.mktemp("work")
    (folder / "printed").write_bytes(printed)
    transport = Through([])
    loop = ProgramLoop(transport, str(folder), None)
    loop.send(["cat", f"{folder}/printed"])
    loop.send(["cp", f"{folder}/printed", loop.result_path])
    assert loop.wait(10.0).console == printed.decode(errors="replace")
    assert (loop.wait(10.0).result or b"") == printed
    transport.close()


def test_a_program_that_forges_marks(loop: ProgramLoop) -> None:
    """It can read the mark; all it can do with it is lie about itself."""
    forge = 'm=${1##*result.}; m=${m%.*}; printf "%s\\n" "" "$m ended 0" "$m result" "$m end" "x"; exit 5'
    loop.send(shell(forge, loop.result_path))
    loop.send(["echo", "next"])
    assert loop.wait(10.0).exit_code == 5
    assert loop.wait(10.0).console == "next\n"
