"""What every transport must do, and what one over a link must do besides: inherit one of the classes."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from devices.errors import DeadlineExceeded, DeviceTrouble, TransientError
from devices.transport import Transport

T = TypeVar("T")

#: no name may mean anything to a shell, to a tool or to a protocol
HOSTILE_NAMES = [
    "a'b",
    'a"b',
    "$(touch injected)",
    "`touch injected`",
    "a;touch injected",
    "-rf",
    "--help",
    "*",
    "~",
    " ",
    "two\nlines",
    "\x1b[2J",
    "%s%n",
    "back\\slash",
    "comma,0644",
    "ünïcödé",
    "x" * 200,
]


def alive(transport: Transport, token: str) -> bool:
    """Whether a process on the device has a word with this token, `LETTERS.DIGITS`, in its command line."""
    # this looks for itself, too: so its own command line must not have the token in one piece
    script = 'grep -l "$1[.]$2" /proc/[0-9]*/cmdline 2>/dev/null'
    return bool(transport.run(["sh", "-c", script, "sh", *token.split(".")]).stdout)


def ended(transport: Transport, token: str) -> bool:
    """Whether no process has it, soon: what is killed takes a moment to end."""
    deadline = time.monotonic() + 10
    while alive(transport, token):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def until_reached(call: Callable[[], T], within_s: float = 30.0) -> T:
    """What a call gives once the device can be reached again."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return call()
        except TransientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class TransportContract:
    """Tests of a transport. Give it a `transport` and a `directory` on the device.

    The device has `sh`, `cat`, `sleep`, `head`, `grep`, `ls`, `sha256sum` and `kill`.
    """

    @pytest.fixture
    def transport(self) -> Transport:
        raise NotImplementedError

    @pytest.fixture
    def directory(self) -> str:
        raise NotImplementedError

    def test_exit_code_and_both_streams_are_told_apart(self, transport: Transport) -> None:
        result = transport.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
        assert (result.exit_code, result.stdout, result.stderr, result.ok) == (7, b"out\n", b"err\n", False)
        assert transport.run(["true"]).ok

    def test_arguments_reach_the_command_unchanged(self, transport: Transport) -> None:
        arguments = ["a b", "", "$HOME", "*", "'\"\\", "ä\n"]
        printed = transport.run(["printf", "%s|", *arguments]).stdout.decode()
        assert printed == "".join(f"{argument}|" for argument in arguments)

    def test_a_missing_program_is_127(self, transport: Transport) -> None:
        assert transport.run(["no-such-program-anywhere"]).exit_code == 127

    def test_a_signal_is_128_and_its_number(self, transport: Transport) -> None:
        assert transport.run(["sh", "-c", "kill -9 $$"]).exit_code == 137

    def test_input_is_passed_on_while_output_flows(self, transport: Transport) -> None:
        data = bytes(range(256)) * 8192
        assert transport.run(["cat"], stdin=data).stdout == data

    def test_input_that_nobody_reads_is_no_error(self, transport: Transport) -> None:
        assert transport.run(["true"], stdin=b"x" * 1_000_000).ok

    def test_much_output_on_both_streams(self, transport: Transport) -> None:
        command = "head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero"
        result = transport.run(["sh", "-c", command])
        assert (len(result.stdout), len(result.stderr)) == (3_000_000, 3_000_000)

    def test_many_mb_of_output(self, transport: Transport) -> None:
        script = "i=0; while [ $i -lt 40 ]; do head -c 1000000 /dev/zero; echo; i=$((i+1)); done; echo end"
        out = transport.run(["sh", "-c", script], timeout_s=120).stdout
        assert (len(out), out[-4:], set(out[:-4])) == (40_000_044, b"end\n", {0, 10})

    def test_concurrent_calls_get_their_own_answers(self, transport: Transport, directory: str) -> None:
        """Also while another command is silent, and processes are talked to."""
        channels = [transport.spawn(["cat"]) for _ in range(6)]

        def work(number: int) -> None:
            data = bytes([number]) * (300_000 + number)
            for turn in range(3):
                result = transport.run(["sh", "-c", f"cat; exit {number}"], stdin=data)
                assert (result.exit_code, result.stdout) == (number, data)
                path, line = f"{directory}/{number}.{turn}", b"%d.%d" % (number, turn)
                transport.push(data, path)
                assert transport.pull(path) == data
                channels[number].write(line + b"\n", 10.0)
                assert channels[number].read_line(10.0) == line

        with ThreadPoolExecutor(7) as pool:
            silent = pool.submit(transport.run, ["sh", "-c", "sleep 1; echo woke"])
            for done in [pool.submit(work, number) for number in range(6)]:
                done.result(timeout=120)
            assert silent.result(timeout=60).stdout == b"woke\n"
        for channel in channels:
            channel.kill()

    def test_a_command_has_a_deadline_and_says_what_it_said(self, transport: Transport) -> None:
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded, match=r"within 0.3 s.*waiting for godot"):
            transport.run(["sh", "-c", "echo waiting for godot; sleep 60"], timeout_s=0.3)
        assert time.monotonic() - start < 5

    def test_nothing_outlives_its_command(self, transport: Transport, directory: str) -> None:
        """Neither after a deadline nor after a proper end."""
        for ending in ("wait", "exit 0"):
            late = f"{directory}/late"
            command = f"(sleep 0.8; touch {late}) & {ending}"
            try:
                transport.run(["sh", "-c", command], timeout_s=0.3)
            except DeadlineExceeded:
                assert ending == "wait"
            time.sleep(0.9)
            assert not transport.run(["test", "-e", late]).ok, ending

    def test_nothing_is_left_after_a_deadline(self, transport: Transport) -> None:
        with pytest.raises(DeadlineExceeded):
            transport.run(["sh", "-c", "sleep 61.7001 & sh -c 'sleep 61.7001'; true"], timeout_s=0.5)
        assert ended(transport, "61.7001")

    def test_nothing_is_left_of_a_killed_process(self, transport: Transport) -> None:
        channel = transport.spawn(["sh", "-c", "sleep 62.7002 & echo begun; sleep 62.7002"])
        assert channel.read_line(10.0) == b"begun"
        assert alive(transport, "62.7002")
        channel.kill()
        assert ended(transport, "62.7002")

    def test_files_go_there_and_back(self, transport: Transport, directory: str) -> None:
        content = bytes(range(256)) * 4000
        for data in (content, b"", b"shorter"):
            transport.push(data, f"{directory}/a file")
            assert transport.pull(f"{directory}/a file") == data
        assert transport.run(["ls", directory]).stdout == b"a file\n"

    def test_hostile_file_names(self, transport: Transport, directory: str) -> None:
        for number, name in enumerate(HOSTILE_NAMES):
            path = f"{directory}/{name}"
            content = b"%d" % number
            transport.push(b"first", path)
            transport.push(content, path)
            assert transport.pull(path) == content, name
            assert transport.run(["cat", path]).stdout == content, name
        # and nothing else came into being, there or where commands run
        lines = transport.run(["ls", "-A", directory]).stdout.count(b"\n")
        assert lines == len(HOSTILE_NAMES) + sum("\n" in name for name in HOSTILE_NAMES)
        assert not transport.run(["test", "-e", "injected"]).ok

    def test_100_mb_are_pushed(self, transport: Transport, directory: str) -> None:
        content = os.urandom(1 << 20) * 100
        transport.push(content, f"{directory}/big", timeout_s=120)
        said = transport.run(["sha256sum", f"{directory}/big"], timeout_s=120).stdout.decode()
        assert said.split()[0] == hashlib.sha256(content).hexdigest()
        assert transport.pull(f"{directory}/big", timeout_s=120) == content

    def test_a_directory_is_never_written_over(self, transport: Transport, directory: str) -> None:
        assert transport.run(["mkdir", f"{directory}/folder"]).ok
        with pytest.raises(DeviceTrouble, match="folder"):
            transport.push(b"x", f"{directory}/folder")
        assert transport.run(["ls", "-A", directory]).stdout == b"folder\n"
        assert transport.run(["ls", "-A", f"{directory}/folder"]).stdout == b""

    def test_files_that_cannot_be(self, transport: Transport, directory: str) -> None:
        with pytest.raises(DeviceTrouble, match="no/such/place"):
            transport.push(b"x", f"{directory}/no/such/place")
        with pytest.raises(DeviceTrouble, match="nothing"):
            transport.pull(f"{directory}/nothing")

    def test_a_process_is_talked_to_line_by_line(self, transport: Transport) -> None:
        channel = transport.spawn(["sh", "-c", "while read line; do echo got $line; done; exit 3"])
        for word in ("one", "two"):
            channel.write(f"{word}\n".encode(), 5.0)
            assert channel.read_line(5.0) == f"got {word}".encode()
        with pytest.raises(DeadlineExceeded):
            channel.read_line(0.1)
        with pytest.raises(DeadlineExceeded):
            channel.wait(0.1)
        channel.kill()
        channel.kill()
        assert channel.wait(5.0) == 137

    def test_the_end_of_a_process_is_seen(self, transport: Transport) -> None:
        channel = transport.spawn(["sh", "-c", "echo last; echo why >&2; printf rest; exit 3"])
        assert channel.read_line(5.0) == b"last"
        assert channel.read_line(5.0) == b"rest"
        assert channel.read_line(5.0) == b""
        assert channel.wait(5.0) == 3
        assert channel.errors() == b"why\n"
        channel.write(b"anybody?\n", 1.0)
        channel.kill()

    def test_a_process_never_waits_for_its_errors_to_be_read(self, transport: Transport) -> None:
        channel = transport.spawn(["sh", "-c", "head -c 3000000 /dev/zero >&2; echo tail >&2; echo done"])
        assert channel.read_line(10.0) == b"done"
        assert channel.wait(5.0) == 0
        assert channel.errors().endswith(b"tail\n")
        assert len(channel.errors()) <= 64 * 1024
        channel.kill()

    def test_a_line_may_be_long(self, transport: Transport) -> None:
        channel = transport.spawn(["sh", "-c", "head -c 9000000 /dev/zero; echo; echo next"])
        assert channel.read_line(30.0) == bytes(9_000_000)
        assert channel.read_line(30.0) == b"next"
        channel.kill()

    def test_a_process_that_takes_no_input(self, transport: Transport) -> None:
        channel = transport.spawn(["sleep", "60"])
        with pytest.raises(DeadlineExceeded):
            channel.write(b"x" * 10_000_000, 0.3)
        channel.kill()

    def test_a_process_that_cannot_be_started(self, transport: Transport) -> None:
        with pytest.raises(DeviceTrouble, match="no-such-program"):
            transport.spawn(["no-such-program-anywhere"])

    def test_close_ends_what_runs(self, transport: Transport) -> None:
        channel = transport.spawn(["sleep", "60"])
        transport.close()
        transport.close()
        assert channel.wait(5.0) == 137


