"""`mnas devices` as its users see it, against emulated phones, an adb server and an SSH server."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devices.emulator import BENCHMARK_MODEL, EmulatedPhone
from devices.inventory.entry import Entry
from devices.inventory.file import load
from tests.command_line import Ended, running
from tests.devices.adb.shared import plug_in
from tests.devices.emulator.hosts import wait_until
from tests.devices.phones import AdbServer, emulated_phone, make_key, needs
from tests.mnas.documented import documented, fields

Run = Callable[..., Ended]
run = running("devices")


@pytest.fixture(scope="module")
def phone() -> Iterator[EmulatedPhone]:
    with emulated_phone(latency="known") as phone:
        yield phone


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    """An adb server that knows no phone."""
    needs("adb")
    home = tmp_path_factory.mktemp("adb")
    make_key(home / ".android/adbkey")
    with socket.create_server(("127.0.0.1", 0)) as free:
        server = AdbServer(free.getsockname()[1], home)
    server.adb("start-server")
    yield server
    server.adb("kill-server")


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: AdbServer) -> Path:
    """An empty folder, a home of its own, and that adb server."""
    place = tmp_path / "bench"
    place.mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
    monkeypatch.delenv("MNAS_BENCH", raising=False)
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    return place


def agrees(document: Any, command: str) -> bool:
    """All that is printed is documented, and the other way round, but for what lies within nulls."""
    found, listed = fields(document), documented(f"devices {command}")
    closed = {name.removesuffix("[]") for name in found - listed}
    unknown = [name for name in closed if not any(one.startswith(name) for one in listed)]
    missing = [one for one in listed - found if not any(one.startswith(name) for name in closed)]
    return not unknown and not missing


def test_nothing_to_list_says_what_to_do(run: Run) -> None:
    ended = run("list")
    assert ended.code == 0
    assert "no bench.toml here or above" in ended.out
    assert "next: mnas devices add NAME ADDRESS" in ended.out
    assert json.loads(run("list", "--json").out) == []


def test_adding_looks_at_the_device_and_keeps_the_file(run: Run, alone: Path, phone: EmulatedPhone) -> None:
    (alone / "bench.toml").write_text('# ours\n[devices.old]  # broken\naddress = "adb://127.0.0.1:1"\n')
    ended = run("add", "pixel", phone.address, "--cpus", "4-6", "--tag", "phone", "--tag", "lab", "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert agrees(document, "add")
    assert document["machine"]["model"] == "Emulated Phone"
    assert document["next"] == "mnas devices setup pixel"
    assert (alone / "bench.toml").read_text().startswith("# ours\n[devices.old]  # broken\n")
    assert load().entries == (
        Entry("old", "adb://127.0.0.1:1"),
        Entry("pixel", phone.address, cpus=(4, 5, 6), tags=("phone", "lab")),
    )
    again = run("add", "pixel", phone.address)
    assert (again.code, "has a device pixel already" in again.err) == (2, True)
    assert run("add", "pixel", phone.address, "--replace", "--threads", "2").code == 0
    assert load().entry("pixel") == Entry("pixel", phone.address, threads=2)


def test_every_key_of_an_entry_can_be_given(run: Run, alone: Path, phone: EmulatedPhone) -> None:
    (alone / "libs").mkdir()
    (alone / "libs/libQ.so").write_text("")
    other = alone.parent / "libR.so"
    other.write_text("")
    options = {
        "--runner": "benchmark_model",
        "--threads": 2,
        "--cpus": "0xc0",
        "--delegate": "external:libQ.so",
        "--delegate-option": "backend:htp",
        "--library": "libs/libQ.so",
        "--governor": "performance",
        "--frequency": 1_500_000,
        "--temperature-limit": 45.5,
        "--cooldown": 90,
        "--work": "/data/local/tmp/other",
        "--tag": "phone",
        "--python": "/opt/python3",
    }
    given = [str(part) for option in options.items() for part in option]
    ended = run("add", "pixel", phone.address, *given, "--library", other, "--no-stay-awake")
    assert ended.code == 0, ended.err
    entry = load().entry("pixel")
    assert entry == Entry(
        "pixel",
        phone.address,
        "benchmark_model",
        2,
        (6, 7),
        "external:libQ.so",
        "performance",
        1_500_000,
        False,
        45.5,
        90.0,
        "/data/local/tmp/other",
        ("phone",),
        ("libs/libQ.so", str(other)),
        "/opt/python3",
        delegate_options=("backend:htp",),
    )
    plain = Entry("pixel", phone.address)
    same = {
        one.name for one in dataclasses.fields(entry) if getattr(entry, one.name) == getattr(plain, one.name)
    }
    assert same == {"name", "address", "runner", "benchmark_model_sha256"}  # a new key needs an option


def test_a_file_that_only_people_can_change_is_not_blamed(run: Run, alone: Path) -> None:
    """And is told of before a device is looked for."""
    (alone / "in.toml").write_text("# ours\ndevices = {y = {address = 'local'}}\n")
    ended = run("add", "z", "adb://127.0.0.1:1", "--bench", "in.toml")
    assert ended.code == 2
    assert "in.toml, line 2, device z: the devices there do not begin with lines" in " ".join(
        ended.err.split()
    )


def test_what_does_not_answer_is_not_added(run: Run, alone: Path) -> None:
    ended = run("add", "gone", "adb://127.0.0.1:1")
    assert ended.code == 3
    assert "nothing answers at adb://127.0.0.1:1" in ended.err
    assert not (alone / "bench.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a b", "adb://1"), "name: 'a b' must be letters"),
        (("a", "ssh://-oProxyCommand=x"), "is no host"),
        (("a", "adb://1", "--cpus", "big"), "--cpus big: it must be core numbers"),
        (("a", "adb://1", "--runner", "litert"), "litert cannot run at adb://1"),
        (("a", "adb://1", "--work", "/data/../x"), "is no folder"),
        (("a", "adb://1", "--library", "gone.so"), "--library gone.so: there is no such file"),
        (("a", "adb://1", "--frequency", "5"), "frequency_khz: 5 must lie between"),
        (("a", "adb://1", "--cooldown", "-1"), "cooldown_s: -1 must lie between"),
        (("a", "adb://1", "--temperature-limit", "0"), "temperature_limit_c: 0 must lie between"),
    ],
)
def test_what_cannot_be_an_entry_is_refused_before_anything_is_asked(
    run: Run, alone: Path, arguments: tuple[str, ...], message: str
) -> None:
    ended = run("add", *arguments)
    assert (ended.code, message in " ".join(ended.err.split())) == (2, True), ended.err
    assert not (alone / "bench.toml").exists()


def test_the_list_has_each_devices_state(run: Run, alone: Path, phone: EmulatedPhone) -> None:
    (alone / "bench.toml").write_text(
        f'[devices.pixel]\naddress = "{phone.address}"\ntags = ["phone"]\n'
        '[devices.gone]\naddress = "adb://127.0.0.1:1"\n'
        '[devices.pi]\naddress = "ssh://127.0.0.1:1"\n'
        '[devices.here]\naddress = "local"\n'
    )
    ended = run("list", "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert agrees(document, "list")
    assert [(one["name"], one["state"]) for one in document] == [
        ("pixel", "ready"),
        ("gone", "not found"),
        ("pi", "not found"),
        ("here", "ready"),
    ]
    assert document[0]["machine"]["abi"] == "arm64-v8a"
    shown = run("list").out
    assert max(map(len, shown.splitlines())) <= 80
    assert "Emulated Phone" in shown
    tagged = run("list", "--tag", "phone", "--json")
    assert [one["name"] for one in json.loads(tagged.out)] == ["pixel"]
    assert run("list", "--tag", "tv").code == 2


def test_the_list_says_who_has_a_device(run: Run, alone: Path, phone: EmulatedPhone) -> None:
    from devices.adb import direct_tcp
    from devices.bench.lease import Lease

    (alone / "bench.toml").write_text(f'[devices.pixel]\naddress = "{phone.address}"\n')
    transport = direct_tcp("127.0.0.1", phone.port)
    lease = Lease(transport, "/data/local/tmp/mnas", phone.address, transport.tag)
    lease.acquire()
    try:
        document = json.loads(run("list", "--json").out)
        assert agrees(document, "list")
        assert document[0]["state"] == "in use"
        assert document[0]["used_by"]["pid"] > 0
        shown = " ".join(run("list").out.split())
        assert "in use" in shown
        assert "since" in shown
    finally:
        lease.release()
        transport.close()


def test_a_phone_that_is_plugged_in_is_listed_without_an_entry(
    run: Run, alone: Path, phone: EmulatedPhone, server: AdbServer
) -> None:
    where = phone.address.removeprefix("adb://")
    server.adb("connect", where)
    try:
        (found,) = json.loads(run("list", "--json").out)
        assert (found["name"], found["address"], found["state"]) == (None, phone.address, "ready")
        (alone / "bench.toml").write_text(f'[devices.pixel]\naddress = "{phone.address}"\n')
        (found,) = json.loads(run("list", "--json").out)
        assert found["name"] == "pixel"
    finally:
        server.adb("disconnect", where)


def test_a_phone_that_knows_only_the_servers_key_is_reached_through_the_server(
    run: Run, alone: Path, server: AdbServer
) -> None:
    with emulated_phone([server.home / ".android/adbkey.pub"]) as phone:
        (alone / "bench.toml").write_text(f'[devices.pixel]\naddress = "{phone.address}"\n')
        (found,) = json.loads(run("list", "--json").out)
        assert (found["state"], found["machine"]) == ("key refused", None)
        plug_in(server, phone)
        try:
            (found,) = json.loads(run("list", "--json").out)
            assert (found["state"], found["machine"]["model"]) == ("ready", "Emulated Phone")
        finally:
            server.adb("disconnect", phone.address.removeprefix("adb://"))


def test_a_quiet_doctor_asks_nobody_to_accept_a_key(run: Run, tmp_path: Path) -> None:
    """It is refused at once: there would be no word of what is waited for."""
    with emulated_phone([make_key(tmp_path / "other")]) as phone:
        ended = run("doctor", phone.address, "--quiet", "--json")
        assert "prompt" not in " ".join(phone.log)
    (found,) = json.loads(ended.out)
    assert ended.code == 3
    refused = found["checks"][1]
    assert (refused["name"], refused["level"]) == ("authorised", "fault")
    assert "without --quiet" in refused["remedy"]


@pytest.mark.parametrize(("port", "code"), [("abc", 2), ("99999", 2), ("", 0)])
def test_a_server_port_that_cannot_be_is_told(alone: Path, port: str, code: int) -> None:
    """In a process of its own: adbutils reads the variable when it is imported."""
    command = [sys.executable, "-m", "mnas", "devices", "list"]
    environment = {**os.environ, "ANDROID_ADB_SERVER_PORT": port, "COLUMNS": "200"}
    ended = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=60)
    assert ended.returncode == code, ended.stderr
    told = f"error: ANDROID_ADB_SERVER_PORT is '{port}', not a number from 1 to 65535\n"
    assert ended.stderr == (told if code else "")


def test_a_broken_inventory_is_told_with_its_line(run: Run, alone: Path) -> None:
    (alone / "bench.toml").write_text('[devices.a]\naddress = "local"\nthread = 2\n')
    for arguments in (("list",), ("doctor",), ("doctor", "local"), ("add", "b", "local")):
        ended = run(*arguments)
        assert ended.code == 2
        assert "line 3, device a: unknown key thread; did you mean threads?" in " ".join(ended.err.split())


def test_the_doctor_needs_somebody_to_examine(run: Run) -> None:
    ended = run("doctor")
    assert (ended.code, "name a device or its address" in " ".join(ended.err.split())) == (2, True)
    assert run("doctor", "pixel").code == 2


def test_a_device_that_does_not_answer_is_a_fault(run: Run) -> None:
    ended = run("doctor", "adb://127.0.0.1:1", "--json")
    assert ended.code == 3
    document = json.loads(ended.out)
    assert agrees(document, "doctor")
    (check,) = document[0]["checks"]
    assert (check["name"], check["level"]) == ("reachable", "fault")
    assert "check host and port" in check["remedy"]


def test_a_phone_is_set_up_examined_and_measured(run: Run, alone: Path, phone: EmulatedPhone) -> None:
    """From nothing to a figure, by commands alone."""
    assert run("add", "pixel", phone.address, "--cpus", "0", "-q").code == 0
    faulty = run("doctor", "--no-canary")
    assert faulty.code == 3
    assert "→ mnas devices setup pixel" in faulty.out
    assert max(map(len, faulty.out.splitlines())) <= 80
    done = run("setup", "pixel", "--benchmark-model", BENCHMARK_MODEL, "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert agrees(document, "setup")
    assert load().entry("pixel").benchmark_model_sha256 == document["sha256"]
    again = run("setup", "pixel", "--benchmark-model", BENCHMARK_MODEL)
    assert (again.code, document["sha256"] in again.out) == (0, True)
    fit = run("doctor", "pixel", "--json")
    assert fit.code == 0, fit.out
    (examined,) = json.loads(fit.out)
    assert agrees([examined], "doctor")
    assert [one["name"] for one in examined["checks"]][-2:] == ["runtime", "canary"]
    wait_until(lambda: not phone.processes())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("local",), 2, "needs no setting up"),
        (("pixel",), 2, "there is no device 'pixel'"),
        (("adb://127.0.0.1:1", "--wheels", "."), 2, "--wheels means nothing to adb://127.0.0.1:1"),
        (("ssh://127.0.0.1:1", "--version", "2.2.0"), 2, "--version means nothing to ssh://127.0.0.1:1"),
        (("adb://127.0.0.1:1",), 3, "nothing answers"),
    ],
)
def test_what_cannot_be_set_up_is_told(run: Run, arguments: tuple[str, ...], code: int, message: str) -> None:
    ended = run("setup", *arguments)
    assert (ended.code, message in " ".join(ended.err.split())) == (code, True), ended.err


def test_a_program_that_cannot_be_used_is_told(run: Run, alone: Path, phone: EmulatedPhone) -> None:
    (alone / "text").write_text("no program")
    for file, code, message in (("text", 2, "no program"), ("gone", 2, "cannot read gone")):
        ended = run("setup", phone.address, "--benchmark-model", file)
        assert (ended.code, message in " ".join(ended.err.split())) == (code, True), ended.err
    assert json.loads(run("list", "--json").out) == []
