"""`mnas profile` on a bench as its users see it: an emulated phone, a real SSH server and this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devices.bench.lease import Lease
from devices.emulator import BENCHMARK_MODEL, EmulatedPhone, known_latency_ms
from devices.local import LocalTransport
from latency_tables.ops import OpSpec
from latency_tables.tflite import single, write
from tests.command_line import Ended, running
from tests.devices.phones import emulated_phone
from tests.devices.sshd import Sshd, running_sshd
from tests.mnas.documented import documented, fields

Run = Callable[..., Ended]
run = running("profile")
QUICK = ("--passes", "2", "--runs", "4", "--min-time", "0")
ALL = ("-d", "pixel", "-d", "pi", "-d", "local")
FAILURE = {"device", "model", "sha256", "error", "code", "message", "delegated_operators", "total_operators"}
ENDS_S = 120.0
#: mnas, also where whoever runs the tests was started with Ctrl-C ignored, as what a shell puts behind is
HEEDING_CTRL_C = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('mnas', run_name='__main__', alter_sys=True)"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A bench that was set up: its folder, its phone, and models to measure."""

    folder: Path
    phone: EmulatedPhone
    server: Sshd
    models: tuple[Path, ...]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self.folder / "home"), "MNAS_STATE_DIR": str(self.folder / "state")}

    def command(self, *words: object) -> list[str]:
        return [sys.executable, "-m", "mnas", *map(str, words)]

    def end(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run a command of mnas to its end, in a process of its own."""
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ENDS_S,
            check=False,
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A phone set up by `mnas devices setup`, a board with this Python, an inventory that names both."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "home/.ssh").mkdir(parents=True, mode=0o700)
    models = []
    for channels in range(4, 9):
        path = folder / f"m{channels}.tflite"
        text = f"conv_2d/float32/1x4x4x{channels}/1x4x4x{channels}/k1x1/s1x1/same"
        path.write_bytes(write(single(OpSpec.parse(text))))
        models.append(path)
    with (
        running_sshd(tmp_path_factory.mktemp("sshd")) as server,
        emulated_phone(rooted=True, latency="known", gpu="partial") as phone,
    ):
        (folder / "home/.ssh/config").write_text(server.config.read_text())
        (folder / "bench.toml").write_text(
            f'[devices.pixel]\naddress = "{phone.address}"\ngovernor = "performance"\n\n'
            f'[devices.pi]\naddress = "ssh://board"\nwork = "{folder}/board/mnas"\n'
            f'python = "{sys.executable}"\ncooldown_s = 0\n\n'
            '[devices.gone]\naddress = "adb://127.0.0.1:1"\n'
        )
        place = Place(folder, phone, server, tuple(models))
        done = place.end("devices", "setup", "pixel", "--benchmark-model", BENCHMARK_MODEL)
        assert done.returncode == 0, done.stderr
        yield place


@pytest.fixture(autouse=True)
def here(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in the bench's folder, with its home, and with no adb server about."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free.getsockname()[1]))
    monkeypatch.delenv("MNAS_BENCH", raising=False)
    monkeypatch.setenv("HOME", str(place.folder / "home"))
    monkeypatch.setenv("MNAS_STATE_DIR", str(place.folder / "state"))
    monkeypatch.chdir(place.folder)


def known_ms(path: Path) -> float:
    import hashlib

    return known_latency_ms(hashlib.sha256(path.read_bytes()).hexdigest())


def restored(phone: EmulatedPhone) -> bool:
    """Whether the phone's settings are as at first, and nothing runs there."""
    governors = {
        path.read_text().strip()
        for path in phone.root.glob("sys/devices/system/cpu/cpufreq/policy*/scaling_governor")
    }
    return governors == {"schedutil"} and phone.processes() == []


def exact(document: dict[str, Any]) -> None:
    """The fields of a measurement are those of docs/json.md, but for those within nulls and empty lists."""
    found, listed = fields(document), documented("profile")
    assert not [
        one for one in found - listed if not any(each.startswith(one.removesuffix("[]")) for each in listed)
    ]
    for one in listed - found:
        parts = one.replace("[]", ".[]").split(".")
        above = {".".join(parts[:n]).replace(".[]", "[]") for n in range(1, len(parts) + 1)}
        within = any(each.startswith((f"{one}.", f"{one}[].")) for each in found)
        assert within or above & found, f"{one} is documented and not there"


def test_three_devices_at_once_make_one_table(run: Run, place: Place) -> None:
    ended = run(*place.models[:3], *ALL, *QUICK)
    assert ended.code == 0, ended.err
    assert max(map(len, ended.out.splitlines())) <= 80
    for path in place.models[:3]:
        for device in ("pixel", "pi", "local"):
            assert any(path.name in line and device in line for line in ended.out.splitlines())
    for device in ("pixel", "pi", "local"):
        assert f"measuring 3 models on {device}: 0 of 6" in ended.err
    assert restored(place.phone)


def test_the_json_of_several_holds_every_measurement_in_order(run: Run, place: Place) -> None:
    ended = run(*place.models[:2], *ALL, *QUICK, "--json", "-q")
    assert (ended.code, ended.err) == (0, "")
    document = json.loads(ended.out)
    assert set(document) == {"measurements", "failures"}
    assert document["failures"] == []
    order = [(one["device"]["address"], one["model"]) for one in document["measurements"]]
    assert order == [(device, path.name) for device in ALL[1::2] for path in place.models[:2]]
    for one in document["measurements"]:
        exact(one)
        assert one["passes"] == 2
    phone, board, local = document["measurements"][::2]
    assert phone["median_ms"] == pytest.approx(known_ms(place.models[0]))
    assert phone["device"]["runtime"] == "benchmark_model"
    assert len(phone["device"]["runtime_sha256"]) == 64
    assert phone["governor"] == "performance"
    assert [one["median_ms"] for one in phone["summary"]] == phone["pass_medians_ms"]
    assert all(one["min_ms"] <= one["median_ms"] <= one["max_ms"] for one in phone["summary"])
    assert board["summary"] is local["summary"] is None
    assert phone["fences"]
    assert board["fences"]
    assert local["fences"] == []


def test_the_operators_of_a_phone_have_names(run: Run, place: Place) -> None:
    network = place.folder / "two.tflite"
    network.write_bytes(_network())
    told = json.loads(run(network, "-d", "pixel", *QUICK, "--per-op", "--json", "-q").out)
    exact(told)
    rows = told["per_operator"]
    assert [row["kind"] for row in rows] == ["CONV_2D", "CONV_2D"]
    assert all(row["times_called"] == 1 and row["total_ms"] == row["mean_ms"] for row in rows)
    assert len({row["name"] for row in rows}) == 2
    shown = run(network, "-d", "pixel", *QUICK, "--per-op", "-q")
    assert (shown.code, shown.err) == (0, "")
    assert all(row["name"] in shown.out for row in rows)
    assert max(map(len, shown.out.splitlines())) <= 80


@pytest.mark.parametrize("device", ["pixel", "pi"])
def test_one_model_on_one_device_is_told_in_full(run: Run, place: Place, device: str) -> None:
    ended = run(place.models[0], "-d", device, *QUICK, "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    exact(document)
    assert all(each["message"] in " ".join(ended.err.split()) for each in document["warnings"])
    shown = run(place.models[0], "-d", device, *QUICK, "-q")
    assert (shown.code, shown.err) == (0, "")
    assert max(map(len, shown.out.splitlines())) <= 80
    assert place.models[0].name in shown.out
    assert "latency" in shown.out


def test_a_delegate_that_falls_back_is_no_result(run: Run, place: Place) -> None:
    network = place.folder / "two.tflite"
    network.write_bytes(_network())
    alone = run(network, "-d", "pixel", *QUICK, "--delegate", "gpu")
    assert (alone.code, alone.out) == (3, "")
    assert alone.err.count("error:") == 1
    assert "1 of 2" in alone.err
    several = run(network, place.models[0], "-d", "pixel", *QUICK, "--delegate", "gpu", "--json", "-q")
    assert (several.code, several.err) == (4, "")
    document = json.loads(several.out)
    assert [one["model"] for one in document["measurements"]] == [place.models[0].name]
    assert "gpu" in document["measurements"][0]["delegate"].lower()
    (failure,) = document["failures"]
    assert set(failure) == FAILURE
    assert (failure["device"], failure["model"]) == ("pixel", "two.tflite")
    assert (failure["code"], failure["error"]) == ("DELEGATE_FALLBACK", "DelegateFallback")
    assert "1 of 2" in failure["message"]
    assert (failure["delegated_operators"], failure["total_operators"]) == (1, 2)
    people = run(network, place.models[0], "-d", "pixel", *QUICK, "--delegate", "gpu", "-q")
    assert people.code == 4
    assert max(map(len, people.out.splitlines())) <= 80
    assert "Not measured" in people.out
    assert "two.tflite" in people.out


def _network() -> bytes:
    """Two operators, of which the phone's half-hearted GPU takes one."""
    from latency_tables.ops import Graph, Node

    spec = OpSpec.parse("conv_2d/float32/1x4x4x4/1x4x4x4/k1x1/s1x1/same")
    return write(Graph(((1, 4, 4, 4),), "float32", (Node(spec, (-1,)), Node(spec, (0,))), (1,)))


def test_a_phone_that_is_not_there_costs_its_own_results_only(run: Run, place: Place) -> None:
    command = (*place.models[:2], "-d", "gone", "-d", "pixel", "-d", "local", *QUICK)
    ended = run(*command, "--json", "-q")
    assert (ended.code, ended.err) == (3, "")
    document = json.loads(ended.out)
    assert [one["device"]["address"] for one in document["measurements"]] == ["pixel"] * 2 + ["local"] * 2
    (failure,) = document["failures"]
    assert set(failure) == FAILURE
    assert (failure["device"], failure["model"], failure["sha256"]) == ("gone", None, None)
    assert (failure["code"], failure["error"]) == ("NOT_FOUND", "DeviceNotFound")
    people = run(*command, "-q")
    assert (people.code, people.err) == (3, "")
    assert max(map(len, people.out.splitlines())) <= 80
    assert "all others" in people.out
    assert "NOT_FOUND" in people.out
    alone = run(place.models[0], "-d", "gone", *QUICK)
    assert (alone.code, alone.out) == (3, "")
    assert "nothing answers at adb://127.0.0.1:1" in alone.err


def test_a_phone_in_use_tells_by_whom(run: Run, place: Place) -> None:
    transport = LocalTransport()
    lease = Lease(transport, str(place.folder / "another"), "adb://other", "mnasanother")
    lease.acquire()
    try:
        from devices.bench.holder import Holder, lock_file
        from devices.lock import held

        with held(lock_file(place.phone.address), Holder.here().to_json()):
            ended = run(place.models[0], "-d", "pixel", *QUICK)
    finally:
        lease.release()
    assert (ended.code, ended.out) == (3, "")
    assert f"process {os.getpid()}" in ended.err
    assert "in use by" in ended.err


def test_sustained_tells_where_each_device_settles(
    run: Run, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnas.cli.profile.SUSTAINED_PASS_S", 0.5)
    command = (place.models[0], "-d", "pixel", "-d", "local", "--sustained", "2.5")
    ended = run(*command, "--json", "-q")
    assert (ended.code, ended.err) == (0, "")
    for one in json.loads(ended.out)["measurements"]:
        exact(one)
        assert one["passes"] == 5
        assert one["plateau"]["latency_ms"] > 0
        assert one["plateau"]["lasted_s"] >= 0
    single = run(place.models[0], "-d", "pixel", "--sustained", "2", "-q")
    assert (single.code, single.err) == (0, "")
    assert max(map(len, single.out.splitlines())) <= 80
    assert "m4.tflite on pixel, busy for" in single.out
    assert "against the first pass" in " ".join(single.out.split())


@pytest.mark.parametrize("seconds", ["9", "0", "-1", "nan", "inf", "1e9"])
def test_no_sustained_time_is_refused(run: Run, place: Place, seconds: str) -> None:
    ended = run(place.models[0], "--sustained", seconds)
    assert (ended.code, ended.out) == (2, "")
    assert "give seconds between " in ended.err


def test_a_time_too_short_for_a_plateau_is_refused_before_anything_is_measured(
    run: Run, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnas.cli.profile.SUSTAINED_PASS_S", 0.3)
    ended = run(place.models[0], "--sustained", "0.6")
    assert (ended.code, ended.out) == (2, "")
    assert "measuring" not in ended.err


def test_what_was_measured_is_not_measured_again(run: Run, place: Place, tmp_path: Path) -> None:
    command = (*place.models[:2], *ALL, *QUICK, "-o", tmp_path / "out", "--json", "-q")
    first = run(*command)
    assert first.code == 0, first.err
    kept = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(kept) == {"pixel.jsonl", "pi.jsonl", "local.jsonl"}
    services = len(place.phone.log)
    again = run(*command)
    assert again == first
    assert len(place.phone.log) == services, "the phone was asked again"
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == kept
    other = run(*command, "--runs", "5")
    assert (other.code, other.out) == (2, "")
    assert "min_runs is 4 there and 5 now" in other.err
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == kept


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "Ctrl-C"])
def test_a_job_that_was_ended_goes_on_without_losing_or_doubling_a_pass(
    place: Place, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    command = ["profile", *place.models, *ALL, "-o", out, "--json"]
    command += ["--passes", "3", "--runs", "4", "--min-time", "0.05", "--wait", "90"]
    with started(place, command, tmp_path / "log") as process:
        waited(lambda: any(passes(out).values()), process)
        process.send_signal(number)
        process.wait(ENDS_S)
    said = (tmp_path / "log").read_text()[:3000]
    if number == signal.SIGINT:
        assert process.returncode == 130, said
        assert "everything measured so far is kept; the same command goes on from there" in said
        assert "Traceback" not in said
        assert restored(place.phone)
    else:
        assert process.returncode == -signal.SIGKILL
    before = {path.name: complete(path) for path in out.glob("*.jsonl")}
    assert any(len(lines) > 1 for lines in before.values())
    done = place.end(*command)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["failures"] == []
    assert len(document["measurements"]) == 3 * len(place.models)
    assert all(one["passes"] == 3 for one in document["measurements"])
    for one in document["measurements"][: len(place.models)]:
        assert one["median_ms"] == pytest.approx(known_ms(place.folder / one["model"]))
    after = {path.name: complete(path) for path in out.glob("*.jsonl")}
    for name, lines in before.items():
        assert after[name][: len(lines)] == lines, "a result was lost or changed"
    for device, found in passes(out).items():
        assert set(found.values()) == {1}, f"doubled on {device}"
        assert len(found) == 3 * len(place.models), f"lost on {device}"
    waited(lambda: restored(place.phone), None)


@contextmanager
def started(place: Place, words: list[Any], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command of mnas that runs; it is ended at the end of the block."""
    command = [sys.executable, "-c", HEEDING_CTRL_C, *map(str, words)]
    with log.open("wb") as said:
        process = subprocess.Popen(
            command,
            cwd=place.folder,
            env=place.environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def waited(true: Callable[[], bool], process: subprocess.Popen[bytes] | None) -> None:
    """Wait until it is true, while the process runs."""
    deadline = time.monotonic() + ENDS_S
    while not true():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None, "the job ended before it could be ended"
        time.sleep(0.01)


def complete(path: Path) -> list[str]:
    """The whole lines of a journal."""
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def passes(folder: Path) -> dict[str, Counter[tuple[str, int]]]:
    """How often each pass of each model stands in the journals, by device."""
    found = {}
    for path in folder.glob("*.jsonl"):
        rows = [json.loads(line).get("pass") for line in complete(path)]
        found[path.stem] = Counter((row["sha256"], row["index"]) for row in rows if row)
    return found
