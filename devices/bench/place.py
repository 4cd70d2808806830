"""Where a device keeps its lease and what is to be put back there. Knows nothing of what is written in them.

That place does not depend on the work folder: two jobs with different ones meet there, and so do two logins
on one board. `lease.sh`, which runs on the device, finds it and says how it is kept from other logins.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from devices.errors import DeviceTrouble, NoSpace
from devices.text import one_line
from devices.transport import Transport

#: folders in which every login of a device may write: the first that there is has the lease. The first is a
#: phone's; the second outlives a restart.
BASES = ("/data/local/tmp", "/var/tmp", "/tmp")
SCRIPT = Path(__file__).with_name("lease.sh").read_bytes()
SCRIPT_NAME = f"lease-{hashlib.sha256(SCRIPT).hexdigest()[:12]}.sh"
PLACE_S = 20.0
SAID_KEPT = 300


def bases() -> str:
    """The folders that are looked at, as `lease.sh` takes them."""
    return ":".join(BASES)


def own_folder(transport: Transport, address: str, *, make: bool) -> tuple[str, bytes]:
    """This login's folder for leases on a device, and the script in it, empty where there is none.

    Args:
        transport: the way to the device.
        address: the device's name in messages.
        make: whether to make the folder, and to see that nobody else may write in it.

    Raises:
        NoSpace: there is no space for it.
        DeviceTrouble: the device cannot be reached, or lets no folder be made.
    """
    command = ["sh", "-s", "make" if make else "where", bases(), SCRIPT_NAME]
    said = transport.run(command, stdin=SCRIPT, timeout_s=PLACE_S)
    line, _, script = said.stdout.partition(b"\n")
    folder = line.decode(errors="replace")
    known = "|".join(map(re.escape, BASES))
    if not said.ok or not re.fullmatch(rf"(?:{known})/\.mnas-lease-[0-9]{{1,10}}", folder):
        why = one_line(told(said.stdout, said.stderr)) or "no reason was given"
        kind = NoSpace if "No space left" in why else DeviceTrouble
        raise kind(f"{address}: its lease cannot be kept: {why}")
    return folder, script


def told(stdout: bytes, stderr: bytes) -> str:
    """The end of what a command said."""
    return (stderr or stdout)[-SAID_KEPT:].decode(errors="replace")
