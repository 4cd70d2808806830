"""Who has a device, and this host's lock on it. Asks no device."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import platform
import shlex
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from devices import lock
from devices.state import file_name, state_directory
from devices.text import plain

COMMAND_KEPT, HOST_KEPT, TEXT_KEPT = 300, 64, 2000


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a device.

    Attributes:
        owner: user and host.
        command: of the job.
        since: ISO 8601 time in UTC, by that host's clock.
        pid: number of the job's process on that host.
        host: tells that host, since its last start, from any other of the same name; empty: unknown.
    """

    owner: str
    command: str
    since: str
    pid: int
    host: str = ""

    def __str__(self) -> str:
        return f"{self.owner} (process {self.pid}: {self.command}) since {self.since}"

    @classmethod
    def here(cls) -> Holder:
        """This process."""
        try:
            user = getpass.getuser()
        except (OSError, KeyError):
            user = str(os.getuid())
        return cls(
            owner=f"{user}@{platform.node()}",
            command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:COMMAND_KEPT],
            since=datetime.now(UTC).isoformat(timespec="seconds"),
            pid=os.getpid(),
            host=_this_host(),
        )

    @classmethod
    def parse(cls, text: str) -> Holder:
        """What `to_json` made of a holder; what cannot be read is said to be unknown."""
        try:
            said = json.loads(text[:TEXT_KEPT])
            words = [plain(str(said[name]))[:COMMAND_KEPT] for name in ("owner", "command", "since")]
            host = plain(str(said.get("host", "")))[:HOST_KEPT]
            return cls(words[0], words[1], words[2], int(said["pid"]), host)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError, AttributeError):
            return cls("somebody", "unknown", "unknown", 0)

    @property
    def is_gone(self) -> bool:
        """Whether this is a job of this very host that has ended, so that nobody uses its device."""
        if not self.host or self.host != _this_host() or self.pid <= 0:
            return False
        try:
            os.kill(self.pid, 0)  # unlike /proc, it tells of other people's processes too
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):
            return False
        return False

    def to_json(self) -> str:
        """One line that `parse` reads."""
        return json.dumps(asdict(self))


def host_holder(address: str) -> Holder | None:
    """Which job of this host has a device, or None."""
    try:
        text = lock.holder(lock_file(address))
    except OSError:
        return None
    return None if text is None else Holder.parse(text)


def lock_file(address: str) -> Path:
    """This host's lock on a device."""
    return state_directory("leases") / file_name(address)


def _this_host() -> str:
    """Where a process number means this process alone: this start of this machine, in this container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        numbers = str(Path("/proc/self/ns/pid").readlink())
    except (OSError, ValueError):
        return ""
    try:
        machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        machine = ""
    if not boot:
        return ""
    return hashlib.sha256("\n".join((machine, boot, numbers, platform.node())).encode()).hexdigest()[:16]
