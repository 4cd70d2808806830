"""The benches of the fault campaign: an emulated phone, and a real OpenSSH server behind a counting relay.

Knows how to make a bench, break it, and look at what a job left there. Starts no job and judges nothing.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import psutil

from devices.emulator import BENCHMARK_MODEL, EmulatedPhone, Fault
from devices.emulator.faults import KINDS

sys.path.append(str(Path(__file__).parents[1]))
from tests.devices.sshd import SSHD, Sshd, running_sshd

SETUP_S = 180.0
#: what conditions change on the emulated phone, and what therefore must be as it was
_SETTINGS = ("scaling_governor", "scaling_min_freq", "scaling_max_freq")


class Bench(Protocol):
    """Something to measure on, with a cable to pull."""

    name: str
    toml: str
    environment: dict[str, str]

    def carried(self) -> int:
        """Bytes that its link has carried so far."""

    def settings(self) -> dict[str, str]:
        """Everything a job may change there, by name."""

    def running(self) -> list[str]:
        """Command lines of what jobs have left running there."""

    def fired(self) -> int:
        """How many of the faults planned for it have happened."""


class PhoneBench:
    """An emulated phone whose latencies are a known function of the model."""

    name = "phone"

    def __init__(self, phone: EmulatedPhone, folder: Path) -> None:
        self._phone = phone
        self.toml = (
            f'[devices.phone]\naddress = "{phone.address}"\ngovernor = "performance"\n'
            "temperature_limit_c = 60.0\n"
        )
        self.environment = {"HOME": str(folder / "client")}

    def inject(self, kind: str, after_bytes: int, seconds: float) -> None:
        """Let a fault happen after so many further bytes."""
        self._phone.inject(Fault(kind, after_bytes=after_bytes, seconds=seconds))

    def fired(self) -> int:
        """See `Bench.fired`."""
        return len(self._phone.fired())

    def carried(self) -> int:
        """See `Bench.carried`."""
        return self._phone.carried()[0]

    def settings(self) -> dict[str, str]:
        """See `Bench.settings`."""
        policies = sorted(self._phone.root.glob("sys/devices/system/cpu/cpufreq/policy*"))
        found = {
            f"{policy.name}/{name}": (policy / name).read_text().strip()
            for policy in policies
            for name in _SETTINGS
        }
        with contextlib.suppress(OSError):
            found["stay_on"] = self._phone.read(
                "/.emulator/settings/global/stay_on_while_plugged_in"
            ).decode()
        return found

    def running(self) -> list[str]:
        """See `Bench.running`."""
        return [words for _, words in self._phone.processes()]


class BoardBench:
    """A board: a real OpenSSH server on loopback, reached through a relay that counts bytes."""

    name = "board"

    def __init__(self, server: Sshd, relay: Relay, folder: Path) -> None:
        self._server = server
        self._relay = relay
        self.toml = (
            f'[devices.board]\naddress = "ssh://{server.user}@{server.host}:{relay.port}"\n'
            f'runner = "benchmark_model"\nwork = "{folder}/work"\n'
        )
        self.environment = {"HOME": str(folder / "client")}

    def cut_after(self, count: int) -> None:
        """Kill the server's children after so many further bytes."""
        self._relay.after(count, self._server.cut)

    def fired(self) -> int:
        """See `Bench.fired`."""
        return self._relay.acted

    def carried(self) -> int:
        """See `Bench.carried`."""
        return self._relay.carried

    def settings(self) -> dict[str, str]:
        """A board that is this machine: nothing is changed on it."""
        return {}

    def running(self) -> list[str]:
        """See `Bench.running`."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if "MNAS_JOB" in process.environ() and str(self._server.folder) in str(process.environ()):
                    found.append(" ".join(process.cmdline()))
        return found


class Relay:
    """Passes bytes on between a host and a server, counts them, and acts at a given one."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.carried = 0
        self.acted = 0
        self._due: tuple[int, Callable[[], None]] | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def after(self, count: int, act: Callable[[], None]) -> None:
        """Act once, when so many further bytes have been carried."""
        with self._lock:
            self._due = (self.carried + count, act)

    def close(self) -> None:
        """Accept nothing more."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, contextlib.suppress(OSError):
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    self._count(len(data))
                    (server if source is client else client).sendall(data)

    def _count(self, number: int) -> None:
        with self._lock:
            self.carried += number
            act = None
            if self._due is not None and self.carried >= self._due[0]:
                _, act = self._due
                self._due = None
                self.acted += 1
        if act is not None:
            act()


@contextmanager
def phone_bench(folder: Path) -> Iterator[PhoneBench]:
    """An emulated phone with its stand-in for `benchmark_model` in place."""
    (folder / "client").mkdir()
    with EmulatedPhone(keys=(), accept=True, rooted=True, latency="known") as phone:
        bench = PhoneBench(phone, folder)
        _set_up(bench, folder, "--benchmark-model", str(BENCHMARK_MODEL))
        yield bench


@contextmanager
def board_bench(folder: Path) -> Iterator[BoardBench]:
    """A board with a program of known latency in place."""
    with ExitStack() as stack:
        sshd = folder / "sshd"
        sshd.mkdir()
        server = stack.enter_context(running_sshd(sshd, command=_alone()))
        relay = Relay(server.host, server.port)
        stack.callback(relay.close)
        bench = BoardBench(server, relay, folder)
        _as_client(server, relay.port, folder / "client" / ".ssh")
        program = folder / "benchmark_model"
        runner = Path(__file__).with_name("known_runner.py")
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {runner} "$@"\n')
        _set_up(bench, folder, "--benchmark-model", str(program))
        yield bench


def injectable() -> tuple[str, ...]:
    """The kinds of faults that the emulated phone can have."""
    return tuple(KINDS)


def _alone() -> list[str]:
    """A command for a server whose board keeps its lease apart from other boards on this machine."""
    if os.geteuid() != 0:
        return []
    script = f'mount -t tmpfs none /var/tmp && exec {SSHD} "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh"]


def _as_client(server: Sshd, port: int, ssh: Path) -> None:
    ssh.mkdir(mode=0o700, parents=True)
    key = (server.folder / "hostkey.pub").read_text().split()[:2]
    (ssh / "known_hosts").write_text(f"[127.0.0.1]:{port} {' '.join(key)}\n")
    (ssh / "config").write_text(f"Host *\n  IdentityFile {server.key}\n  IdentitiesOnly yes\n")


def _set_up(bench: Bench, folder: Path, *options: str) -> None:
    file = folder / "bench.toml"
    file.write_text(bench.toml)
    command = [
        sys.executable,
        "-m",
        "mnas",
        "devices",
        "setup",
        bench.name,
        "--bench",
        str(file),
        *options,
    ]
    environment = {**os.environ, **bench.environment, "MNAS_STATE_DIR": str(folder / "state")}
    with (folder / "set-up").open("wb") as log:
        subprocess.run(command, env=environment, check=True, timeout=SETUP_S, stdout=log, stderr=log)
