"""The doctor against emulated phones and a real SSH server."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devices import doctor
from devices.checks import Check
from devices.doctor import Diagnosis, examine, glance, glances, look
from devices.emulator import BENCHMARK_MODEL, EmulatedPhone
from devices.errors import DeviceNotFound
from devices.inventory.entry import Entry
from devices.setup.setting_up import set_up
from tests.devices.emulator.hosts import wait_until
from tests.devices.phones import emulated_phone, make_key
from tests.devices.sshd import Sshd, running_sshd

WORK = "/data/local/tmp/mnas"
ROOT = Path(__file__).parents[2]
GOVERNOR = "/sys/devices/system/cpu/cpufreq/policy7/scaling_governor"


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and no adb server."""
    home = tmp_path / "home"
    home.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free.getsockname()[1]))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "state"))
    return home


@pytest.fixture(scope="module")
def phone() -> Iterator[EmulatedPhone]:
    with emulated_phone() as phone:
        yield phone


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def board(alone: Path, server: Sshd, tmp_path: Path) -> Entry:
    """A board whose Python is this one."""
    (alone / ".ssh").mkdir(mode=0o700)
    (alone / ".ssh/config").write_text(server.config.read_text())
    return Entry("pi", "ssh://board", work=str(tmp_path / "work"), python=sys.executable)


def check(diagnosis: Diagnosis, name: str) -> Check:
    return next(one for one in diagnosis.checks if one.name == name)


def levels(diagnosis: Diagnosis) -> dict[str, str]:
    return {one.name: one.level for one in diagnosis.checks if one.level != "ok"}


def test_a_phone_is_set_up_and_then_fit(phone: EmulatedPhone) -> None:
    entry = Entry("pixel", phone.address, temperature_limit_c=60.0)
    before = examine(entry, canary=False)
    assert levels(before) == {"runtime": "fault"}
    assert check(before, "runtime").remedy == "mnas devices setup pixel"
    told: list[str] = []
    ready = set_up(entry, program=BENCHMARK_MODEL, on_event=told.append)
    assert told
    assert ready.path == f"/data/local/tmp/mnas/bin/{ready.sha256}/benchmark_model"
    after = examine(replace(entry, benchmark_model_sha256=ready.sha256), canary=False)
    assert levels(after) == {}
    assert f"sha256 {str(ready.sha256)[:12]}" in check(after, "runtime").said
    assert after.machine is not None
    assert after.machine.model == "Emulated Phone"
    assert levels(examine(entry, canary=False)) == {}, "without the inventory's word the last one counts"
    phone.write(ready.path, b"#!/bin/sh\n")
    changed = examine(entry, canary=False)
    assert levels(changed) == {"runtime": "fault"}
    wait_until(lambda: not phone.processes())


def test_a_program_that_is_not_the_one_noted_is_a_fault(phone: EmulatedPhone) -> None:
    noted = Entry("pixel", phone.address, temperature_limit_c=60.0, benchmark_model_sha256="0" * 64)
    assert "benchmark_model with the SHA-256 000" in check(examine(noted, canary=False), "runtime").said


def test_a_hot_phone_is_told(phone: EmulatedPhone) -> None:
    phone.heat(70)
    try:
        found = check(examine(Entry("pixel", phone.address), canary=False), "temperature")
    finally:
        phone.cool()
    assert (found.level, "°C" in found.said) == ("warning", True)


def test_nothing_at_the_address(alone: Path) -> None:
    for address, remedy in (
        ("adb://127.0.0.1:1", "adb tcpip 5555"),
        ("ssh://127.0.0.1:1", "an SSH server must run there"),
    ):
        entry = Entry("gone", address)
        (found,) = examine(entry).checks
        assert (found.name, found.level) == ("reachable", "fault")
        assert remedy in str(found.remedy)
        assert glance(entry).state == "not found"
        with pytest.raises(DeviceNotFound):
            look(entry)


