"""Who has a device, and this host's lock on it. Asks no device."""

from __future__ import annotations

import getpass
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

COMMAND_KEPT, TEXT_KEPT = 300, 2000


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a device.

    Attributes:
        owner: user and host.
        command: of the job.
        since: ISO 8601 time in UTC, by that host's clock.
        pid: number of the job's process on that host.
    """

    owner: str
    command: str
    since: str
    pid: int

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
        )

    @classmethod
    def parse(cls, text: str) -> Holder:
        """What `to_json` made of a holder; what cannot be read is said to be unknown."""
        try:
            said = json.loads(text[:TEXT_KEPT])
            words = [plain(str(said[name]))[:COMMAND_KEPT] for name in ("owner", "command", "since")]
            return cls(words[0], words[1], words[2], int(said["pid"]))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return cls("somebody", "unknown", "unknown", 0)

    @property
    def is_gone(self) -> bool:
        """Whether this is a job of this host that has ended, so that its device is about to be free."""
        return self.owner == Holder.here().owner and self.pid > 0 and not Path(f"/proc/{self.pid}").exists()

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
