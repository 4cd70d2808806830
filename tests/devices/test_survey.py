from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import survey as module
from devices.errors import DeviceTrouble, UnreadableOutput
from devices.facts import machine, state
from devices.local import LocalTransport
from devices.survey import Survey, elevated, parse, survey
from tests.devices.pretend_phone import PretendPhone
from tests.devices.shells import android

TEXTS = Path(__file__).parent / "facts/texts"


@pytest.fixture
def phone(tmp_path: Path) -> PretendPhone:
    return PretendPhone(tmp_path)


def board(folder: Path, programs: dict[str, str]) -> LocalTransport:
    """This machine as a board with these programs, and without those of a phone."""
    tools = folder / "tools"
    tools.mkdir()
    for name, text in programs.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (tools / name).chmod(0o755)

    class Board(LocalTransport):
        def run(self, command, stdin=b"", timeout_s=60.0):  # type: ignore[no-untyped-def]
            return super().run(["/usr/bin/env", f"PATH={tools}:/usr/bin:/bin", *command], stdin, timeout_s)

    return Board()


def test_this_machine() -> None:
    found = survey(LocalTransport(), "/no/such/folder")
    facts, now = machine(found), state(found)
    assert facts.cores
    assert facts.memory_bytes
    assert not facts.android
    assert now.free_bytes
    assert now.boot_id
    assert now.clock_s is not None
    assert abs(now.clock_s - time.time()) < 60
    assert now.uptime_s
    assert now.online


def test_a_phone(phone: PretendPhone) -> None:
    found = survey(phone, phone.work, root=phone.root)
    now = state(found)
    assert machine(found).soc == "SM8350"
    assert [(one.cpus, one.highest_khz) for one in now.policies] == [
        ((0, 1, 2, 3), 1804800),
        ((4, 5, 6, 7), 2419200),
    ]
    assert (now.privilege, now.screen_on, now.stay_on, now.battery_c) == ("su", False, "null", 29.1)
    assert len(phone.commands) == 1


def test_a_glance_leaves_out_what_stays(phone: PretendPhone) -> None:
    found = survey(phone, phone.work, glance=True, root=phone.root)
    assert state(found).battery_c == 29.1
    assert state(found).privilege is None
    assert not {"getprop", "cpuinfo", "privilege", "df"} & set(found.texts)


