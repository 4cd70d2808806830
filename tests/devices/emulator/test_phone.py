"""What the phone is and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devices.emulator import EmulatedPhone
from devices.errors import BadSettings, DeviceTrouble
from tests.devices.emulator.hosts import Host, wait_until
from tests.devices.phones import needs

GOVERNOR = "/sys/devices/system/cpu/cpu7/cpufreq/scaling_governor"
PARENT = "import time; from devices.emulator import EmulatedPhone; p = EmulatedPhone()\n"


def test_it_tells_what_a_phone_tells(phone: EmulatedPhone) -> None:
    with Host(phone) as host:
        assert host.shell("getprop ro.product.cpu.abi; getprop ro.nothing default") == "arm64-v8a\ndefault\n"
        assert "[ro.soc.model]: [SM8350]" in host.shell("getprop")
        assert host.shell("id").startswith("uid=2000(shell)")
        assert host.shell("uname -m; nproc") == "aarch64\n8\n"
        assert host.shell("echo $PATH $HOME; pwd; ls /data/local") == "/system/bin /\n/\ntmp\n"
        assert "temperature: 291" in host.shell("dumpsys battery")
        assert host.shell("dumpsys nothing; echo $?") == "20\n"
        assert host.shell("cat /sys/devices/system/cpu/cpu7/cpufreq/related_cpus") == "7\n"
        assert host.shell("grep -c 'CPU part' /proc/cpuinfo") == "8\n"


def test_settings_last_and_keep_the_screen_on(phone: EmulatedPhone) -> None:
    with Host(phone) as host:
        assert host.shell("settings get global nothing") == "null\n"
        assert "mStayOn=false" in host.shell("dumpsys power")
        host.shell("svc power stayon usb")
        assert host.shell("settings get global stay_on_while_plugged_in") == "2\n"
        assert "mStayOn=true" in host.shell("dumpsys power")
        host.shell("settings put global stay_on_while_plugged_in 0; input keyevent KEYCODE_SLEEP")
        assert "mWakefulness=Asleep" in host.shell("dumpsys power")
        assert "Display Power: state=OFF" in host.shell("dumpsys power")


def test_only_root_may_change_a_governor(start_phone: Callable[..., EmulatedPhone]) -> None:
    phone = start_phone(rooted=True)
    with Host(phone) as host:
        assert host.shell(f"echo performance >{GOVERNOR} 2>/dev/null; cat {GOVERNOR}") == "schedutil\n"
        assert host.shell(f"su -c 'echo performance >{GOVERNOR}; id -u; exit 5'; echo $?") == "0\n5\n"
        assert host.shell(f"su 0 cat {GOVERNOR}") == "performance\n"
        assert host.shell("echo one | su -c 'cat; pwd'") == "one\n/\n"
    with Host(start_phone()) as host:
        assert host.shell("su -c id; echo $?") == "127\n"


def test_a_core_is_asked_for_by_its_mask(phone: EmulatedPhone) -> None:
    with Host(phone) as host:
        assert host.shell("taskset 80 echo yes") == "yes\n"
        assert host.shell("taskset f00 echo no; echo $?") == "1\n"
        assert host.shell("taskset '1;echo no' true; echo $?") == "1\n"


def test_files_and_processes_are_seen_from_outside(phone: EmulatedPhone) -> None:
    phone.write("/data/local/tmp/there", b"content")
    with Host(phone) as host:
        assert host.shell("cat /data/local/tmp/there; echo back >/data/local/tmp/back") == "content"
        assert phone.read("/data/local/tmp/back") == b"back\n"
        assert (phone.folder / "local/tmp/back").exists()
        wait_until(lambda: not phone.processes())  # an answer is there before its process has gone
        stream = host.open("shell,v2,raw:sleep 61")
        wait_until(lambda: any("sleep 61" in words for _, words in phone.processes()))
        stream.close()
        wait_until(lambda: not phone.processes())
        assert phone.log[-1] == "shell,v2,raw:sleep 61"


def test_what_ignores_the_hang_up_goes_on(phone: EmulatedPhone) -> None:
    """As on a phone: only the shell itself is told, not its group."""
    with Host(phone) as host:
        host.shell("(trap '' HUP; exec sleep 62) >/dev/null 2>&1 &")
        stream = host.open("shell,v2,raw:trap '' HUP; sleep 63; true")
        wait_until(lambda: any("sleep 63" in words for _, words in phone.processes()))
        stream.close()
        time.sleep(0.2)
        left = " ".join(words for _, words in phone.processes())
        assert "sleep 62" in left
        assert "sleep 63" in left


def test_a_reboot_is_another_life(phone: EmulatedPhone) -> None:
    facts = "cat /proc/sys/kernel/random/boot_id; cat /proc/uptime"
    with Host(phone) as host:
        time.sleep(1.0)
        before = host.shell(facts).split()
        host.shell("sleep 64 >/dev/null 2>&1 & echo kept >/data/local/tmp/kept")
        host.shell("settings put global stay_on_while_plugged_in 7")
    phone.write(GOVERNOR, b"powersave\n")
    begun = time.monotonic()
    phone.reboot(0.2)
    assert phone.processes() == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((phone.host, phone.port)).close()
    wait_until(lambda: Host.reaches(phone))
    with Host(phone) as host:
        after = host.shell(facts).split()
        assert after[0] != before[0]
        assert float(after[1]) - (time.monotonic() - begun) < float(before[1]) - 0.5
        assert host.shell(f"cat {GOVERNOR} /data/local/tmp/kept") == "schedutil\nkept\n"
        assert host.shell("settings get global stay_on_while_plugged_in") == "7\n"
        host.shell("reboot >/dev/null 2>&1 &")
    wait_until(lambda: not Host.reaches(phone))


def test_two_reboots_are_one_phone(phone: EmulatedPhone) -> None:
    phone.reboot(0.1)
    phone.reboot(0.2)
    wait_until(lambda: Host.reaches(phone))
    time.sleep(0.2)
    assert all(Host.reaches(phone) for _ in range(5))
    phone.unplug(60)
    assert not any(Host.reaches(phone) for _ in range(5))


def test_it_ends_with_its_parent() -> None:
    """However that ends: nobody is left to clean up."""
    needs("unshare", "mksh", "toybox")
    code = PARENT + "print(p.port, p.root.parent.name, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        port, pid = parent.stdout.readline().split()
        assert Path(f"/proc/{pid}").exists()
        os.kill(parent.pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port))).close()


def test_it_can_be_closed_twice_and_says_so_afterwards(start_phone: Callable[..., EmulatedPhone]) -> None:
    phone = start_phone()
    root = phone.root
    phone.close()
    phone.close()
    assert not root.exists()
    with pytest.raises(DeviceTrouble, match="switched off"):
        phone.processes()


def test_a_key_that_is_none(tmp_path: Path) -> None:
    needs("unshare", "mksh", "toybox")
    with pytest.raises(BadSettings, match="nothing"):
        EmulatedPhone([tmp_path / "nothing.pub"])
    (tmp_path / "bad.pub").write_text("no key")
    with pytest.raises(BadSettings, match="bad"):
        EmulatedPhone([tmp_path / "bad.pub"])


def test_nobody_else_gets_the_port(phone: EmulatedPhone) -> None:
    phone.unplug(60)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((phone.host, phone.port))


def test_it_runs_from_the_command_line() -> None:
    needs("unshare", "mksh", "toybox")
    command = [sys.executable, "-m", "devices.emulator", "--latency", "known"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("adb://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_where_there_can_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeviceTrouble, match="needs unshare: install util-linux"):
        EmulatedPhone()


def test_where_namespaces_are_forbidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "unshare").write_text("#!/bin/sh\necho 'unshare: Operation not permitted' >&2\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(DeviceTrouble, match=r"leave to make namespaces.*exit code 1"):
        EmulatedPhone()


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(BadSettings, match=f"port {port}"):
            EmulatedPhone(port=port)
