"""What every transport must do: inherit the class, give it a `transport` and a `directory` on the device."""

from __future__ import annotations

import time

import pytest

from devices.errors import DeadlineExceeded, DeviceTrouble
from devices.transport import Transport


class TransportContract:
    """Tests of a transport. The device has `sh`, `cat`, `sleep`, `head` and `kill`."""

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

    def test_files_go_there_and_back(self, transport: Transport, directory: str) -> None:
        content = bytes(range(256)) * 4000
        for data in (content, b"", b"shorter"):
            transport.push(data, f"{directory}/a file")
            assert transport.pull(f"{directory}/a file") == data
        assert transport.run(["ls", directory]).stdout == b"a file\n"

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
