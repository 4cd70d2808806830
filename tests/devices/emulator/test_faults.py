"""Every fault happens, when it is due, and passes."""

from __future__ import annotations

import hashlib
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devices.emulator import EmulatedPhone, Fault, protocol
from devices.emulator.faults import KINDS, Schedule
from tests.devices.emulator.hosts import Host, frame, unframe, wait_until
from tests.devices.phones import AdbServer

CONTENT = bytes(range(256)) * 400


def send_file(host: Host, path: str, content: bytes) -> bytes:
    """Push a file with the sync service; its answer."""
    stream = host.open("sync:")
    stream.send(struct.pack("<4sI", b"SEND", len(path) + 6) + f"{path},33188".encode())
    for start in range(0, len(content), 65536):
        part = content[start : start + 65536]
        stream.send(struct.pack("<4sI", b"DATA", len(part)) + part)
    stream.send(struct.pack("<4sI", b"DONE", 1_700_000_000))
    stream.send(struct.pack("<4sI", b"QUIT", 0))
    return stream.wait()


def test_a_fault_must_be_one() -> None:
    with pytest.raises(ValueError, match=r"no fault 'fire'.*unplug"):
        Fault("fire")
    with pytest.raises(ValueError, match="not for both"):
        Fault("unplug", after_bytes=1, after_messages=1)
    with pytest.raises(ValueError, match="not negative"):
        Fault("unplug", seconds=-1)


def test_the_schedule_fires_at_the_very_byte() -> None:
    happened: list[str] = []
    schedule = Schedule(lambda fault: happened.append(fault.kind))
    schedule.add(Fault("heat", after_bytes=10))
    schedule.add(Fault("freeze", after_messages=2))
    assert schedule.room(100) == 10
    schedule.count("bytes", 9)
    assert (happened, schedule.room(100)) == ([], 1)
    schedule.count("bytes", 1)
    schedule.count("messages", 1)
    assert (happened, schedule.room(100)) == (["heat"], 100)
    schedule.count("messages", 1)
    schedule.add(Fault("corrupt"))
    assert happened == schedule.fired() == ["heat", "freeze", "corrupt"]
    assert schedule.carried() == (10, 2)


@pytest.mark.parametrize("after", [30, 111, 5000, 70_000])
def test_unplugged_at_a_byte(phone: EmulatedPhone, after: int) -> None:
    with Host(phone) as host:
        wait_until(lambda: phone.carried()[1] == 2)
        before = phone.carried()[0]
        phone.inject(Fault("unplug", after_bytes=after, seconds=0.2))
        assert unframe(host.open("shell,v2,raw:head -c 200000 /dev/zero").wait())[2] is None
        # the other direction may have something on its way at that moment
        assert before + after <= phone.carried()[0] <= before + after + 2 * protocol.HEADER.size
    wait_until(lambda: Host.reaches(phone))
    assert phone.fired() == ["unplug"]
    wait_until(lambda: not phone.processes())


def test_unplugged_at_a_message(phone: EmulatedPhone) -> None:
    with Host(phone) as host:
        wait_until(lambda: phone.carried()[1] == 2)
        phone.inject(Fault("unplug", after_messages=7, seconds=60))
        assert unframe(host.open("shell,v2,raw:while echo; do :; done").wait())[2] is None
        assert 2 + 7 <= phone.carried()[1] <= 2 + 7 + 1
    assert not Host.reaches(phone)
    phone.plug_in()
    wait_until(lambda: Host.reaches(phone))


def test_a_frozen_link_thaws(phone: EmulatedPhone) -> None:
    with Host(phone) as host:
        phone.inject(Fault("freeze", after_messages=1, seconds=60))
        stream = host.open("shell,v2,raw:echo alive")
        assert not stream.ended.wait(0.3)
        phone.freeze(0)
        assert unframe(stream.wait())[0] == b"alive\n"


def test_a_reboot_at_a_byte(phone: EmulatedPhone) -> None:
    with Host(phone) as host:
        boot_id = host.shell("cat /proc/sys/kernel/random/boot_id")
        phone.inject(Fault("reboot", after_bytes=2000, seconds=0.1))
        assert unframe(host.open("shell,v2,raw:sleep 65 & while echo; do :; done").wait())[2] is None
    wait_until(lambda: Host.reaches(phone))
    wait_until(lambda: not phone.processes())
    with Host(phone) as host:
        assert host.shell("cat /proc/sys/kernel/random/boot_id") != boot_id


def test_a_revoked_key_is_good_again_later(phone: EmulatedPhone) -> None:
    with Host(phone) as host:
        phone.inject(Fault("key_revoked", seconds=0.5))
        assert unframe(host.open("shell,v2,raw:sleep 66").wait())[2] is None
    wait_until(lambda: Host.answer_of(phone) == protocol.AUTH)
    wait_until(lambda: Host.reaches(phone))


def test_a_full_disk_takes_nothing_until_it_has_room(phone: EmulatedPhone) -> None:
    with Host(phone) as host:
        phone.inject(Fault("disk_full", seconds=0.6))
        refused = send_file(host, "/data/local/tmp/file", CONTENT)
        assert refused.startswith(b"FAIL")
        assert b"No space left on device" in refused
        assert host.shell("cat /system/bin/id >/data/local/tmp/copy 2>/dev/null; echo $?") == "1\n"
        assert host.shell("ls /data/local/tmp") == "copy\n"
        wait_until(lambda: send_file(host, "/data/local/tmp/file", CONTENT) == b"OKAY\0\0\0\0")
    assert phone.read("/data/local/tmp/file") == CONTENT