def test_a_phone_that_knows_nobody_is_another_fault(tmp_path: Path, alone: Path) -> None:
    with emulated_phone(keys=[make_key(tmp_path / "other")]) as phone:
        entry = Entry("pixel", phone.address)
        reached, authorised = examine(entry).checks
        assert (reached.name, reached.level) == ("reachable", "ok")
        assert (authorised.name, authorised.level) == ("authorised", "fault")
        assert glance(entry).state == "key refused"


def test_a_board_is_examined_to_its_runtime(board: Entry) -> None:
    found = examine(board, canary=False)
    assert not {"battery", "charging", "screen"} & {one.name for one in found.checks}
    assert check(found, "runtime").level == "ok"
    assert check(found, "runtime").said.startswith("ai")
    bare = examine(replace(board, python=None), canary=False)
    assert check(bare, "runtime") == Check(
        "runtime",
        "fault",
        "pi has no Python environment: run mnas devices setup pi",
        "mnas devices setup pi",
    )


def test_a_board_with_an_unknown_key_is_refused_with_the_command(
    board: Entry, server: Sshd, alone: Path
) -> None:
    config = alone / ".ssh/config"
    config.write_text(config.read_text().replace(str(server.known_hosts), str(alone / "nobody")))
    authorised = examine(board).checks[1]
    assert (authorised.name, authorised.level) == ("authorised", "fault")
    assert "ssh-keyscan" in authorised.said
    assert glance(board).state == "host key"


def test_several_are_asked_at_once(phone: EmulatedPhone, board: Entry) -> None:
    done: list[int] = []
    entries = [Entry("a", phone.address), Entry("b", "adb://127.0.0.1:1"), board, Entry("local", "local")]
    found = glances(entries, done.append)
    assert [one.state for one in found] == ["ready", "not found", "ready", "ready"]
    assert done == [1, 2, 3, 4]
    assert glances([]) == []


def test_a_lease_is_seen(phone: EmulatedPhone) -> None:
    from devices.adb import direct_tcp
    from devices.bench.lease import Lease

    transport = direct_tcp("127.0.0.1", phone.port)
    lease = Lease(transport, "/data/local/tmp/mnas", "adb://somebody-elses-name", transport.tag)
    lease.acquire()
    try:
        entry = Entry("pixel", phone.address, temperature_limit_c=60.0)
        diagnosis = examine(entry)
        used = check(diagnosis, "in use")
        assert (used.level, used.remedy) == ("warning", "wait for it: --wait SECONDS does")
        assert check(diagnosis, "canary").said.startswith("not measured")
        assert glance(entry).state == "in use"
    finally:
        lease.release()
        transport.close()


def left_by_a_dead_job(phone: EmulatedPhone, alone: Path) -> str:
    """A governor that a job on the phone set before it and its guard were killed; returns the one before."""
    from devices.adb import direct_tcp
    from devices.bench.conditions import Conditions, Wanted

    before = phone.read(GOVERNOR).decode()
    transport = direct_tcp("127.0.0.1", phone.port)
    Conditions(transport, WORK, phone.address, Wanted(governor="performance")).apply()
    transport.close()
    assert phone.read(GOVERNOR).decode().strip() == "performance" != before.strip()
    return before


@pytest.mark.parametrize("host_remembers", [True, False])
def test_what_a_dead_job_left_is_put_back(alone: Path, tmp_path: Path, host_remembers: bool) -> None:
    with emulated_phone(rooted=True) as phone:
        before = left_by_a_dead_job(phone, alone)
        if not host_remembers:
            for record in (tmp_path / "state/conditions").iterdir():
                record.unlink()
        entry = Entry("pixel", phone.address, temperature_limit_c=60.0)
        found = examine(entry, canary=False)
        assert check(found, "settings") == Check("settings", "ok", "put back what an earlier job left")
        assert phone.read(GOVERNOR).decode() == before
        assert "schedutil" in check(found, "governor").said, "the device is judged as it then is"
        assert glance(entry).state == "ready"
        assert "settings" not in {one.name for one in examine(entry, canary=False).checks}
        wait_until(lambda: not phone.processes())


