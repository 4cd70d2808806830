"""What of a device's work folder measures: which program, which Python. Puts none there."""

from __future__ import annotations

import re
import sys

from devices.errors import RuntimeMissing
from devices.inventory.entry import Entry
from devices.runners.benchmark_model.program import NAME
from devices.staging import Staging
from devices.transport import Transport

LOOK_S = 30.0
_PLACE = re.compile(rf"(?:.*/)?([0-9a-f]{{64}})/{NAME}")


def program_on(transport: Transport, work: str, entry: Entry) -> str:
    """The SHA-256 of the `benchmark_model` to measure with, which is whole on the device.

    It is the one that the entry names, else the one put there last.

    Raises:
        RuntimeMissing: it is not there, or was changed; the message has the command that puts it there.
        DeviceTrouble: the device cannot be asked.
    """
    wanted = entry.benchmark_model_sha256
    if wanted is None:
        look = ["sh", "-c", f'ls -t "$1"/bin/*/{NAME} 2>/dev/null; true', "sh", work]
        lines = transport.run(look, timeout_s=LOOK_S).stdout.decode(errors="replace").splitlines()
        wanted = next((found[1] for line in lines if (found := _PLACE.fullmatch(line))), None)
    if wanted is None or not Staging(transport, work).holds("bin", NAME, wanted):
        what = NAME if wanted is None else f"{NAME} with the SHA-256 {wanted}"
        raise RuntimeMissing(f"{entry.name} has no {what}: run mnas devices setup {entry.name}")
    return wanted


def program_path(work: str, sha256: str) -> str:
    """Where a program lies on a device."""
    return f"{work}/bin/{sha256}/{NAME}"


def python_on(transport: Transport, work: str, entry: Entry) -> str:
    """The Python on a device that has NumPy and a TFLite runtime, not tried yet.

    Raises:
        RuntimeMissing: there is none; the message has the command that makes one.
        DeviceTrouble: the device cannot be asked.
    """
    if entry.python is not None:
        return entry.python
    if entry.place.scheme == "local":
        return sys.executable
    python = f"{work}/venv/bin/python"
    if not transport.run(["test", "-x", python], timeout_s=LOOK_S).ok:
        raise RuntimeMissing(f"{entry.name} has no Python environment: run mnas devices setup {entry.name}")
    return python