def test_a_slow_link_is_slow(phone: EmulatedPhone) -> None:
    with Host(phone) as host:
        begun = time.monotonic()
        phone.inject(Fault("slow_link", seconds=0.5))
        assert len(host.shell("head -c 200000 /dev/zero")) == 200_000
        assert time.monotonic() - begun > 0.4


def test_a_transfer_is_corrupted_once(phone: EmulatedPhone) -> None:
    with Host(phone) as host:
        phone.inject(Fault("corrupt", after_bytes=10))
        for expected in (1, 0):
            assert send_file(host, "/data/local/tmp/file", CONTENT) == b"OKAY\0\0\0\0"
            arrived = phone.read("/data/local/tmp/file")
            assert len(arrived) == len(CONTENT)
            assert sum(a != b for a, b in zip(arrived, CONTENT, strict=True)) == expected


def test_what_a_shell_is_fed_is_corrupted_when_it_may_be_a_file(phone: EmulatedPhone) -> None:
    with Host(phone) as host:
        phone.inject(Fault("corrupt"))
        for content, spoilt in ((b"x" * 100, False), (b"x" * 5000, True), (b"x" * 5000, False)):
            stream = host.open("shell,v2,raw:cat")
            stream.send(frame(0, content) + frame(4, b""))
            assert (unframe(stream.wait())[0] != content) is spoilt


def test_heat_shows_and_passes(phone: EmulatedPhone) -> None:
    hot = "dumpsys thermalservice | grep 'Thermal Status'; cat /sys/class/thermal/thermal_zone8/temp"
    with Host(phone) as host:
        assert host.shell(hot) == "Thermal Status: 0\n41500\n"
        phone.inject(Fault("heat", seconds=0.5))
        assert host.shell(hot) == "Thermal Status: 3\n95000\n"
        cached, current = host.shell("dumpsys thermalservice").split("HAL Ready")
        assert "mValue=95.0" not in cached
        assert "mValue=95.0" in current
        wait_until(lambda: host.shell(hot) == "Thermal Status: 0\n41500\n")
        phone.heat(50.0)
        assert host.shell(hot).endswith("50000\n")


def test_the_host_of_a_lost_phone_gets_its_file_whole_or_not_at_all(
    adb_server: AdbServer, start_phone: Callable[..., EmulatedPhone], tmp_path: Path
) -> None:
    phone = start_phone()
    (tmp_path / "file").write_bytes(CONTENT * 10)
    adb_server.adb("connect", f"{phone.host}:{phone.port}")
    phone.inject(Fault("unplug", after_bytes=300_000, seconds=0.1))
    assert adb_server.adb("push", str(tmp_path / "file"), "/data/local/tmp/file").returncode != 0
    wait_until(lambda: Host.reaches(phone))
    assert not (phone.folder / "local/tmp/file").exists()


def test_many_streams_at_once(phone: EmulatedPhone) -> None:
    with Host(phone) as host:
        slow = host.open("shell,v2,raw:sleep 0.5; echo slow")
        copies = [host.open("shell,v2,raw:cat | sha256sum") for _ in range(12)]
        for number, stream in enumerate(copies):
            for start in range(0, len(CONTENT), 50_000):
                stream.send(frame(0, bytes([number]) + CONTENT[start : start + 50_000]))
        for stream in copies:
            stream.send(frame(4, b""))
        for number, stream in enumerate(copies):
            digest = hashlib.sha256()
            for start in range(0, len(CONTENT), 50_000):
                digest.update(bytes([number]) + CONTENT[start : start + 50_000])
            out, err, code = unframe(stream.wait())
            assert (out.split()[0].decode(), err, code) == (digest.hexdigest(), b"", 0)
        assert unframe(slow.wait())[0] == b"slow\n"


def test_nonsense_ends_the_connection_and_nothing_else(phone: EmulatedPhone) -> None:
    for nonsense in (
        b"GET / HTTP/1.1\r\n\r\n" * 3,
        protocol.Message(protocol.OPEN, 1, 0, b"shell:").packed(True),
    ):
        with socket.create_connection((phone.host, phone.port), 5) as sock:
            sock.sendall(nonsense)
            assert sock.recv(100) == b""
    assert Host.reaches(phone)


def test_every_kind_is_told() -> None:
    assert all(Fault(kind).kind == kind and told for kind, told in KINDS.items())


def test_a_host_that_takes_only_little_at_a_time(phone: EmulatedPhone) -> None:
    with Host(phone, max_payload_bytes=4096) as host:
        assert len(host.shell("head -c 100000 /dev/zero")) == 100_000


def test_a_frame_that_is_too_long_ends_its_shell(phone: EmulatedPhone) -> None:
    with Host(phone) as host:
        stream = host.open("shell,v2,raw:exec sleep 67")
        stream.send(struct.pack("<BI", 0, 1 << 30))
        assert unframe(stream.wait())[2] == 129
        assert host.shell("echo alive") == "alive\n"
