"""The lease over two kinds of shell: Debian's, and what a phone has."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from devices import shell
from devices.bench import place
from devices.bench.lease import SCRIPT, SCRIPT_NAME, Holder, Lease, holder, host_holder
from devices.errors import DeviceBusy, DeviceTrouble, LeaseLost, LinkLost, NoSpace
from devices.local import LocalTransport
from devices.transport import CommandResult

APPLETS = (
    "cat",
    "chmod",
    "cp",
    "grep",
    "head",
    "id",
    "ln",
    "mkdir",
    "mv",
    "printf",
    "readlink",
    "rm",
    "setsid",
    "sleep",
    "timeout",
)
EXPIRY_S = 0.7
TAG = "mnas.test.tag"


class Phone(LocalTransport):
    """This machine with these programs alone."""

    def __init__(self, programs: Path) -> None:
        super().__init__()
        self.programs = programs
        self.rewrite: Callable[[Sequence[str]], Sequence[str]] = lambda command: command

    def run(self, command: Sequence[str], stdin: bytes = b"", timeout_s: float = 60.0) -> CommandResult:
        command = self.rewrite(command)
        return super().run(["/usr/bin/env", f"PATH={self.programs}", *command], stdin, timeout_s)


@pytest.fixture(params=["dash", "mksh"])
def programs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    shells = shutil.which(request.param)
    if shells is None:
        pytest.skip(f"{request.param} is not installed")
    (folder / "sh").symlink_to(shells)
    for name in APPLETS:
        program = shutil.which("toybox" if request.param == "mksh" else name)
        if program is None:
            pytest.skip("toybox is not installed")
        (folder / name).symlink_to(program)
    return folder


@pytest.fixture
def phone(programs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Phone:
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "state"))
    return Phone(programs)


@pytest.fixture
def work(tmp_path: Path) -> str:
    return str(tmp_path / "a work folder")


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which every login of the device may write."""
    folder = tmp_path / "for all"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setattr(place, "BASES", (str(tmp_path / "missing"), str(folder)))
    return folder


@pytest.fixture
def own(base: Path) -> Path:
    """This login's folder in it."""
    return base / f".mnas-lease-{os.getuid()}"


@pytest.fixture
def lease(phone: Phone, work: str, base: Path) -> Iterator[Callable[..., Lease]]:
    made: list[Lease] = []

    def make(address: str = "adb://A", expiry_s: float = 30.0, **more: object) -> Lease:
        made.append(Lease(phone, work, address, TAG, expiry_s=expiry_s, **more))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        phone.rewrite = lambda command: command
        one.release()


def mute(lease: Lease) -> None:
    """What a host that dies does: no heartbeat, no release; the host's lock goes with it."""
    lease._stop.set()
    lease._lock.close()


def eventually(holds: Callable[[], bool], within_s: float = 20.0) -> bool:
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def guards(base: Path) -> list[int]:
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        process = int(line.parts[2])
        try:
            words, leads = line.read_bytes().split(b"\0"), os.getsid(process) == process
        except OSError:
            continue
        if leads and b"guard" in words and any(word.endswith(os.fsencode(base)) for word in words):
            found.append(process)
    return found


def test_a_lease_comes_and_goes(
    lease: Callable[..., Lease], phone: Phone, work: str, base: Path, own: Path
) -> None:
    one = lease()
    assert holder(phone) is None
    assert not Path(work).exists(), "looking leaves nothing"
    assert list(base.iterdir()) == []
    assert one.acquire() == 1
    assert (one.fence, one.verify()) == (1, 1)
    found = holder(phone)
    assert found == host_holder("adb://A")
    assert found is not None
    assert found.pid == os.getpid()
    assert Path(work).stat().st_mode & 0o777 == 0o700
    assert len(guards(base)) == 1
    one.release()
    one.release()
    assert (holder(phone), host_holder("adb://A"), one.fence) == (None, None, None)
    assert eventually(lambda: not guards(base))
    assert one.acquire() == 2
    one.release()
    assert {path.name for path in own.iterdir()} == {SCRIPT_NAME}
    names = {path.name for path in base.iterdir()}
    assert names == {own.name, ".mnas-lease.1", ".mnas-lease.2"}, "no number is given twice"


@pytest.mark.parametrize("programs", ["mksh"], indirect=True)
def test_it_is_kept_while_the_job_lives(lease: Callable[..., Lease], phone: Phone, base: Path) -> None:
    one = lease(expiry_s=1.5)
    one.acquire()
    time.sleep(2.0)
    assert one.verify() == 1
    assert holder(phone) is not None
    assert len(guards(base)) == 1