class LinkContract(TransportContract):
    """Tests of a transport over a link. Give it `break_link` as well, which breaks the link for a moment.

    The device has `setsid`.
    """

    @pytest.fixture
    def break_link(self) -> Callable[[], None]:
        raise NotImplementedError

    def test_the_next_call_reconnects(self, transport: Transport, break_link: Callable[[], None]) -> None:
        assert transport.run(["true"]).ok
        break_link()
        assert until_reached(lambda: transport.run(["echo", "again"])).stdout == b"again\n"

    def test_a_broken_link_wakes_everybody(
        self, transport: Transport, directory: str, break_link: Callable[[], None]
    ) -> None:
        channel = transport.spawn(["sh", "-c", "echo begun; sleep 63.7003"])
        assert channel.read_line(10.0) == b"begun"

        def lose(call: Callable[[], object]) -> None:
            with pytest.raises(TransientError):
                call()

        with ThreadPoolExecutor(4) as pool:
            waiting = [
                pool.submit(lose, lambda: transport.run(["sleep", "63.7003"])),
                pool.submit(lose, lambda: transport.run(["sleep", "63.7003"], stdin=b"x" * 9_000_000)),
                pool.submit(lose, lambda: channel.read_line(60.0)),
                pool.submit(lose, lambda: channel.wait(60.0)),
            ]
            time.sleep(0.5)
            break_link()
            for each in waiting:
                each.result(timeout=30)
        assert until_reached(lambda: ended(transport, "63.7003"))
        channel.kill()
        with pytest.raises(DeadlineExceeded):  # it works again
            transport.run(["sleep", "60"], timeout_s=0.2)

    def test_a_line_that_is_broken_off_is_none(
        self, transport: Transport, break_link: Callable[[], None]
    ) -> None:
        channel = transport.spawn(["sh", "-c", "printf 'whole\\nhal'; sleep 60"])
        assert channel.read_line(10.0) == b"whole"
        with pytest.raises(DeadlineExceeded):
            channel.read_line(0.3)
        break_link()
        with pytest.raises(TransientError):
            channel.read_line(20.0)
        channel.kill()
        assert until_reached(lambda: transport.run(["true"])).ok

    def test_a_push_that_is_broken_off_changes_nothing(
        self, transport: Transport, directory: str, break_link: Callable[[], None]
    ) -> None:
        path = f"{directory}/file"
        transport.push(b"before", path)
        content = os.urandom(1 << 20) * 200
        breaker = threading.Timer(0.1, break_link)
        breaker.start()
        try:
            with pytest.raises(TransientError):
                transport.push(content, path)
        finally:
            breaker.join()
        assert until_reached(lambda: transport.pull(path)) == b"before"
        assert transport.run(["ls", "-A", directory]).stdout == b"file\n"

    def test_what_left_its_group_ends_with_the_deadline(self, transport: Transport) -> None:
        script = "setsid sleep 64.7004 & sleep 64.7004"
        with pytest.raises(DeadlineExceeded):
            transport.run(["sh", "-c", script], timeout_s=0.5)
        assert ended(transport, "64.7004")

    def test_what_holds_the_streams_open_is_ended(self, transport: Transport) -> None:
        assert transport.run(["sh", "-c", "setsid sleep 65.7005 & echo done"]).stdout == b"done\n"
        assert ended(transport, "65.7005")

    def test_terminal_escapes_are_not_passed_on(self, transport: Transport) -> None:
        script = "printf 'boo\\033[2J\\007\\n' >&2; sleep 60"
        with pytest.raises(DeadlineExceeded, match="boo") as caught:
            transport.run(["sh", "-c", script], timeout_s=0.5)
        assert str(caught.value).isprintable()
