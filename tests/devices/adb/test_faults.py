"""What a phone, its link and its user do to a call, over a connection of its own."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from devices.adb import AdbTransport, channel, direct_tcp, execution, transport
from devices.adb.channel import AdbChannel
from devices.emulator import EmulatedPhone, Fault
from devices.errors import (
    BadSettings,
    DeadlineExceeded,
    DeviceNotFound,
    DeviceTrouble,
    KeyRefused,
    LinkLost,
    NoSpace,
    TransientError,
)
from tests.devices.emulator.hosts import wait_until
from tests.devices.transport_contract import until_reached

FOLDER = "/data/local/tmp"


def tried(call: Callable[[], object], passing: type[Exception]) -> None:
    """Make a call, and once more if it raises this."""
    try:
        call()
    except passing:
        call()


@pytest.fixture
def link(shared_phone: EmulatedPhone, key: Path) -> Iterator[AdbTransport]:
    link = direct_tcp(shared_phone.host, shared_phone.port, [key])
    assert link.run(["true"]).ok
    yield link
    until_reached(lambda: link.run(["rm", "-rf", f"{FOLDER}/work"]))
    link.close()
    deadline = time.monotonic() + 10
    while shared_phone.processes():  # what was on its way through a frozen link begins late, and ends late
        assert time.monotonic() < deadline, shared_phone.processes()
        time.sleep(0.02)
    left = [each.name for each in (shared_phone.folder / "local/tmp").iterdir()]
    assert left == [], "something was left on the phone"


class TestLink:
    def test_a_frozen_phone_is_a_lost_link_and_not_a_slow_command(
        self, link: AdbTransport, shared_phone: EmulatedPhone, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transport, "SETTLE_S", 0.5)
        process = link.spawn(["sleep", "60"])
        shared_phone.freeze(60)
        with pytest.raises(LinkLost, match="does not answer any more"):
            link.run(["true"], timeout_s=0.3)
        for call in (lambda: process.read_line(5), lambda: process.wait(5), lambda: process.write(b"x", 5)):
            with pytest.raises(LinkLost):
                call()
        shared_phone.freeze(0)
        assert until_reached(lambda: link.run(["echo", "thawed"])).stdout == b"thawed\n"

    @pytest.mark.parametrize("what", ["push", "pull"])
    def test_a_frozen_phone_stops_no_transfer_for_ever(
        self, link: AdbTransport, shared_phone: EmulatedPhone, what: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transport, "SETTLE_S", 0.5)
        link.run(["mkdir", f"{FOLDER}/work"])
        link.push(b"before", f"{FOLDER}/work/file")
        shared_phone.freeze(60)
        path = f"{FOLDER}/work/file"
        transfer = partial(link.push, bytes(5_000_000)) if what == "push" else link.pull
        with pytest.raises(LinkLost):
            transfer(path, timeout_s=0.3)
        shared_phone.freeze(0)
        assert until_reached(lambda: link.pull(f"{FOLDER}/work/file")) == b"before"

    def test_a_slow_link_meets_its_deadline(self, link: AdbTransport, shared_phone: EmulatedPhone) -> None:
        link.run(["mkdir", f"{FOLDER}/work"])
        shared_phone.inject(Fault("slow_link", seconds=1.5))
        with pytest.raises(DeadlineExceeded, match=r"work/file was not written within 0\.5 s"):
            link.push(os.urandom(5_000_000), f"{FOLDER}/work/file", timeout_s=0.5)
        assert link.run(["ls", "-A", f"{FOLDER}/work"]).stdout == b""

    def test_a_reboot(self, link: AdbTransport, shared_phone: EmulatedPhone) -> None:
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(link.run, ["sleep", "60"])
            while not shared_phone.processes():
                time.sleep(0.02)
            shared_phone.reboot(0.3)
            with pytest.raises(LinkLost):
                running.result(20)
        assert until_reached(lambda: link.run(["true"])).ok

    def test_a_key_that_was_revoked(self, link: AdbTransport, shared_phone: EmulatedPhone) -> None:
        """No time is spent on trying again: the error is not a passing one."""
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(link.run, ["sleep", "60"])
            while not shared_phone.processes():
                time.sleep(0.02)
            shared_phone.inject(Fault("key_revoked", seconds=1.0))
            with pytest.raises(LinkLost):
                running.result(20)
        with pytest.raises(KeyRefused):
            link.run(["true"])
        time.sleep(1.0)
        assert link.run(["true"]).ok

    def test_an_unplugged_phone_is_not_found_until_it_is_back(
        self, link: AdbTransport, shared_phone: EmulatedPhone
    ) -> None:
        shared_phone.unplug(0.7)
        with pytest.raises(DeviceNotFound):
            tried(lambda: link.run(["true"]), LinkLost)  # the first may still find the old connection
        assert until_reached(lambda: link.run(["true"])).ok

    def test_a_fault_at_any_message_or_byte_changes_nothing_or_all(
        self, link: AdbTransport, shared_phone: EmulatedPhone
    ) -> None:
        """Calls are whole or raise a passing error; then they can be made again."""
        path = f"{FOLDER}/work/file"
        link.run(["mkdir", f"{FOLDER}/work"])
        contents = [b"old" * 100_000, b"new" * 150_000]

        def calls(content: bytes) -> None:
            link.push(content, path)
            assert link.pull(path) == content
            assert link.run(["sh", "-c", "cat; exit 3"], stdin=content).stdout == content

        calls(contents[0])
        bytes_before, messages_before = shared_phone.carried()
        calls(contents[0])
        bytes_of_all, messages_of_all = (
            after - before
            for after, before in zip(shared_phone.carried(), (bytes_before, messages_before), strict=True)
        )
        chooses = random.Random(3)
        places = [{"after_messages": each} for each in chooses.sample(range(messages_of_all), 8)]
        places += [{"after_bytes": each} for each in chooses.sample(range(bytes_of_all), 8)]
        for number, place in enumerate(places):
            before, after = contents[number % 2], contents[(number + 1) % 2]
            link.push(before, path)
            fired = len(shared_phone.fired())
            shared_phone.inject(Fault("unplug", seconds=0.02, **place))
            try:
                calls(after)
            except TransientError:
                assert until_reached(lambda: link.pull(path)) in (before, after), place
                until_reached(lambda after=after: calls(after))
            if len(shared_phone.fired()) == fired:  # due after all that was sent this time
                until_reached(lambda: link.run(["head", "-c", "3000000", "/dev/zero"]))
            assert until_reached(lambda: link.run(["ls", "-A", f"{FOLDER}/work"])).stdout == b"file\n", place
        assert shared_phone.fired().count("unplug") >= len(places)


class TestPhone:
    def test_a_full_phone(self, link: AdbTransport, shared_phone: EmulatedPhone) -> None:
        link.run(["mkdir", f"{FOLDER}/work"])
        link.push(b"before", f"{FOLDER}/work/file")
        shared_phone.inject(Fault("disk_full", seconds=1.0))
        with pytest.raises(NoSpace, match=f"cannot write {FOLDER}/work/file: .*No space left"):
            link.push(os.urandom(3_000_000), f"{FOLDER}/work/file")
        time.sleep(1.0)
        assert link.pull(f"{FOLDER}/work/file") == b"before"
        assert link.run(["ls", "-A", f"{FOLDER}/work"]).stdout == b"file\n"

    def test_a_command_that_ends_its_shell_too(self, link: AdbTransport) -> None:
        """As the kernel does when memory runs out: the link is well, so it is no lost link."""
        assert link.run(["sh", "-c", "echo last; kill -9 0"]).exit_code == 137
        assert link.run(["true"]).ok

    def test_a_command_that_prints_without_end(
        self, link: AdbTransport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(execution, "LIMIT_BYTES", 3_000_000)
        with pytest.raises(DeviceTrouble, match="cat printed more than 3000000 bytes and was stopped"):
            link.run(["cat", "/dev/zero"])

    def test_a_file_without_end(self, link: AdbTransport, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "LIMIT_BYTES", 3_000_000)
        with pytest.raises(DeviceTrouble, match="cannot read /dev/zero: it is longer than 3000000 bytes"):
            link.pull("/dev/zero")

    def test_a_process_that_nobody_reads_has_to_wait(
        self, link: AdbTransport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(channel, "OUTPUT_BYTES", 100_000)
        script = "i=0; while [ $i -lt 8 ]; do head -c 1000000 /dev/zero; echo; i=$((i+1)); done; echo done"
        process = link.spawn(["sh", "-c", script])
        assert isinstance(process, AdbChannel)
        held = 0
        while (now := len(process._output)) != held or not held:
            held = now
            time.sleep(0.3)
        assert 100_000 <= held <= 100_000 + (1 << 20)
        assert [len(process.read_line(10.0)) for _ in range(9)] == [1_000_000] * 8 + [4]
        assert process.wait(10.0) == 0
        process.kill()

    def test_a_line_without_end(self, link: AdbTransport, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(channel, "LINE_BYTES", 3_000_000)
        process = link.spawn(["cat", "/dev/zero"])
        with pytest.raises(DeviceTrouble, match="cat printed a line longer than 3000000 bytes"):
            process.read_line(30.0)
        process.kill()

    def test_a_command_too_long_for_the_phone(self, link: AdbTransport) -> None:
        with pytest.raises(DeviceTrouble, match="standard input"):
            link.run(["echo", "x" * 2_000_000])
        assert len(link.run(["echo", "x" * 50_000]).stdout) == 50_001

    def test_words_that_no_command_line_can_hold(self, link: AdbTransport) -> None:
        for call in (
            lambda: link.run(["echo", "a\0b"]),
            lambda: link.spawn(["a\0b"]),
            lambda: link.push(b"", "/data/a\0b"),
            lambda: link.pull("/data/a\0b"),
        ):
            with pytest.raises((BadSettings, DeviceTrouble), match="NUL"):
                call()
        assert link.run(["printf", "%s", os.fsdecode(b"\xff\xfe")]).stdout == b"\xff\xfe"


class TestUse:
    def test_an_interrupt_ends_what_runs(self, link: AdbTransport, shared_phone: EmulatedPhone) -> None:
        def interrupt() -> None:
            while not shared_phone.processes():
                time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGINT)

        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        with pytest.raises(KeyboardInterrupt):
            link.run(["sleep", "60"])
        interrupter.join()
        wait_until(lambda: not shared_phone.processes())
        assert link.run(["true"]).ok

    def test_it_can_be_used_again_after_it_was_closed(self, link: AdbTransport) -> None:
        link.close()
        assert link.run(["echo", "again"]).stdout == b"again\n"

    def test_no_thread_is_left(self, shared_phone: EmulatedPhone, key: Path) -> None:
        before = threading.active_count()
        for _ in range(3):
            transport = direct_tcp(shared_phone.host, shared_phone.port, [key])
            transport.spawn(["sleep", "60"])
            transport.run(["cat"], stdin=b"x" * 1_000_000)
            transport.close()
        assert threading.active_count() == before

    def test_the_tag_is_the_callers(self, shared_phone: EmulatedPhone, key: Path) -> None:
        transport = direct_tcp(shared_phone.host, shared_phone.port, [key], tag="mnastag1")
        assert transport.run(["sh", "-c", "echo $MNAS_JOB"]).stdout.startswith(b"mnastag1.")
        transport.close()