def test_a_job_that_was_killed_just_now_is_cleaned_up_after(alone: Path) -> None:
    with emulated_phone(rooted=True, latency="known") as phone:
        before = phone.read(GOVERNOR)
        job = subprocess.Popen(
            [sys.executable, "-m", "tests.devices.bench_job", phone.host, str(phone.port), "30.0"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert job.stdout is not None
        assert job.stdout.readline().endswith(b"True\n")
        assert phone.read(GOVERNOR) != before
        job.kill()
        job.communicate()
        entry = Entry("pixel", phone.address, temperature_limit_c=60.0)
        assert glance(entry).state == "ready"
        found = examine(entry, canary=False)
        assert check(found, "in use").said == "by nobody"
        assert check(found, "settings").level == "ok"
        assert phone.read(GOVERNOR) == before


def test_what_a_running_job_set_is_left_alone(alone: Path) -> None:
    from devices.adb import direct_tcp
    from devices.bench.lease import Lease

    with emulated_phone(rooted=True) as phone:
        left_by_a_dead_job(phone, alone)
        transport = direct_tcp("127.0.0.1", phone.port)
        lease = Lease(transport, WORK, "adb://somebody-elses-name", transport.tag)
        lease.acquire()
        try:
            found = examine(Entry("pixel", phone.address), canary=False)
            assert "settings" not in {one.name for one in found.checks}
            assert phone.read(GOVERNOR).decode().strip() == "performance"
        finally:
            lease.release()
            transport.close()


def test_what_cannot_be_put_back_is_a_warning(alone: Path) -> None:
    with emulated_phone(rooted=True) as phone:
        left_by_a_dead_job(phone, alone)
        phone.write("/system/bin/su", b"#!/bin/sh\nexit 1\n")
        settings = check(examine(Entry("pixel", phone.address), canary=False), "settings")
        assert (settings.level, settings.remedy) == (
            "warning",
            "start the device anew, then examine it again",
        )
        assert "not put back as it was" in settings.said


def test_a_hot_phone_has_no_canary_but_no_fault_either(
    phone: EmulatedPhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "COOLDOWN_S", 0.2)
    ready = set_up(Entry("pixel", phone.address), program=BENCHMARK_MODEL)
    phone.heat(70)
    try:
        found = examine(Entry("pixel", phone.address, benchmark_model_sha256=ready.sha256))
    finally:
        phone.cool()
    assert check(found, "canary").level == "warning"
    assert "not below 65 °C" in check(found, "canary").said


def test_a_canary_that_cannot_be_measured_is_a_warning_that_says_why(phone: EmulatedPhone) -> None:
    """An exit code without a word is nothing to blame the device for."""
    program = BENCHMARK_MODEL.read_bytes().replace(b"\n", b'\ncase "$*" in *--graph*) exit 77;; esac\n', 1)
    sha256 = hashlib.sha256(program).hexdigest()
    folder = phone.root / f"data/local/tmp/mnas/bin/{sha256}"
    folder.mkdir(parents=True)
    (folder / "benchmark_model").write_bytes(program)
    (folder / "benchmark_model").chmod(0o755)
    found = examine(Entry("pixel", phone.address, benchmark_model_sha256=sha256))
    assert check(found, "runtime").level == "ok"
    assert check(found, "canary").level == "warning"
    assert check(found, "canary").said.startswith("no canary: ")
    assert "77" in check(found, "canary").said


def test_this_machine_keeps_its_canarys_history() -> None:
    said = [check(examine(Entry("local", "local")), "canary").said for _ in range(6)]
    assert "its history is too short" in said[0]
    assert "by its history" in said[5]


@pytest.mark.parametrize("hostile", ["\x1b[2Jpixel", "a\nb"])
def test_what_a_phone_says_cannot_reach_the_terminal(hostile: str) -> None:
    with emulated_phone(properties={"ro.product.model": hostile}) as phone:
        machine = glance(Entry("pixel", phone.address)).machine
    assert machine is not None
    assert str(machine.model).isprintable()