def test_the_second_is_told_who_has_it(lease: Callable[..., Lease]) -> None:
    lease(expiry_s=30.0).acquire()
    for address in ("adb://A", "adb://another-name"):
        with pytest.raises(DeviceBusy, match=rf"in use by .*@.* \(process {os.getpid()}: .*\) since 20"):
            lease(address).acquire()
    assert lease("adb://another-name").fence is None


@pytest.mark.parametrize("programs", ["dash"], indirect=True)
def test_it_is_waited_for(lease: Callable[..., Lease]) -> None:
    first = lease(expiry_s=30.0)
    first.acquire()
    said: list[str] = []
    timer = threading.Timer(0.5, first.release)
    timer.start()
    assert lease("adb://another-name", on_event=said.append).acquire(wait_s=30.0) == 2
    timer.join()
    assert len(said) == 1
    assert "waiting" in said[0]


@pytest.mark.parametrize("programs", ["dash"], indirect=True)
def test_this_host_is_waited_for_too(lease: Callable[..., Lease]) -> None:
    first = lease()
    first.acquire()
    timer = threading.Timer(0.4, first.release)
    timer.start()
    assert lease().acquire(wait_s=30.0) == 2
    timer.join()


@pytest.mark.parametrize(
    "answer", ["claimed ²", "claimed -1", "claimed 9999999999", "claimed", "\x1b[31m", ""]
)
@pytest.mark.parametrize("programs", ["dash"], indirect=True)
def test_an_answer_that_makes_no_sense_is_no_lease(
    lease: Callable[..., Lease], phone: Phone, answer: str
) -> None:
    def confused(command: Sequence[str]) -> Sequence[str]:
        return ["sh", "-c", 'printf %s "$1"', "sh", answer] if "claim" in command else command

    phone.rewrite = confused
    with pytest.raises(DeviceTrouble, match="no lease could be had") as caught:
        lease().acquire()
    assert "\x1b" not in str(caught.value)
    assert host_holder("adb://A") is None


def test_of_many_claimants_one_gets_it(phone: Phone, work: str, base: Path) -> None:
    """Processes on the device that race for one number, again and again."""
    Path(work).mkdir()
    (Path(work) / "lease.sh").write_bytes(SCRIPT)
    script, rounds = str(Path(work) / "lease.sh"), 4
    environment = {**os.environ, "PATH": str(phone.programs)}

    def claim(number: int) -> subprocess.Popen[bytes]:
        command = ["sh", script, "claim", str(base), f"t{number}", "3000", TAG, "{}", "0.1"]
        return subprocess.Popen(
            command, executable=phone.programs / "sh", env=environment, stdout=subprocess.PIPE
        )

    for turn in range(rounds):
        jobs = [claim(10 * turn + number) for number in range(6)]
        answers = [job.communicate(timeout=60)[0].decode().split() for job in jobs]
        assert sorted(words[0] for words in answers) == ["busy"] * 5 + ["claimed"]
        winner = next(number for number, words in enumerate(answers) if words[0] == "claimed")
        assert answers[winner] == ["claimed", str(turn + 1)]
        assert phone.run(["sh", script, "release", str(base), f"t{10 * turn + winner}"]).ok
    assert eventually(lambda: not guards(base))


HOST = """
import sys, time
sys.path.insert(0, sys.argv[1])
from tests.devices.bench.test_lease import Phone
from devices.bench import place
from devices.bench.lease import Lease
from pathlib import Path
place.BASES = (sys.argv[5],)
expiry_s = float(sys.argv[6])
lease = Lease(Phone(Path(sys.argv[2])), sys.argv[3], "adb://A", sys.argv[4], expiry_s=expiry_s)
print(lease.acquire(), flush=True)
time.sleep(60)
"""


def another_process(phone: Phone, work: str, base: Path, expiry_s: float) -> subprocess.Popen[bytes]:
    """A job of this host, which has the device by now."""
    given = [str(Path(__file__).parents[3]), str(phone.programs), work, TAG, str(base), str(expiry_s)]
    host = subprocess.Popen([sys.executable, "-c", HOST, *given], stdout=subprocess.PIPE)
    assert host.stdout is not None
    assert host.stdout.readline() == b"1\n"
    return host


