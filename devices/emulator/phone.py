"""The handle of an emulated phone: starts it, reaches into it, ends it. Knows nothing of the ADB protocol."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from devices.emulator import protocol
from devices.emulator.faults import Fault
from devices.errors import BadSettings, DeviceTrouble

#: the stand-in for Google's `benchmark_model`, a file to put on an emulated phone
BENCHMARK_MODEL = Path(__file__).with_name("benchmark_model.sh")
START_S = 60.0
_STOP_S = 5.0
_PATH = "/system/bin"


class EmulatedPhone:
    """An Android phone in a process of this machine. It runs until `close`, or until this process ends.

    Everything in it happens in namespaces of its own: what commands do to its files, processes and settings
    is seen by nobody else and is gone with it. It is no sandbox.

    Args:
        keys: `.pub` files of the hosts that may connect; None lets everybody in.
        accept: whether an unknown key is accepted at once. Otherwise it waits for `accept_keys`.
        rooted: whether the phone has a `su`.
        latency: "real" times the runs of the stand-in for `benchmark_model`; "known" lets it report
            `known_latency_ms` of the model; "operators" the sum of what each operator takes (`costs`), nearly
            the same in every run.
        port: where it listens on loopback; 0 takes a free one.
        console: the age of the stand-in's output: "2.x" as LiteRT's, "2019" as TensorFlow Lite's then.
        gpu: what becomes of a run with `--use_gpu`: "works", "partial" (half of the nodes), or "none"
            (falls back to the processor, as a real one may, with an exit code of 0).
        profile: which rows the stand-in's profile of operators has: "operators", "xnnpack", "partitions" or
            "blocks" (see `profiles`); "none": it knows no flag that profiles.
        properties: further answers of `getprop`.

    Raises:
        BadSettings: a key file cannot be read, or the port is taken.
        DeviceTrouble: this machine cannot run one; the message says why.
    """

    def __init__(
        self,
        keys: Sequence[Path] | None = None,
        *,
        accept: bool = False,
        rooted: bool = False,
        latency: Literal["real", "known", "operators"] = "real",
        port: int = 0,
        console: Literal["2.x", "2019"] = "2.x",
        gpu: Literal["works", "partial", "none"] = "works",
        profile: Literal["operators", "xnnpack", "partitions", "blocks", "none"] = "operators",
        properties: Mapping[str, str] | None = None,
    ) -> None:
        # bound but not listening: nobody else gets the port while the phone is unplugged
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._lock = threading.Lock()
        self.host = "127.0.0.1"
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._reserve(port)
            self.port: int = self._reserved.getsockname()[1]
            toybox = shutil.which("toybox") and shutil.which("mksh")
            self._start(
                {
                    "keys": None if keys is None else [_read_key(path) for path in keys],
                    "accept": accept,
                    "rooted": rooted,
                    "port": self.port,
                    "path": _PATH if toybox else f"{_PATH}:/usr/bin:/bin",
                    "properties": dict(properties or {}),
                    "latency": latency,
                    "console": console,
                    "gpu": gpu,
                    "profile": profile,
                }
            )
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> str:
        """Its address for `-d` and the inventory."""
        return f"adb://{self.host}:{self.port}"

    @property
    def root(self) -> Path:
        """Its file system, seen from here."""
        assert self._process is not None
        return Path(f"/proc/{_only_child(self._process.pid)}/root")

    @property
    def folder(self) -> Path:
        """Its /data, seen from here."""
        return self.root / "data"

    @property
    def log(self) -> list[str]:
        """The services that hosts opened, `prompt:KEY` and `fault:KIND`, in order."""
        return [str(each) for each in self._ask("log")]

    def inject(self, fault: Fault) -> None:
        """Let a fault happen when it is due (see `Fault`)."""
        self._ask("inject", **asdict(fault))

    def fired(self) -> list[str]:
        """The kinds of the faults that have happened, in order."""
        return [str(each) for each in self._ask("fired")]

    def carried(self) -> tuple[int, int]:
        """Bytes and messages that its link has carried, both directions together."""
        count, messages = self._ask("carried")
        return int(count), int(messages)

    def processes(self) -> list[tuple[int, str]]:
        """Number and command line of what runs in it and is not its own."""
        return [(int(pid), str(words)) for pid, words in self._ask("processes")]

    def read(self, path: str) -> bytes:
        """A file of the phone, by its path there.

        Raises:
            OSError: there is none.
        """
        return (self.root / path.lstrip("/")).read_bytes()

    def write(self, path: str, content: bytes) -> None:
        """Write a file of the phone, by its path there; /sys too.

        Raises:
            OSError: it cannot be.
        """
        (self.root / path.lstrip("/")).write_bytes(content)

    def heat(self, celsius: float) -> None:
        """Let its processor have this temperature; battery and skin follow."""
        self._ask("heat", celsius=celsius)

    def cool(self) -> None:
        """Let it be as warm as it was at first."""
        self._ask("cool")

    def reboot(self, seconds: float = 1.0) -> None:
        """Restart it; it can be reached again after so long."""
        self._ask("reboot", seconds=seconds)

    def unplug(self, seconds: float) -> None:
        """Pull the cable for so long."""
        self._ask("unplug", seconds=seconds)

    def plug_in(self) -> None:
        """Put the cable back."""
        self._ask("plug_in")

    def freeze(self, seconds: float) -> None:
        """Let its link stand still for so long; what runs goes on. 0 ends it."""
        self._ask("freeze", seconds=seconds)

    def slow(self, factor: float) -> None:
        """Let the runs of the stand-in take so many times longer, where it times them."""
        self.write("/.emulator/slower", f"{factor}\n".encode())

    def accept_keys(self) -> int:
        """Accept the keys of the hosts that wait for it, as on its screen; returns how many did."""
        return int(self._ask("accept"))

    def close(self) -> None:
        """Switch it off; nothing of it remains. May be called twice."""
        self._reserved.close()
        if self._process is None:
            return
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._lines.close()
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
        self._process.kill()  # takes its child with it
        self._process.wait()

    def __enter__(self) -> EmulatedPhone:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reserve(self, port: int) -> None:
        try:
            self._reserved.bind((self.host, port))
        except OSError as error:
            raise BadSettings(f"an emulated phone cannot use port {port}: {error.strerror}") from error

    def _start(self, config: dict[str, Any]) -> None:
        said = []
        for options in _namespaces():
            ours, theirs = socket.socketpair()
            with theirs, contextlib.ExitStack() as on_failure:
                on_failure.callback(ours.close)
                self._process = _spawn(options, theirs.fileno())
                on_failure.pop_all()
            self._control = ours
            self._lines = ours.makefile("r", encoding="utf-8")
            ours.settimeout(START_S)
            with contextlib.suppress(OSError, ValueError):
                ours.sendall(json.dumps(config).encode())
                answer = json.loads(self._lines.readline())
                if answer.get("ready"):
                    return
                said.append(str(answer["error"]))
            self._lines.close()
            ours.close()
            self._process.kill()
            said.append(_last_line(self._process))
        self._process = None
        raise DeviceTrouble(
            "an emulated phone needs Linux, unshare (util-linux) and leave to make namespaces (root, or "
            f"unprivileged user namespaces switched on); tried and failed: {'; '.join(said)}"
        )

    def _ask(self, wanted: str, **given: object) -> Any:
        with self._lock:
            try:
                self._control.sendall(json.dumps({"do": wanted, "with": given}).encode() + b"\n")
                line = self._lines.readline()
            except (OSError, ValueError) as error:
                raise DeviceTrouble(f"the emulated phone is switched off: {error}") from error
        if not line:
            raise DeviceTrouble("the emulated phone has ended by itself; its standard error says why")
        return json.loads(line)


def _namespaces() -> list[list[str]]:
    """Options of unshare to try, in order."""
    as_user = ["--user", "--map-root-user"]
    return [[], as_user] if os.geteuid() == 0 else [as_user]


def _spawn(options: list[str], control: int) -> subprocess.Popen[bytes]:
    here = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    unshare = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    try:
        return subprocess.Popen(
            [*unshare, *options, sys.executable, "-m", "devices.emulator.inside", str(control)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(control,),
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise DeviceTrouble("an emulated phone needs unshare: install util-linux") from error


def _last_line(process: subprocess.Popen[bytes]) -> str:
    return f"unshare ended with exit code {process.wait()}"


def _only_child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _read_key(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
        protocol.key_of(text)
    except (OSError, ValueError) as error:
        raise BadSettings(f"cannot read the key {path}: {error}") from error
    return text
