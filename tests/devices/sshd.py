"""A real OpenSSH server on the loopback, as a board to log in to. Touches nothing of the user's own SSH."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
START_S = 20.0


@dataclass
class Sshd:
    """A server that runs. `folder` holds its keys, its log, and the `home` of those who log in."""

    folder: Path
    options: Sequence[str] = ()
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    user: str = field(default_factory=getpass.getuser)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def key(self) -> Path:
        """A private key that opens the door."""
        return self.folder / "userkey"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def config(self) -> Path:
        """A client's configuration with the key, and `board` for an alias."""
        return self.folder / "ssh_config"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def children(self) -> list[psutil.Process]:
        """The server's processes for connections, and whatever runs in them."""
        return psutil.Process(self.pid).children(recursive=True)

    def connections(self) -> list[psutil.Process]:
        """The server's processes for connections, without what runs in them."""
        found = []
        for child in self.children():
            with contextlib.suppress(psutil.Error):
                if child.name().startswith("sshd"):
                    found.append(child)
        return found

    def cut(self) -> None:
        """Kill the processes that serve connections; what was started through them runs on."""
        for child in self.connections():
            with contextlib.suppress(psutil.Error):
                child.kill()

    def start(self) -> None:
        assert self.process is None
        for _ in range(5):
            self.port = self.port or _free_port()
            _write_private(self.folder / "sshd_config", self._settings())
            _write_private(self.config, self._client())
            host_key = (self.folder / "hostkey.pub").read_text().split()[:2]
            self.known_hosts.write_text(f"[{self.host}]:{self.port} {' '.join(host_key)}\n")
            with (self.folder / "log").open("ab") as log:
                command = [*(self.command or [str(SSHD)]), "-D", "-e", "-f", str(self.folder / "sshd_config")]
                self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            if self._answers():
                return
            self.stop()
            self.port = 0
        raise RuntimeError(f"sshd did not start: {self.log}")

    def stop(self) -> None:
        """End the server and every process of its connections. May be called twice."""
        if self.process is None:
            return
        with contextlib.suppress(psutil.Error):
            for child in self.children():
                with contextlib.suppress(psutil.Error):
                    child.kill()
        self.process.kill()
        self.process.wait()
        self.process = None

    def _answers(self) -> bool:
        assert self.process is not None
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 1) as sock:
                sock.settimeout(5)
                if sock.recv(4) == b"SSH-":
                    return True
            time.sleep(0.02)
        return False

    def _settings(self) -> str:
        # the login shell reads this home's files, not those of whoever runs the tests
        variables = {"HOME": str(self.home), **self.environment}
        lines = [
            f"ListenAddress {self.host}",
            f"Port {self.port}",
            f"HostKey {self.folder}/hostkey",
            f"AuthorizedKeysFile {self.folder}/authorized_keys",
            f"PidFile {self.folder}/pid",
            "SetEnv " + " ".join(f"{name}={value}" for name, value in variables.items()),
            "UsePAM no",
            "StrictModes no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "MaxStartups 100",
            "PrintMotd no",
            "Subsystem sftp internal-sftp",
            *self.options,
        ]
        return "\n".join(lines) + "\n"

    def _client(self) -> str:
        lines = [
            f"Host board {self.host}",
            f"  HostName {self.host}",
            f"  Port {self.port}",
            f"  User {self.user}",
            f"  IdentityFile {self.key}",
            "  IdentitiesOnly yes",
            f"  UserKnownHostsFile {self.known_hosts}",
        ]
        return "\n".join(lines) + "\n"


def make_key(path: Path, passphrase: str = "", kind: str = "ed25519") -> Path:
    """A key pair at `path` and `path.pub`."""
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)]
    subprocess.run(command, check=True, timeout=60, stdin=subprocess.DEVNULL)
    return path


@contextlib.contextmanager
def running_sshd(
    folder: Path,
    options: Sequence[str] = (),
    command: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Sshd]:
    """Start a server with keys of its own in `folder`; end it and all it started.

    Args:
        folder: an empty one.
        options: further lines of its configuration.
        command: what to run instead of the host's sshd; its arguments are appended.
        environment: further variables of those who log in.
    """
    if not command and (SSHD is None or shutil.which("ssh-keygen") is None):
        pytest.skip("no OpenSSH server here (Debian: apt-get install openssh-server)")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, parents=True, exist_ok=True)
    server = Sshd(folder, options, command, environment or {})
    server.home.mkdir(mode=0o700)
    for name in ("hostkey", "userkey"):
        make_key(folder / name)
    _write_private(folder / "authorized_keys", (folder / "userkey.pub").read_text())
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _write_private(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