def test_a_killed_job_is_cleaned_up_after(
    lease: Callable[..., Lease], phone: Phone, work: str, tmp_path: Path, own: Path
) -> None:
    """SIGKILL of the host: what it left running ends, its settings are put back, the next job comes."""
    base, host = own.parent, another_process(phone, work, own.parent, expiry_s=2.0)
    restored = tmp_path / "restored"
    (own / "restore.sh").write_text(f'sleep 0.5; echo done >>"{restored}"; rm -f "$0"\n')
    left_running = subprocess.Popen(["sleep", "60"], env={**os.environ, shell.TAG_VARIABLE: TAG})
    other = subprocess.Popen(["sleep", "60"], env={**os.environ, shell.TAG_VARIABLE: "mnas.other.tag"})
    host.kill()
    host.communicate()
    assert host_holder("adb://A") is None
    assert left_running.wait(20) == -signal.SIGKILL
    said: list[str] = []
    assert lease(on_event=said.append).acquire() == 3, "the guard's own claim took a number"
    assert all("cleaned up" in line for line in said), "it is not busy, but about to be free"
    assert restored.read_text() == "done\n"
    assert other.poll() is None
    other.kill()
    other.wait()
    assert len(guards(base)) == 1


def test_after_a_killed_job_of_this_host_the_next_one_waits_for_nothing(
    lease: Callable[..., Lease], phone: Phone, work: str, tmp_path: Path, own: Path
) -> None:
    host = another_process(phone, work, own.parent, expiry_s=60.0)
    restored = tmp_path / "restored"
    (own / "restore.sh").write_text(f'echo done >>"{restored}"; rm -f "$0"\n')
    left_running = subprocess.Popen(["sleep", "60"], env={**os.environ, shell.TAG_VARIABLE: TAG})
    host.kill()
    host.communicate()
    said: list[str] = []
    two = Lease(phone, work, "adb://A", "mnas.other.tag", on_event=said.append)
    assert two.acquire() == 2
    assert said == []
    assert left_running.wait(20) == -signal.SIGKILL
    two.release()
    assert restored.read_text() == "done\n"


