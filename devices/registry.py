"""Which addresses there are, and how each becomes a device. Knows nothing of what is done with it."""

from __future__ import annotations

from devices.device import Device
from devices.errors import BadSettings
from devices.local import LocalTransport
from devices.measurement import Settings
from devices.runners.litert import LitertDevice

#: address -> what it is, for help texts and documents
ADDRESSES = {"local": "this machine, through a TFLite runtime for Python"}


def open_device(address: str, settings: Settings | None = None) -> Device:
    """The device at an address. It is reached at its first use.

    Args:
        address: one of `ADDRESSES`.
        settings: threads and cores; one thread on the last usable core by default.

    Raises:
        BadSettings: there is no such address.
    """
    if address == "local":
        return LitertDevice(address, LocalTransport(), settings)
    raise BadSettings(f"there is no device {address!r}; these can be used: {', '.join(ADDRESSES)}")
