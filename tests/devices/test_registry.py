from __future__ import annotations

import pytest

from devices.errors import BadSettings
from devices.inventory.address import FORMS
from devices.measurement import Settings
from devices.registry import ADDRESSES, open_device


def test_an_unknown_address_is_told_which_there_are() -> None:
    with pytest.raises(BadSettings, match=r"'phone'.*local"):
        open_device("phone")


def test_every_form_of_an_address_is_one_that_messages_name() -> None:
    assert ", ".join(ADDRESSES) == FORMS


def test_this_machine_opens_and_closes_untouched() -> None:
    device = open_device("local", Settings(threads=2))
    assert device.settings == Settings(threads=2)
    device.close()
    device.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(cpus=(4096,)), "core 4096 does not exist: this device has cores 0 to"),
        (Settings(threads=2, cpus=(0,)), r"2 threads on cores \[0\]: that would measure waiting"),
    ],
)
def test_settings_that_do_not_fit_the_machine_are_refused(settings: Settings, message: str) -> None:
    device = open_device("local", settings)
    try:
        with pytest.raises(BadSettings, match=message):
            _ = device.facts
    finally:
        device.close()
