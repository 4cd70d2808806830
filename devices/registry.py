"""Which addresses there are, and how each becomes a device. Knows nothing of what is done with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from devices.device import Device
from devices.errors import BadInventory, BadSettings
from devices.inventory.entry import READERS, Entry, check_cores
from devices.inventory.file import load
from devices.local import LocalTransport
from devices.measurement import Settings
from devices.runners.litert import LitertDevice

#: address -> what it is, for help texts and documents
ADDRESSES = {
    "local": "this machine, through a TFLite runtime for Python",
    "adb://SERIAL": "an Android phone on a cable, or one that an adb server knows",
    "adb://HOST:PORT": "an Android phone that listens on the network",
    "ssh://[USER@]HOST[:PORT]": "a board such as a Raspberry Pi or a Jetson; names of ~/.ssh/config count",
}


def settings_for(
    where: str,
    bench: Path | None = None,
    threads: int | None = None,
    cpus: tuple[int, ...] | None = None,
    delegate: str | None = None,
    *,
    delegate_options: tuple[str, ...] | None = None,
) -> Settings:
    """How models are run on a device: what is given here, else what its inventory says, else one thread.

    Raises:
        BadSettings: there is no such device, or these are no settings for it.
    """
    return load(bench).entry(where).settings(threads, cpus, delegate, delegate_options=delegate_options)


def open_device(
    where: str,
    settings: Settings | None = None,
    *,
    bench: Path | None = None,
    wait_s: float = 0.0,
    on_event: Callable[[str], None] | None = None,
) -> Device:
    """The device of a name or an address. A local one is reached at its first use, others at once.

    Args:
        where: a name in the inventory, or one of `ADDRESSES`.
        settings: threads, cores and delegate; by default the inventory's, else one thread on the big cores.
        bench: the inventory; by default the one that `devices.inventory.find` finds.
        wait_s: how long to wait for a device that another job holds, in seconds.
        on_event: told, in words, what is waited for: a key to be accepted, another job, the device to cool.

    Raises:
        BadSettings: there is no such device, or the settings are none for it.
        BadInventory: what its entry says does not fit it; the message has its line.
        DeviceTrouble: it cannot be reached, or cannot measure.
    """
    inventory = load(bench)
    entry = inventory.entry(where)
    inventory.check_files(entry)
    from_entry = settings in (None, entry.settings())
    try:
        if entry.place.scheme == "local" and from_entry:
            check_cores(entry.cpus, os.cpu_count())
        return open_entry(entry, settings, folder=inventory.folder, wait_s=wait_s, on_event=on_event)
    except BadSettings as error:
        if entry not in inventory.entries or not from_entry:
            raise
        key = str(error).partition(":")[0]
        place = inventory.place(entry, key if key in READERS else "address")
        raise BadInventory(f"{place}: {error}") from error


def open_entry(
    entry: Entry,
    settings: Settings | None = None,
    *,
    folder: Path = Path(),
    wait_s: float = 0.0,
    on_event: Callable[[str], None] | None = None,
) -> Device:
    """The device of an inventory's entry (see `open_device`).

    Args:
        folder: of the inventory, from which relative paths of libraries count.
    """
    settings = settings or entry.settings()
    if entry.place.scheme == "local":
        return LitertDevice(entry.name, LocalTransport(), settings, entry.python or sys.executable)
    from devices.remote import open_remote

    return open_remote(entry, settings, folder, wait_s=wait_s, on_event=on_event)
