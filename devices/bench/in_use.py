"""Who has a device, asked of the device itself, and waiting until nobody has. Takes nothing there."""

from __future__ import annotations

import time
from collections.abc import Callable

from devices.bench.holder import Holder, host_holder
from devices.bench.place import SCRIPT, bases, told
from devices.errors import DeviceBusy, DeviceTrouble
from devices.text import one_line
from devices.transport import Transport

SHOW_S = 20.0
#: how often a device that somebody has is looked at again
ASK_AGAIN_S = 1.0


def holder(transport: Transport) -> Holder | None:
    """Which job of any host has a device, or None. Leaves nothing on the device.

    Raises:
        DeviceTrouble: it cannot be reached, or gives no answer that makes sense.
    """
    shown = _shown(transport)
    return None if shown is None else shown[1]


def wait_until_free(
    transport: Transport, address: str, wait_s: float = 0.0, tell: Callable[[str], None] | None = None
) -> None:
    """Return once no job measures on a device, so that what is asked of it next disturbs none.

    It takes nothing: whoever wants the device has to get its lease. That it is being cleaned up is no reason
    to wait here.

    Args:
        transport: the way to the device.
        address: the device's name in messages and for this host's lock.
        wait_s: how long to wait for another job.
        tell: told in a sentence what is waited for.

    Raises:
        DeviceBusy: a job measures there after that time still.
        DeviceTrouble: as `holder`.
    """
    deadline, told_of = time.monotonic() + wait_s, None
    while (found := host_holder(address) or _measuring(transport)) is not None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise DeviceBusy(f"{address} is in use by {found}")
        if tell is not None and found != told_of:
            told_of = found
            tell(f"{address} is in use by {found}; waiting")
        time.sleep(min(left, ASK_AGAIN_S))


def _measuring(transport: Transport) -> Holder | None:
    shown = _shown(transport)
    return None if shown is None or shown[0] != "job" or shown[1].is_gone else shown[1]


def _shown(transport: Transport) -> tuple[str, Holder] | None:
    """What has the device, `job` or `guard`, and for whom."""
    command = ["sh", "-s", "show", bases()]
    said = transport.run(command, stdin=SCRIPT, timeout_s=SHOW_S)
    lines = said.stdout.decode(errors="replace").splitlines()
    if lines and lines[0].startswith("busy "):
        kind = "guard" if lines[0].split()[2:3] == ["guard"] else "job"
        return kind, Holder.parse(lines[1] if len(lines) > 1 else "")
    if lines == ["free"]:
        return None
    raise DeviceTrouble(f"who has the device cannot be told: {one_line(told(said.stdout, said.stderr))}")