@pytest.mark.parametrize("programs", ["dash"], indirect=True)
@pytest.mark.parametrize("change", [{"host": "0123456789abcdef"}, {"host": ""}, {"pid": 1}, {"pid": 10**30}])
def test_a_job_that_may_live_is_not_taken_for_dead(
    lease: Callable[..., Lease], monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    """Such as one in another container whose user and host have the same names."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    dead = replace(Holder.here(), pid=ended.pid)
    assert dead.is_gone
    assert not Holder.here().is_gone
    monkeypatch.setattr(Holder, "here", lambda: replace(dead, **change))
    lease().acquire()
    with pytest.raises(DeviceBusy, match="in use by"):
        lease("adb://another-name").acquire()


@pytest.mark.parametrize("programs", ["mksh"], indirect=True)
def test_two_work_folders_are_one_device(lease: Callable[..., Lease], phone: Phone, work: str) -> None:
    lease().acquire()
    with pytest.raises(DeviceBusy, match="in use by"):
        Lease(phone, f"{work}/of another entry", "adb://B", "mnas.other.tag").acquire()


def test_two_logins_of_a_board_are_one_device_but_do_not_touch_each_other(
    lease: Callable[..., Lease], phone: Phone, base: Path, own: Path, work: str
) -> None:
    programs = phone.programs
    one = lease(expiry_s=EXPIRY_S)
    one.acquire()
    (own / "restore.sh").write_text("echo >$0.was-run\n")
    before = {path.name for path in own.iterdir()}
    (programs / "id").unlink()
    (programs / "id").write_text("#!/bin/sh\necho 54321\n")
    (programs / "id").chmod(0o755)
    two = Lease(phone, work, "adb://another-name", "mnas.other.tag")
    with pytest.raises(DeviceBusy, match=rf"in use by .*@.* \(process {os.getpid()}: "):
        two.acquire()
    assert holder(phone) is not None
    one._stop.set()
    for guard in guards(base):
        os.killpg(guard, signal.SIGKILL)
    left_running = subprocess.Popen(["sleep", "60"], env={**os.environ, shell.TAG_VARIABLE: TAG})
    assert two.acquire(wait_s=20.0) == 2
    two.release()
    assert {path.name for path in own.iterdir()} == before
    assert left_running.poll() is None
    left_running.kill()
    left_running.wait()
    assert (base / ".mnas-lease-54321").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("programs", ["dash", "mksh"], indirect=True)
def test_a_folder_that_somebody_else_made_ready_is_not_used(
    lease: Callable[..., Lease], phone: Phone, own: Path, tmp_path: Path
) -> None:
    (tmp_path / "trap").mkdir()
    own.symlink_to(tmp_path / "trap")
    with pytest.raises(DeviceTrouble, match="another login's"):
        lease().acquire()
    assert list((tmp_path / "trap").iterdir()) == []
    assert holder(phone) is None


@pytest.mark.parametrize("programs", ["dash"], indirect=True)
@pytest.mark.parametrize("kind", ["file", "fifo", "folder"])
def test_what_another_login_puts_in_the_way_is_passed_by(
    lease: Callable[..., Lease], base: Path, kind: str
) -> None:
    theirs = base / ".mnas-lease-54321"
    theirs.mkdir()
    (base / ".mnas-lease.3").symlink_to("54321.t1")
    (theirs / "t1.owner").write_text("x")
    if kind == "fifo":
        os.mkfifo(theirs / "t1.beat")
    elif kind == "folder":
        (theirs / "t1.beat").mkdir()
    else:
        (base / ".mnas-lease.4").write_text("")
    assert lease().acquire() == (5 if kind == "file" else 4)


@pytest.mark.parametrize("programs", ["mksh"], indirect=True)
def test_a_device_that_is_being_cleaned_up_is_waited_for(
    lease: Callable[..., Lease], base: Path, own: Path
) -> None:
    one = lease(expiry_s=EXPIRY_S)
    one.acquire()
    (own / "restore.sh").write_text('sleep 0.7; rm -f "$0"\n')
    mute(one)
    assert eventually((base / ".mnas-lease.2").is_symlink)
    said: list[str] = []
    assert lease("adb://B", on_event=said.append).acquire() == 3
    assert "cleaned up" in said[0]
    assert not (own / "restore.sh").exists()


@pytest.mark.parametrize("programs", ["mksh"], indirect=True)
def test_whose_time_ran_out_files_nothing(lease: Callable[..., Lease], base: Path) -> None:
    """A host that sleeps and comes back, nobody else having come: its time is over all the same."""
    one = lease(expiry_s=EXPIRY_S)
    one.acquire()
    one._stop.set()
    assert eventually(lambda: not guards(base))
    with pytest.raises(LeaseLost):
        one.verify()
    with pytest.raises(LeaseLost):
        one.verify()
    assert one.fence is None
    assert one.reacquire() > 1
    assert one.verify() == one.fence


@pytest.mark.parametrize("programs", ["dash"], indirect=True)
def test_who_lost_it_to_another_job_files_nothing(lease: Callable[..., Lease]) -> None:
    one, two = lease(expiry_s=EXPIRY_S), lease("adb://another-name")
    one.acquire()
    one._stop.set()
    two.acquire(wait_s=20.0)
    with pytest.raises(LeaseLost):
        one.verify()
    with pytest.raises(LeaseLost, match="in use by"):
        one.reacquire()
    two.release()
    assert one.reacquire() > 2


@pytest.mark.parametrize("programs", ["dash"], indirect=True)
def test_a_late_heartbeat_does_not_revive_a_lease(
    phone: Phone, lease: Callable[..., Lease], base: Path
) -> None:
    """Without any guard and any other job: the holder judges itself."""
    one = lease(expiry_s=EXPIRY_S)
    one.acquire()
    one._stop.set()
    for guard in guards(base):
        os.killpg(guard, signal.SIGKILL)
    time.sleep(EXPIRY_S + 0.1)
    with pytest.raises(LeaseLost, match="its time ran out"):
        one.beat()
    assert holder(phone) is None


def test_a_guard_that_was_ended_is_started_again(lease: Callable[..., Lease], base: Path) -> None:
    one = lease(expiry_s=30.0)
    one.acquire()
    (guard,) = guards(base)
    os.killpg(guard, signal.SIGKILL)
    one.beat()
    assert [found for found in guards(base) if found != guard]


def test_a_device_that_was_started_anew_knows_no_lease(
    lease: Callable[..., Lease], phone: Phone, tmp_path: Path, base: Path, own: Path
) -> None:
    one = lease(expiry_s=30.0)
    one.acquire()
    for guard in guards(base):
        os.killpg(guard, signal.SIGKILL)
    (beat,) = own.glob("*.beat")
    words = beat.read_text().split()
    beat.write_text(" ".join(["another-boot", "999999999", *words[2:]]) + "\n")
    assert holder(phone) is None
    with pytest.raises(LeaseLost, match="started anew"):
        one.beat()
    assert one.reacquire() == 2


@pytest.mark.parametrize("programs", ["mksh"], indirect=True)
def test_the_next_job_ends_what_the_one_before_left_running(
    lease: Callable[..., Lease], phone: Phone, work: str, base: Path
) -> None:
    """Also where no guard did it, after the guard was ended or the device started anew."""
    one = lease(expiry_s=EXPIRY_S)
    one.acquire()
    mute(one)
    for guard in guards(base):
        os.killpg(guard, signal.SIGKILL)
    left_running = subprocess.Popen(["sleep", "60"], env={**os.environ, shell.TAG_VARIABLE: TAG})
    two = Lease(phone, work, "adb://A", "mnas.other.tag")
    two.acquire(wait_s=20.0)
    assert left_running.wait(20) == -signal.SIGKILL
    two.release()


def test_an_answer_that_got_lost_is_asked_for_again(
    lease: Callable[..., Lease], phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = lease()
    run, lost = phone.run, []

    def losing(command: Sequence[str], stdin: bytes = b"", timeout_s: float = 60.0) -> CommandResult:
        result = run(command, stdin, timeout_s)
        if "claim" in command and not lost:
            lost.append(command)
            raise LinkLost("the cable")
        return result

    monkeypatch.setattr(phone, "run", losing)
    with pytest.raises(LinkLost):
        one.acquire()
    assert host_holder("adb://A") is None
    assert one.acquire() == 1, "the claim that was made is found again"


@pytest.mark.parametrize("programs", ["dash"], indirect=True)
def test_a_broken_link_is_not_a_lost_lease(
    lease: Callable[..., Lease], phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = lease(expiry_s=10.0)
    one.acquire()

    def broken(*arguments: object, **more: object) -> CommandResult:
        raise LinkLost("the cable")

    with monkeypatch.context() as patch:
        patch.setattr(phone, "run", broken)
        assert one.verify() == 1, "the last heartbeat is young enough"
        with pytest.raises(LinkLost):
            one.beat()
    one.beat()
    assert one.verify() == 1


def test_a_device_that_cannot_keep_a_lease_says_so(
    lease: Callable[..., Lease], phone: Phone, work: str, programs: Path
) -> None:
    Path(work).write_text("a file")
    with pytest.raises(DeviceTrouble, match="cannot be used"):
        lease().acquire()
    Path(work).unlink()
    phone.rewrite = lambda command: [
        "sh", "-c", "echo '\x1b[31mNo space left on device' >&2; exit 1"
    ]  # fmt: skip
    with pytest.raises(NoSpace) as caught:
        lease().acquire()
    assert "\x1b" not in str(caught.value)
    phone.rewrite = lambda command: command
    (programs / "setsid").unlink()
    with pytest.raises(DeviceTrouble, match="no setsid"):
        lease().acquire()
    assert holder(phone) is None


@pytest.mark.parametrize("programs", ["dash"], indirect=True)
def test_a_script_that_arrives_changed_is_not_run(
    lease: Callable[..., Lease], phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    push = phone.push
    monkeypatch.setattr(phone, "push", lambda content, path, *more: push(b"exit 0 #" + content, path, *more))
    with pytest.raises(LinkLost, match="arrived changed"):
        lease().acquire()
    monkeypatch.undo()


def test_garbage_in_the_folder_is_no_lease(
    lease: Callable[..., Lease], phone: Phone, base: Path, own: Path
) -> None:
    own.mkdir()
    for number, target in {
        "1": "../../etc.passwd",
        "2": f"{os.getuid()}.a.b",
        "3": f"{os.getuid()}.../x",
        "4": "$(touch oops)",
        "999999999999999999": f"{os.getuid()}.t1",
        "8x": "",
        "5": f"{os.getuid()}.told",
        "6": f"{os.getuid()}.tall",
    }.items():
        (base / f".mnas-lease.{number}").symlink_to(target or "x")
    (own / "told.beat").write_text("x y z\n")
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (own / "tall.beat").write_text(f"{boot} 999999999 999999999 job .*$(x)\n")
    assert holder(phone) is None
    assert lease().acquire() == 7


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "[" * 5000,
        '{"owner": 1}',
        '{"owner":"a","command":"b","since":"c","pid":"x"}',
        '{"owner":"a","command":"b","since":"c","pid":Infinity}',
    ],
)
def test_a_holder_that_cannot_be_read_is_unknown(text: str) -> None:
    assert Holder.parse(text).owner == "somebody"


def test_what_another_host_wrote_is_shown_plain() -> None:
    hostile = Holder("\x1b[31mroot", "\x1b]0;x\x07rm\n-rf", "now", 3)
    read = Holder.parse(hostile.to_json())
    assert "\x1b" not in str(read)
    assert Holder.parse(Holder.here().to_json()).pid == os.getpid()


def test_the_guard_ends_processes_as_the_transports_do() -> None:
    (line,) = [line for line in SCRIPT.decode().splitlines() if "grep -l" in line]
    assert line.split("$(")[1].split(" 2>")[0].replace('"', "").replace("$1", TAG) in shell.sweep(TAG)[2]
