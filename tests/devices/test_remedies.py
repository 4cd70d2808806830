from __future__ import annotations

import socket

import pytest

from devices.errors import (
    DeviceNotFound,
    DeviceOffline,
    DevicesError,
    DeviceTrouble,
    HostKeyRejected,
    KeyRefused,
    LinkLost,
    Unauthorized,
)
from devices.inventory.address import Address
from devices.remedies import LOCKED, OTHERS, remedy

CABLE, NETWORK, BOARD = (
    Address.parse(text) for text in ("adb://1A2B", "adb://10.0.0.7:5555", "ssh://pi@board")
)


@pytest.mark.parametrize(
    ("place", "error", "helps"),
    [
        (CABLE, DeviceNotFound("x"), "plug it in, allow USB debugging"),
        (CABLE, DeviceOffline("x"), "wake and unlock it"),
        (CABLE, LinkLost("x"), "another cable"),
        (NETWORK, DeviceNotFound("x"), "check host and port"),
        (NETWORK, DeviceOffline("x"), "in this network"),
        (NETWORK, LinkLost("x"), "nearer to the network"),
        (BOARD, DeviceNotFound("x"), "an SSH server must run there"),
        (BOARD, DeviceOffline("x"), "switch it on"),
        (BOARD, LinkLost("x"), "its SSH server hold"),
        (BOARD, DeviceTrouble("x"), OTHERS),
        (BOARD, KeyRefused("x"), "ssh-copy-id"),
        (BOARD, HostKeyRejected("x"), "run that command"),
        *((place, kind("x"), LOCKED[kind]) for place in (CABLE, NETWORK) for kind in LOCKED),
    ],
)
def test_each_way_and_each_error_has_what_helps(place: Address, error: DevicesError, helps: str) -> None:
    assert helps in remedy(place, error)


def test_usb_is_not_mentioned_where_there_is_no_cable() -> None:
    for place in (NETWORK, BOARD):
        for kind in (DeviceNotFound, DeviceOffline, LinkLost, DeviceTrouble):
            assert "USB" not in remedy(place, kind("x"))
            assert "plug" not in remedy(place, kind("x"))


@pytest.mark.parametrize("place", [NETWORK, BOARD])
def test_a_name_that_nobody_knows_is_to_be_checked(place: Address) -> None:
    error = DeviceNotFound("there is no host 'bord'")
    error.__cause__ = socket.gaierror(-2, "Name or service not known")
    assert remedy(place, error).startswith("check the name")


def test_what_lets_nobody_in_answers() -> None:
    assert set(LOCKED) == {Unauthorized, KeyRefused, HostKeyRejected}
