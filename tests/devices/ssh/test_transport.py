from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from devices.errors import BadSettings, DeadlineExceeded, DeviceTrouble, LinkLost, TransientError
from devices.shell import TAG_VARIABLE
from devices.ssh import SshTransport
from tests.devices.sshd import Sshd, running_sshd
from tests.devices.transport_contract import LinkContract


def started_through(transport: SshTransport) -> list[psutil.Process]:
    """Processes of this machine that carry the transport's tag."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(TAG_VARIABLE, "").startswith(transport.tag):
                found.append(process)
        except psutil.Error:
            continue
    return found


def gone(transport: SshTransport, within_s: float = 5.0) -> bool:
    end = time.monotonic() + within_s
    while started_through(transport):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def transport(sshd: Sshd) -> Iterator[SshTransport]:
    transport = SshTransport("board", config=sshd.config)
    yield transport
    transport.close()
    assert gone(transport)


class TestSshTransport(LinkContract):
    @pytest.fixture
    def transport(self, transport: SshTransport) -> SshTransport:
        return transport

    @pytest.fixture
    def directory(self, tmp_path: Path) -> str:
        return str(tmp_path)

    @pytest.fixture
    def break_link(self, sshd: Sshd) -> Callable[[], None]:
        return sshd.cut


def test_files_are_private(transport: SshTransport, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("for all")
    (tmp_path / "file").chmod(0o644)
    transport.push(b"secret", f"{tmp_path}/file")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_disk_that_is_full_is_told(transport: SshTransport) -> None:
    with pytest.raises(DeviceTrouble, match="/dev/full/x"):
        transport.push(b"x", "/dev/full/x")


def test_lines_come_as_they_are_printed(transport: SshTransport) -> None:
    """Neither empty lines nor line ends at the end of a packet are lost or doubled."""
    script = (
        "printf 'a\\n'; sleep 0.3; printf '\\n\\nb'; sleep 0.1; printf '\\n'; sleep 0.1; printf 'c\\n\\n'"
    )
    channel = transport.spawn(["sh", "-c", script])
    assert channel.read_line(5.0) == b"a"
    assert [channel.read_line(5.0) for _ in range(7)] == [b"", b"", b"b", b"c", b"", b"", b""]
    assert transport.run(["sh", "-c", script]).stdout == b"a\n\n\nb\nc\n\n"


def test_more_commands_at_once_than_the_server_allows_sessions(transport: SshTransport) -> None:
    """OpenSSH allows ten a connection."""

    def echo(i: int) -> bytes:
        return transport.run(["sh", "-c", f"sleep 0.2; echo {i}"]).stdout

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(echo, range(32))) == [f"{i}\n".encode() for i in range(32)]


def test_a_command_of_the_wrong_shape(transport: SshTransport) -> None:
    with pytest.raises(BadSettings, match="NUL"):
        transport.run(["echo", "a\0b"])
    with pytest.raises(BadSettings, match="too long"):
        transport.run(["echo", "x" * 200_000])


def test_a_dropped_connection_is_no_signal_and_the_next_call_cleans_up(sshd: Sshd) -> None:
    events: list[str] = []
    transport = SshTransport("board", config=sshd.config, on_event=events.append)
    channel = transport.spawn(["sh", "-c", "echo begun; sleep 600"])
    assert channel.read_line(10.0) == b"begun"
    orphans = started_through(transport)
    assert orphans
    cut = threading.Timer(0.3, sshd.cut)
    cut.start()
    with pytest.raises(LinkLost):
        transport.run(["sh", "-c", "echo busy; sleep 600"], timeout_s=30)
    with pytest.raises(LinkLost):
        channel.read_line(5.0)
    with pytest.raises(LinkLost):
        channel.wait(5.0)
    channel.kill()
    assert any(orphan.is_running() for orphan in orphans)
    assert transport.run(["echo", "again"]).stdout == b"again\n"
    assert gone(transport)
    assert len(events) == 1
    assert "connected again" in events[0]
    transport.close()


def test_letting_go_over_a_broken_link_ends_what_runs(sshd: Sshd) -> None:
    transport = SshTransport("board", config=sshd.config)
    assert transport.spawn(["sh", "-c", "echo begun; sleep 600"]).read_line(10.0) == b"begun"
    sshd.cut()
    assert started_through(transport)
    transport.close()
    assert gone(transport)


def test_a_killed_shell_is_no_result(transport: SshTransport) -> None:
    """What ends the whole group may be the end of the device as well: no exit code is made up."""
    with pytest.raises(LinkLost, match="ended by something else"):
        transport.run(["sh", "-c", "kill -9 0"])
    assert transport.run(["true"]).ok


def test_a_frozen_server_is_found_by_the_clock(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with running_sshd(tmp_path) as sshd:
        transport = SshTransport("board", config=sshd.config, patience_s=1.5)
        channel = transport.spawn(["cat"])
        frozen = sshd.connections()
        for process in frozen:
            process.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(LinkLost, match="no answer for"):
            channel.read_line(60.0)
        with pytest.raises(LinkLost):  # a new connection's process is not frozen, but the first one's end is
            channel.wait(60.0)
        assert time.monotonic() - start < 20
        os.kill(sshd.pid, signal.SIGSTOP)
        with pytest.raises(TransientError):
            SshTransport("board", config=sshd.config, patience_s=1.5, connect_s=1.5).run(["true"])
        os.kill(sshd.pid, signal.SIGCONT)
        assert transport.run(["echo", "alive"]).stdout == b"alive\n"
        transport.close()
    assert capfd.readouterr() == ("", "")


def test_a_frozen_server_does_not_block_who_writes(tmp_path: Path) -> None:
    with running_sshd(tmp_path) as sshd:
        transport = SshTransport("board", config=sshd.config, patience_s=1.5)
        transport.run(["true"])
        for process in sshd.connections():
            process.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(TransientError):
            transport.push(b"x" * 30_000_000, f"{tmp_path}/file")
        assert time.monotonic() - start < 20
        transport.close()


def test_silence_is_no_trouble_while_the_server_lives(tmp_path: Path) -> None:
    with running_sshd(tmp_path) as sshd:
        transport = SshTransport("board", config=sshd.config, patience_s=0.6)
        channel = transport.spawn(["cat"])
        assert transport.run(["sleep", "1.8"]).ok
        with pytest.raises(DeadlineExceeded):
            channel.read_line(0.8)
        channel.write(b"still\n", 5.0)
        assert channel.read_line(5.0) == b"still"
        transport.close()


def test_nothing_is_printed_when_links_break(sshd: Sshd, capfd: pytest.CaptureFixture[str]) -> None:
    """Not by paramiko's loggers either, whatever logging the program has set up."""
    handler = logging.StreamHandler()
    logging.getLogger().addHandler(handler)
    try:
        transport = SshTransport("board", config=sshd.config)
        channel = transport.spawn(["cat"])
        sshd.cut()
        with pytest.raises(LinkLost):
            channel.read_line(10.0)
        transport.close()
    finally:
        logging.getLogger().removeHandler(handler)
    assert capfd.readouterr() == ("", "")
