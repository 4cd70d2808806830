"""An emulated phone as a device that measures with its `benchmark_model`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devices.adb import direct_tcp
from devices.emulator import BENCHMARK_MODEL, EmulatedPhone
from devices.facts import machine
from devices.measurement import Settings
from devices.runners.benchmark_model.device import BenchmarkModelDevice
from devices.runners.benchmark_model.program import version_file
from devices.staging import Staging
from devices.survey import survey
from tests.devices.phones import make_key

WORK = "/data/local/tmp/mnas"


@contextmanager
def device_of(phone: EmulatedPhone, key: Path, settings: Settings) -> Iterator[BenchmarkModelDevice]:
    """The device; `key` is where the host's key is, or is made."""
    if not key.exists():
        make_key(key)
    transport = direct_tcp(phone.host, phone.port, keys=[key])
    content = BENCHMARK_MODEL.read_bytes()
    path = Staging(transport, WORK).keep("bin", "benchmark_model", content, executable=True)
    transport.push(b"2.2.0\n", version_file(path))
    found = machine(survey(transport, WORK))
    sha256 = hashlib.sha256(content).hexdigest()
    device = BenchmarkModelDevice(phone.address, transport, settings, WORK, sha256, found)
    try:
        yield device
    finally:
        device.close()
