"""What helps where a device cannot be reached, by what went wrong and on which way. Asks nothing."""

from __future__ import annotations

import socket
from typing import Literal

from devices.errors import (
    DeviceNotFound,
    DeviceOffline,
    DevicesError,
    HostKeyRejected,
    KeyRefused,
    TransientError,
    Unauthorized,
)
from devices.inventory.address import Address

Way = Literal["cable", "network", "ssh"]

#: the device answered, but lets this host not in
LOCKED: dict[type[DevicesError], str] = {
    Unauthorized: "unlock the phone and accept the key on its screen, then examine it again",
    KeyRefused: "examine it without --quiet, and accept this host's key on its screen",
    HostKeyRejected: "run that command if this is the board you expect",
}
_COPY_KEY = "put a key of this host there, with ssh-copy-id, then examine it again"
_NAME = "check the name in the address: this host knows no machine of that name, or has no network"
_NOT_FOUND: dict[Way, str] = {
    "cable": "plug it in, allow USB debugging in its developer options; adb devices must list it",
    "network": (
        "check host and port, and that the phone is on and in this network; it listens after "
        "adb tcpip 5555 over a cable, until it is started anew"
    ),
    "ssh": "check host and port, switch the board on; an SSH server must run there",
}
_OFFLINE: dict[Way, str] = {
    "cable": "wake and unlock it, plug it out and in again; adb devices must list it as device",
    "network": "wake it up and see that it is in this network; else run adb tcpip 5555 over a cable",
    "ssh": "switch it on and connect it to the network; ssh to it must work without a password",
}
_BROKEN: dict[Way, str] = {
    "cable": "try another cable or port, then examine it again",
    "network": "bring it nearer to the network, or use a cable, then examine it again",
    "ssh": "see whether its network and its SSH server hold, then examine it again",
}
OTHERS = "do what it says, then examine the device again"


def remedy(place: Address, error: DevicesError) -> str:
    """What to do about an error in reaching a device."""
    way: Way = "ssh" if place.scheme == "ssh" else "cable" if place.serial else "network"
    if way == "ssh" and isinstance(error, KeyRefused):
        return _COPY_KEY
    for kind, accepting in LOCKED.items():
        if isinstance(error, kind):
            return accepting
    if isinstance(error.__cause__, socket.gaierror):
        return _NAME
    if isinstance(error, DeviceNotFound):
        return _NOT_FOUND[way]
    if isinstance(error, DeviceOffline):
        return _OFFLINE[way]
    return _BROKEN[way] if isinstance(error, TransientError) else OTHERS
