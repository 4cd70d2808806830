"""A device that answers anything at all: one of our errors, nothing outside the work folder, no escapes."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import DevicesError
from devices.facts import MachineFacts
from devices.measurement import Failure, ModelFile, Settings
from devices.plan import Plan
from devices.runners.benchmark_model.device import BenchmarkModelDevice
from devices.runners.litert import LitertDevice
from devices.runners.program_loop import ProgramLoop
from devices.staging import Staging
from devices.transport import CommandResult

WORK = "/data/local/tmp/mnas"
MODELS = [ModelFile("m", b"one"), ModelFile("\x1b[31m$(reboot)\n", b"two")]
MACHINE = MachineFacts("aarch64", None, None, None, "cpu", 4, (), None, "Android", None, True)
ESCAPES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

#: what looks like an answer, and may lead somewhere
TEMPTING = [
    *(f"{each.sha256}  {each.sha256}.tflite".encode() for each in MODELS),
    b"0" * 64 + b"  ../../../etc/passwd",
    b"/dev/x 100 50 50 50% /",
    b"/dev/x 100 50 99999999999999999999 50% /",
    b"1700000000",
    b"1 5 ./../../../etc/passwd",
    b"1 5 .//etc/passwd",
    b"1 5 ./a b",
    b"1 5 ./-rf",
    b"1 5 ./" + b"f" * 64 + b".tflite",
    b"/",
    b"/mnas.12345678",
    f"{WORK}/worker/mnas.12345678".encode(),
    b"--graph=x",
    b"arm64-v8a,x86_64",
    b'{"id": 1, "error": "ModelRejected", "message": "\\u001b[2J"}',
    b'{"id": 1, "runtime": 7}',
    b'{"id": 2}',
    b"\x1b]0;owned\x07\x1b[2J",
]
LINE = st.sampled_from(TEMPTING) | st.binary(max_size=40)
OUTPUT = st.lists(LINE, max_size=6).map(b"\n".join) | st.lists(LINE, max_size=6).map(
    lambda lines: b"\n".join([b"1700000000", *lines])
)
CODE = st.sampled_from([0, 0, 0, 1, 3, 4, 126, 127, 137, 255])


class Hostile:
    """A transport to a device that answers what it is told to."""

    def __init__(self, draw: Callable[[st.SearchStrategy[object]], object]) -> None:
        self._draw = draw
        self.commands: list[tuple[Sequence[str], bytes]] = []
        self.pushed: list[str] = []

    def run(self, command: Sequence[str], stdin: bytes = b"", timeout_s: float = 60.0) -> CommandResult:
        self.commands.append((command, stdin))
        return CommandResult(self._draw(CODE), self._draw(OUTPUT), self._draw(OUTPUT))

    def spawn(self, command: Sequence[str]) -> HostileChannel:
        self.commands.append((command, b""))
        return HostileChannel(self._draw, command)

    def push(self, content: bytes, path: str, timeout_s: float = 60.0) -> None:
        self.pushed.append(path)

    def pull(self, path: str, timeout_s: float = 60.0) -> bytes:
        return self._draw(OUTPUT)

    def close(self) -> None:
        pass


class HostileChannel:
    """Some lines, then the end. Sometimes it knows what is waited for."""

    def __init__(self, draw: Callable[[st.SearchStrategy[object]], object], command: Sequence[str]) -> None:
        self._draw = draw
        self._left = 12
        marks = [word.encode() for word in command if re.fullmatch(r"mnas[0-9a-f]{16}", word)]
        known = [
            line
            for mark in marks
            for line in (
                mark + b" ready 0-3 up 1.5",
                mark + b" end",
                mark + b" result",
                mark + b" ready up x",
            )
        ]
        self._lines = st.sampled_from(known) | LINE if known else LINE

    def write(self, data: bytes, timeout_s: float) -> None:
        pass

    def read_line(self, timeout_s: float) -> bytes:
        self._left -= 1
        return self._draw(self._lines).replace(b"\n", b"") if self._left > 0 else b""

    def errors(self) -> bytes:
        return self._draw(OUTPUT)

    def wait(self, timeout_s: float) -> int:
        return self._draw(CODE)

    def kill(self) -> None:
        pass


@contextlib.contextmanager
def only_our_errors():
    try:
        yield
    except DevicesError as error:
        said = str(error)
        if ESCAPES.search(said):
            raise AssertionError(f"escapes reach the reader: {said!r}") from error


def staging(transport: Hostile) -> object:
    staging = Staging(transport, WORK)
    staging.put(MODELS)
    staging.keep("bin", "benchmark_model", b"#!")
    return staging.clean(0.0)


def benchmark_model(transport: Hostile) -> object:
    device = BenchmarkModelDevice("adb://x", transport, Settings(), WORK, "0" * 64, MACHINE)
    device._binary = lambda: f"{WORK}/bin/0/benchmark_model"
    device._staging.put = lambda _: {}
    return list(device.stream(MODELS, Plan(passes=2, deadline_s=0.1)))


def litert(transport: Hostile) -> object:
    device = LitertDevice("ssh://x", transport, staging=Staging(transport, WORK), machine=MACHINE)
    device._staging.put = lambda models: {each.sha256: "x" for each in models}
    try:
        return list(device.stream(MODELS, Plan(passes=2)))
    finally:
        device.close()


def loop(transport: Hostile) -> object:
    loop = ProgramLoop(transport, WORK, (0, 1))
    loop.send(["true"])
    return loop.wait(0.1)


@pytest.mark.parametrize("use", [staging, benchmark_model, litert, loop])
@settings(max_examples=150)
@given(data=st.data())
def test_whatever_it_answers(use: Callable[[Hostile], object], data: st.DataObject) -> None:
    transport = Hostile(data.draw)
    with only_our_errors():
        for outcome in use(transport) if use in (benchmark_model, litert) else [use(transport)]:
            if isinstance(outcome, Failure):
                assert not ESCAPES.search(outcome.message.replace(outcome.model, ""))
    for path in transport.pushed:
        assert path.startswith(f"{WORK}/")
        assert ".." not in path
    for command, stdin in transport.commands:
        if "rm -f" in command[2] if len(command) > 2 else False:
            for name in stdin.decode().splitlines():
                assert re.fullmatch(r"\./(?!\.\.?(/|$))[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?", name), name
        if command[0] == "rm":
            assert all(path.startswith(f"{WORK}/worker/mnas.") for path in command[3:])
    json.dumps([list(command) for command, _ in transport.commands])
