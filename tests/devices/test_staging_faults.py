"""Files staged on the emulated phone while its link and its storage fail."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from devices.adb import AdbTransport, direct_tcp
from devices.emulator import EmulatedPhone, Fault
from devices.errors import NoSpace, TransientError
from devices.measurement import ModelFile
from devices.staging import Staging
from tests.devices.phones import emulated_phone, make_key

WORK = "/data/local/tmp/mnas"


@pytest.fixture(scope="module")
def phone() -> Iterator[EmulatedPhone]:
    with emulated_phone() as phone:
        yield phone


@pytest.fixture(scope="module")
def transport(phone: EmulatedPhone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbTransport]:
    key = tmp_path_factory.mktemp("key") / "adbkey"
    make_key(key)
    transport = direct_tcp(phone.host, phone.port, keys=[key])
    yield transport
    transport.close()


def models(seed: int) -> list[ModelFile]:
    rng = random.Random(seed)
    return [ModelFile(f"m{i}", rng.randbytes(rng.randrange(1, 60_000))) for i in range(12)]


def held(phone: EmulatedPhone, wanted: list[ModelFile]) -> None:
    """Every model is there as it is."""
    folder = phone.folder / "local/tmp/mnas/models"
    for model in wanted:
        assert (folder / f"{model.sha256}.tflite").read_bytes() == model.content


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_transfer_is_sent_again(phone: EmulatedPhone, transport: AdbTransport, seed: int) -> None:
    wanted = models(seed)
    before = len(phone.fired())
    phone.inject(Fault("corrupt"))
    Staging(transport, WORK).put(wanted)
    assert phone.fired()[before:] == ["corrupt"]
    held(phone, wanted)
    folder = phone.folder / "local/tmp/mnas/models"
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_full_storage_is_told_and_then_forgotten(phone: EmulatedPhone, transport: AdbTransport) -> None:
    wanted = models(10)
    staging = Staging(transport, WORK)
    phone.inject(Fault("disk_full", seconds=1.5))
    with pytest.raises(NoSpace):
        staging.put(wanted)
    for _ in range(100):
        try:
            staging.put(wanted)
            break
        except NoSpace:
            continue
    held(phone, wanted)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_cable_that_is_pulled_meanwhile(
    phone: EmulatedPhone, transport: AdbTransport, share: float
) -> None:
    wanted = models(round(100 * share))
    size = sum(len(model.content) for model in wanted)
    staging = Staging(transport, WORK)
    phone.inject(Fault("unplug", after_bytes=int(share * size), seconds=0.2))
    for _ in range(200):
        try:
            staging.put(wanted)
            break
        except TransientError:
            continue
    held(phone, wanted)
