"""Runs on the phone what needs what the phone's own programs lack: Python with a TFLite runtime, or root.

A program of the phone (a few lines of shell, `programs.REQUEST`) names its process; what it stands for runs
with its arguments, environment, directory and streams, and ends with it. The runtime is loaded once: a
run starts by a fork, within milliseconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import selectors
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devices.emulator import processes

_PIDFD_GETFD = 438  # the same number on all architectures
#: descriptors of the caller: where it waits for its exit code, and copies of its three streams, which the
#: shell may have redirected for a command of its own just then
_REPLY_FD, _FIRST_STREAM_FD = 3, 4
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Caller:
    """The process on the phone that asked."""

    pid: int
    program: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    handle: int

    @classmethod
    def find(cls, pid: int) -> Caller:
        """Raises: OSError: it is gone."""
        handle = os.pidfd_open(pid)
        here = Path(f"/proc/{pid}")
        line = here.joinpath("cmdline").read_bytes()
        if not line:  # ended, and not yet waited for
            raise ProcessLookupError(f"process {pid} is gone")
        _, program, *words = map(os.fsdecode, line.split(b"\0")[:-1])
        pairs = here.joinpath("environ").read_bytes().split(b"\0")
        environment = dict(each.split("=", 1) for each in map(os.fsdecode, pairs) if "=" in each)
        return cls(pid, program, tuple(words), environment, handle)

    @property
    def folder(self) -> str:
        """Its working directory, as it names it."""
        return os.readlink(f"/proc/{self.pid}/cwd")  # noqa: PTH115 - the text, not a path of ours

    def path(self, name: str) -> Path:
        """Where a file that it names is, seen from outside its root."""
        return Path(f"/proc/{self.pid}/root") / os.path.join(self.folder, name).lstrip("/")  # noqa: PTH118 - joins texts

    def stream(self, number: int) -> int:
        """One of its three streams, as a descriptor of ours."""
        found = int(_libc.syscall(_PIDFD_GETFD, self.handle, _FIRST_STREAM_FD + number, 0))
        if found < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        os.set_inheritable(found, False)
        return found

    def answer(self, code: int) -> None:
        """Let it end with this exit code."""
        with contextlib.suppress(OSError):
            reply = os.open(f"/proc/{self.pid}/fd/{_REPLY_FD}", os.O_WRONLY | os.O_NONBLOCK)
            os.write(reply, b"%d\n" % code)
            os.close(reply)
        with contextlib.suppress(OSError):
            Path(f"/proc/1/root/.emulator/{self.pid}").unlink()
        with contextlib.suppress(OSError):
            os.close(self.handle)


def run_as_root(pid: int, enter_root_view: Callable[[], None]) -> None:
    """Run what a `su` of this process asks for: `su -c COMMAND`, `su 0 COMMAND ...` or a shell."""
    try:
        caller = Caller.find(pid)
        streams = [caller.stream(number) for number in range(3)]
        folder = caller.folder
    except OSError:
        return
    words = list(caller.arguments)
    if words and words[0] in ("0", "root", "-"):
        del words[0]
    arguments = ["/system/bin/sh", *words] if not words or words[0] == "-c" else words
    try:
        process = subprocess.Popen(
            arguments,
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            cwd=folder,
            env={**caller.environment, "USER": "root", "LOGNAME": "root"},
            start_new_session=True,
            preexec_fn=enter_root_view,  # noqa: PLW1509 - one system call, which takes no lock
        )
    except (OSError, subprocess.SubprocessError) as error:
        os.write(streams[2], f"su: {error}\n".encode())
        code = 127
    else:
        code = _wait(process, caller)
    finally:
        for each in streams:
            os.close(each)
    caller.answer(code if code >= 0 else 128 - code)


def _wait(process: subprocess.Popen[bytes], caller: Caller) -> int:
    """Its exit code; when the caller ends before, it is ended too."""
    handle = os.pidfd_open(process.pid)
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        selector.register(caller.handle, selectors.EVENT_READ)
        ended = {key.fd for key, _ in selector.select()}
    os.close(handle)
    if caller.handle in ended:
        os.killpg(process.pid, signal.SIGKILL)  # not waited for yet: the number is still its own
    return process.wait()


class ForkServer:
    """Runs something in a fork of this process for every process number that comes, one a line.

    A fork is made ahead of each request: it takes longer than what most of them ask for.

    Args:
        requests: a descriptor to read; its end ends this.
        run: what to run; gives the exit code.
    """

    def __init__(self, requests: int, run: Callable[[Caller], int]) -> None:
        self._requests = requests
        self._run = run
        self._running: dict[int, Caller] = {}
        self._selector = selectors.DefaultSelector()
        self._spare, self._order = 0, -1

    def serve(self) -> None:
        """Until there are no more requests."""
        alarm, ring = os.pipe()
        os.set_blocking(ring, False)
        signal.set_wakeup_fd(ring)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        gc.freeze()  # what is loaded stays shared between the forks
        self._selector.register(self._requests, selectors.EVENT_READ)
        self._selector.register(alarm, selectors.EVENT_READ)
        self._fork()
        pending = b""
        while True:
            for key, _ in self._selector.select():
                if key.fd == self._requests:
                    data = os.read(self._requests, 4096)
                    if not data:
                        return
                    *lines, pending = (pending + data).split(b"\n")
                    for line in lines:
                        self._start(int(line))
                elif key.fd == alarm:
                    os.read(alarm, 4096)
                    self._reap()
                else:  # the caller has gone: what runs for it goes too
                    self._selector.unregister(key.fd)
                    os.kill(key.data, signal.SIGKILL)

    def _start(self, pid: int) -> None:
        try:
            caller = Caller.find(pid)
        except OSError:
            return
        child = self._spare
        with contextlib.suppress(BrokenPipeError):  # it has just been ended, as the caller will be told
            os.write(self._order, f"{pid}\n".encode())
        os.close(self._order)
        self._running[child] = caller
        self._selector.register(caller.handle, selectors.EVENT_READ, child)
        self._fork()

    def _fork(self) -> None:
        """Make the fork that serves the next request."""
        order, self._order = os.pipe()
        self._spare = os.fork()
        if self._spare:
            os.close(order)
            return
        os.close(self._order)
        code = 70
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            processes.mark_own(True)
            asked = os.read(order, 32)
            if not asked:
                os._exit(0)
            processes.mark_own(False)
            caller = Caller.find(int(asked))
            for number in range(3):
                os.dup2(caller.stream(number), number)
            code = self._run(caller)
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            code = 141  # nobody reads any more
        except Exception:  # noqa: BLE001 - a fault of ours: said where somebody looks
            traceback.print_exc()
        finally:
            os._exit(code)

    def _reap(self) -> None:
        while True:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            if child == self._spare:  # ended from outside
                os.close(self._order)
                self._fork()
                continue
            caller = self._running.pop(child)
            with contextlib.suppress(KeyError):
                self._selector.unregister(caller.handle)
            code = os.waitstatus_to_exitcode(status)
            caller.answer(code if code >= 0 else 128 - code)
