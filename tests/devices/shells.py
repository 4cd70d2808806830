"""Transports to this machine whose commands see another device: mksh and toybox, or a small disk."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from devices.errors import DeviceTrouble
from devices.local import LocalTransport
from devices.transport import Channel, CommandResult


class Through(LocalTransport):
    """The local transport, each command behind a prefix; files go through commands too."""

    def __init__(self, prefix: Sequence[str]) -> None:
        super().__init__()
        self._prefix = list(prefix)
        self.commands: list[list[str]] = []

    def run(self, command: Sequence[str], stdin: bytes = b"", timeout_s: float = 60.0) -> CommandResult:
        self.commands.append(list(command))
        return super().run([*self._prefix, *command], stdin, timeout_s)

    def spawn(self, command: Sequence[str]) -> Channel:
        self.commands.append(list(command))
        return super().spawn([*self._prefix, *command])


def android(tools: Path, without: Sequence[str] = ()) -> Through:
    """A transport to mksh and toybox, less some of toybox' commands; skips the test where they are absent."""
    toybox, mksh = shutil.which("toybox"), shutil.which("mksh")
    if toybox is None or mksh is None:
        pytest.skip("needs toybox and mksh: apt-get install toybox mksh")
    assert toybox is not None
    assert mksh is not None
    tools.mkdir()
    for name in subprocess.run([toybox], capture_output=True, text=True, check=True).stdout.split():
        if name not in without:
            (tools / name).symlink_to(toybox)
    for name in ("test", "[", "sh"):
        (tools / name).unlink(missing_ok=True)
    (tools / "sh").symlink_to(mksh)
    return Through(["/usr/bin/env", f"PATH={tools}"])


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Through]:
    """A transport whose commands find a file system of a few MB at a folder, which nobody else sees."""
    script = 'mount -t tmpfs -o "size=$2" none "$1" && echo mounted && exec sleep 1000'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(folder), size]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert holder.stdout is not None
        if holder.stdout.readline() != b"mounted\n":
            pytest.skip("needs unshare and user namespaces")
        enter = ["nsenter", "--preserve-credentials", "--user", "--mount", "--target", str(holder.pid)]
        yield SmallDisk(enter)
    finally:
        holder.kill()
        holder.communicate()


class SmallDisk(Through):
    """Writes files with a command, for the file system is another one there."""

    def push(self, content: bytes, path: str, timeout_s: float = 60.0) -> None:
        written = self.run(
            ["sh", "-c", 'cat >"$1" || { rm -f "$1"; exit 1; }', "sh", path], content, timeout_s
        )
        if not written.ok:
            raise DeviceTrouble(f"cannot write {path}: {written.stderr.decode()}")
