"""The services that run a command: `shell`, `shell,v2` and `exec`. Knows no messages and no faults."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import struct
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass

from devices.emulator.connection import Closed, Stream

SHELL = "/system/bin/sh"
ENVIRONMENT = {
    "ANDROID_DATA": "/data",
    "ANDROID_ROOT": "/system",
    "EXTERNAL_STORAGE": "/sdcard",
    "HOME": "/",
    "HOSTNAME": "emu64",
    "LOGNAME": "shell",
    "SHELL": "/bin/sh",
    "TERM": "dumb",
    "TMPDIR": "/data/local/tmp",
    "USER": "shell",
}
#: kinds of frames of shell v2
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = 0, 1, 2, 3, 4
_FRAME = struct.Struct("<BI")
_CHUNK_BYTES = 32768
_LONGEST_FRAME_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """What a host asked for: the command, whether with frames, whether with a terminal."""

    command: str
    framed: bool
    terminal: bool

    @classmethod
    def parse(cls, service: str) -> Request:
        """From the name of a service, for example `shell,v2,raw:ls`."""
        name, _, command = service.partition(":")
        options = name.split(",")[1:]
        terminal = "pty" in options or (not command and "raw" not in options and not name.startswith("exec"))
        return cls(command, "v2" in options, terminal)


def serve(stream: Stream, request: Request, path: str, received: Callable[[bytes], bytes]) -> None:
    """Run the command until it ends or the host goes away; the latter hangs it up, as adbd does.

    Args:
        stream: to the host.
        request: what to run.
        path: where programs are looked for.
        received: may change what comes from the host (a transfer that goes wrong).
    """
    arguments = [SHELL, "-c", request.command] if request.command else [SHELL]
    environment = {**ENVIRONMENT, "PATH": path}
    if request.terminal:
        process, pipes = _start_in_terminal(arguments, environment)
    else:
        process, pipes = _start(arguments, environment, request.framed)
    readers = [
        threading.Thread(target=_send_output, args=(stream, source, kind if request.framed else None))
        for kind, source in pipes.outputs
    ]
    for each in readers:
        each.start()
    threading.Thread(
        target=_take_input, args=(stream, process, pipes, request.framed, received), daemon=True
    ).start()
    for each in readers:
        each.join()
    code = process.wait()
    if request.framed:
        stream.write(_frame(EXIT, bytes([code if code >= 0 else 128 - code])))


@dataclass(frozen=True, slots=True)
class _Pipes:
    """The phone's ends of a process's streams."""

    stdin: int
    outputs: tuple[tuple[int, int], ...]


def _start(
    arguments: list[str], environment: dict[str, str], apart: bool
) -> tuple[subprocess.Popen[bytes], _Pipes]:
    stdin, our_stdin = os.pipe()
    our_stdout, stdout = os.pipe()
    our_stderr, stderr = os.pipe() if apart else (-1, stdout)
    process = subprocess.Popen(
        arguments, stdin=stdin, stdout=stdout, stderr=stderr, env=environment, cwd="/", start_new_session=True
    )
    for each in {stdin, stdout, stderr}:
        os.close(each)
    outputs = ((STDOUT, our_stdout), (STDERR, our_stderr)) if apart else ((STDOUT, our_stdout),)
    return process, _Pipes(our_stdin, outputs)


def _start_in_terminal(
    arguments: list[str], environment: dict[str, str]
) -> tuple[subprocess.Popen[bytes], _Pipes]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        arguments,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        cwd="/",
        start_new_session=True,
    )
    os.close(theirs)
    return process, _Pipes(os.dup(ours), ((STDOUT, ours),))


def _frame(kind: int, data: bytes) -> bytes:
    return _FRAME.pack(kind, len(data)) + data


def _send_output(stream: Stream, source: int, kind: int | None) -> None:
    try:
        while data := os.read(source, _CHUNK_BYTES):
            stream.write(data if kind is None else _frame(kind, data))
    except (Closed, OSError):  # a terminal without a process ends in an error, not in an end of file
        pass
    finally:
        os.close(source)


def _take_input(
    stream: Stream,
    process: subprocess.Popen[bytes],
    pipes: _Pipes,
    framed: bool,
    received: Callable[[bytes], bytes],
) -> None:
    wanted = True
    try:
        while True:
            if framed:
                kind, length = _FRAME.unpack(stream.read(_FRAME.size))
                if length > _LONGEST_FRAME_BYTES:
                    break
                data = stream.read(length)
            elif not (data := stream.read_some(_CHUNK_BYTES)):
                break
            else:
                kind = STDIN
            over = kind == CLOSE_STDIN or (
                kind == STDIN and wanted and not write_all(pipes.stdin, received(data))
            )
            if wanted and over:
                wanted = False
                os.close(pipes.stdin)
    except (Closed, OSError):
        pass
    if wanted:
        os.close(pipes.stdin)
    if framed and process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGHUP)


def write_all(target: int, data: bytes) -> bool:
    """Write all of it; whether somebody took it."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(target, rest) :]
    except OSError:
        return False
    return True
