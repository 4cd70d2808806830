"""The way to a device that an entry names: which transport, which work folder. Knows nothing of measuring."""

from __future__ import annotations

from collections.abc import Callable

from devices.errors import DeviceTrouble
from devices.inventory.address import Address
from devices.inventory.entry import Entry
from devices.local import LocalTransport
from devices.text import one_line
from devices.transport import Transport

HOME_S = 20.0
LONGEST_PATH = 1024


def transport_to(
    address: Address, tag: str | None = None, on_event: Callable[[str], None] | None = None
) -> Transport:
    """The transport to an address. It connects at its first use.

    A phone is reached through the adb server where one has it: one on a cable by USB where none runs, one
    that listens on the network directly where none lists it as usable.

    Args:
        tag: of every process started there; a new one by default.
        on_event: told, in words, what is waited for; None: nobody is there to accept a key.
    """
    if address.scheme == "local":
        return LocalTransport()
    if address.scheme == "ssh":
        from devices.ssh import SshTransport

        assert address.host is not None
        return SshTransport(address.host, address.user, address.port, tag=tag, on_event=on_event)
    from devices import adb

    if address.serial is None:
        assert address.host is not None
        assert address.port is not None
        return adb.by_network(address.host, address.port, on_wait=on_event, tag=tag)
    return adb.by_cable(address.serial, on_wait=on_event, tag=tag)


def work_folder(transport: Transport, entry: Entry) -> str:
    """The absolute path of the folder on a device in which everything is put.

    Raises:
        DeviceTrouble: the device cannot be reached, or does not tell where its user's home is.
    """
    folder = entry.work_folder
    if not folder.startswith("~"):
        return folder
    told = transport.run(["sh", "-c", 'cd && pwd -P && printf "%s\\n" end'], timeout_s=HOME_S)
    home, _, end = told.stdout[: LONGEST_PATH + 8].decode(errors="replace").partition("\n")
    if not told.ok or end != "end\n" or not home.startswith("/") or not home.isprintable():
        said = one_line(told.stderr[-300:].decode(errors="replace"))
        raise DeviceTrouble(
            f"{entry.name} does not tell where its user's home is"
            + (f": {said}" if said else "")
            + '; name a work folder, such as work = "/var/tmp/mnas"'
        )
    return home.rstrip("/") + folder.removeprefix("~")
