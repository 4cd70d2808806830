from __future__ import annotations

from pathlib import Path

import pytest

from devices.errors import BadInventory, BadSettings
from devices.inventory.address import FORMS
from devices.measurement import Settings
from devices.registry import ADDRESSES, open_device, settings_for
from tests.devices.phones import emulated_phone


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


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return tmp_path / "bench.toml"


def test_cores_that_this_machine_lacks_are_told_with_their_line(bench: Path) -> None:
    bench.write_text('[devices.here]\naddress = "local"\n\ncpus = [1000]\n')
    for settings in (None, settings_for("here", bench)):
        with pytest.raises(BadInventory) as caught:
            open_device("here", settings, bench=bench)
        assert str(caught.value).startswith(
            f"{bench}, line 4, device here: cpus: core 1000 does not exist: this device has cores 0 to "
        )


def test_cores_that_a_phone_lacks_are_told_with_their_line(bench: Path) -> None:
    with emulated_phone() as phone:
        bench.write_text(f'[devices.a]\naddress = "{phone.address}"\ncpus = "900"\n')
        with pytest.raises(BadInventory, match=r"bench.toml, line 3, device a: cpus: core 900 does not"):
            open_device("a", bench=bench)
        with pytest.raises(BadSettings, match=r"^cpus: core 901 does not exist") as caught:
            open_device("a", Settings(cpus=(901,)), bench=bench)
    assert not isinstance(caught.value, BadInventory)  # a command asked for it


def test_a_library_that_is_not_there_is_told_before_the_device_is_reached(bench: Path) -> None:
    bench.write_text('[devices.a]\naddress = "adb://127.0.0.1:1"\nlibraries = ["gone.so"]\n')
    with pytest.raises(BadInventory, match=r"bench.toml, line 3, device a: libraries: there is no file gone"):
        open_device("a", bench=bench)