def test_a_phone_whose_services_hang_answers_in_the_end(
    phone: PretendPhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOOL_S", 1)
    phone.program("dumpsys", "sleep 60")
    phone.program("su", "sleep 60")
    begin = time.monotonic()
    found = survey(phone, phone.work, root=phone.root)
    assert time.monotonic() - begin < 30
    assert state(found).privilege is None
    assert len(state(found).policies) == 2


def test_a_program_that_prints_without_end_is_cut(
    phone: PretendPhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOOL_S", 2)
    phone.program("dumpsys", "exec yes '  level: 3'")
    found = survey(phone, phone.work, root=phone.root)
    assert len(found["dumpsys_battery"]) <= module.TEXT_BYTES
    assert len(state(found).policies) == 2


def test_old_kernels_have_no_policies(tmp_path: Path) -> None:
    phone = PretendPhone(tmp_path)
    for policy in Path(phone.root, "sys/devices/system/cpu/cpufreq").iterdir():
        policy.rename(policy.parent.parent / f"policy-of-{policy.name[6:]}")
    for core in range(8):
        folder = Path(phone.root, f"sys/devices/system/cpu/cpu{core}")
        folder.mkdir()
        (folder / "cpufreq").symlink_to(f"../policy-of-{0 if core < 4 else 4}")
    assert [one.directory for one in state(survey(phone, phone.work, root=phone.root)).policies] == [
        "cpu0/cpufreq",
        "cpu4/cpufreq",
    ]


def test_a_raspberry_pi(tmp_path: Path) -> None:
    programs = {
        "vcgencmd": 'case $1 in measure_temp) echo "temp=48.3\'C";; *) echo throttled=0x50000;; esac',
        "id": "echo 1000",
        "sudo": "exit 1",
    }
    root = tmp_path / "root"
    (root / "proc/device-tree").mkdir(parents=True)
    (root / "proc/device-tree/model").write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    (root / "proc/device-tree/compatible").write_bytes(b"raspberrypi,4-model-b\0brcm,bcm2711\0")
    found = survey(board(tmp_path, programs), "/tmp", root=str(root))
    now = state(found)
    assert (machine(found).model, machine(found).soc) == ("Raspberry Pi 4 Model B Rev 1.4", "bcm2711")
    assert (now.throttled_now, now.throttled_since_boot, now.processor_c) == (False, True, 48.3)
    assert now.privilege is None


def test_a_jetson_whose_tools_need_root(tmp_path: Path) -> None:
    """`tegrastats` never ends by itself, and the others ask for sudo."""
    line = (TEXTS / "tegrastats_orin_nano.txt").read_text(encoding="utf-8").strip()
    clocks = TEXTS / "jetson_clocks_nano_locked.txt"
    programs = {
        "id": "echo 1000",
        "sudo": '[ "$1" = -n ] || exit 1; shift; BOARD_ROOT=1 exec "$@"',
        "nvpmodel": '[ -n "$BOARD_ROOT" ] || exit 1; echo "NV Power Mode: 25W"; echo 1',
        "jetson_clocks": f'[ -n "$BOARD_ROOT" ] || exit 1; cat {clocks}',
        "tegrastats": f"while :; do echo '{line}'; sleep 0.05; done",
    }
    found = survey(board(tmp_path, programs), "/tmp", root=str(tmp_path))
    now = state(found)
    assert (now.power_mode, now.clocks_locked, now.privilege) == ("25W", True, "sudo")
    assert now.processor_c == 53.968


def test_the_shell_of_a_phone(tmp_path: Path) -> None:
    """mksh with nothing but toybox' programs."""
    found = survey(android(tmp_path / "tools"), "/no/such/folder")
    now = state(found)
    assert machine(found).cores
    assert now.free_bytes
    assert now.clock_s
    assert now.boot_id


def test_free_space_where_the_work_folder_is_not_yet(tmp_path: Path) -> None:
    here = state(survey(LocalTransport(), str(tmp_path))).free_bytes
    there = state(survey(LocalTransport(), str(tmp_path / "a b/$(reboot)/c'd"))).free_bytes
    assert here is not None
    assert there is not None
    assert abs(here - there) < 2**30


def test_a_shell_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UnreadableOutput, match="did not tell what was asked of it; it said: no way"):
        survey(board(tmp_path, {"sh": "echo no way >&2"}), "/tmp")


def test_ways_to_become_root() -> None:
    script = "echo $HOME 'x'"
    assert elevated("root", script) == ["sh", "-c", script]
    assert elevated("su", script) == ["su", "-c", script]
    assert elevated("su 0", script) == ["su", "0", "sh", "-c", script]
    assert elevated("sudo", script) == ["sudo", "-n", "sh", "-c", script]
    with pytest.raises(DeviceTrouble, match="become root"):
        elevated("doas", script)


@given(
    st.dictionaries(st.sampled_from(["cpuinfo", "zones", "getprop"]), st.text(alphabet="ab \n"), max_size=3)
)
def test_texts_come_back_as_they_were(texts: dict[str, str]) -> None:
    mark = "mnas0123"
    printed = "".join(f"\n{mark} {name}\n{text}" for name, text in texts.items()) + f"\n{mark} end\n"
    assert parse(b"a banner\n" + printed.encode(), mark) == Survey({**texts, "end": ""})


@given(st.binary())
def test_any_output_is_read(output: bytes) -> None:
    found = parse(output, "mnas0123")
    machine(found)
    state(found)
    names = ("cpuinfo", "getprop", "zones", "cpufreq", "df", "clock", "tegrastats", "dumpsys_battery")
    hostile = Survey(dict.fromkeys(names, output.decode(errors="replace")))
    machine(hostile)
    state(hostile)
