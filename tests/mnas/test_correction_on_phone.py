"""The front of a search measured on an emulated phone whose cable comes out."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from devices.bench import worklist
from devices.emulator import BENCHMARK_MODEL, EmulatedPhone, Fault
from devices.inventory.entry import Entry
from devices.registry import open_device
from devices.setup.setting_up import set_up
from mnas.architecture import Architecture
from mnas.correction import Correction, Measurable
from mnas.gaps import read_gaps
from mnas.latency import Latency
from mnas.visiting import PLAN, Place
from tests.devices.phones import emulated_phone
from tests.mnas.test_correction import Standing

QUICK = replace(PLAN, passes=1, warmup_runs=1, min_runs=5, min_time_s=0.0)


class Millisecond:
    """Predicts a millisecond, whatever it is."""

    def predict(self, _: Architecture) -> Latency:
        return Latency(1.0, 0.9, 1.1)


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedPhone]:
    """A phone that was set up, with no adb server about; it hands results over twice a second."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free.getsockname()[1]))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("MNAS_BENCH", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(worklist, "BATCH_S", 0.5)
    with emulated_phone(rooted=True, latency="operators") as phone:
        set_up(Entry("pixel", phone.address), program=BENCHMARK_MODEL)
        yield phone


def test_a_pulled_cable_costs_a_look_at_the_front_and_nothing_else(
    phone: EmulatedPhone, tmp_path: Path
) -> None:
    said: list[str] = []
    place = Place("pixel", partial(open_device, phone.address))
    file = tmp_path / "gaps.jsonl"
    found = Correction(
        {"latency_ms": Measurable(Millisecond(), place)}, file, measure_every=1, plan=QUICK, tell=said.append
    )
    phone.unplug(3600.0)
    found.after(Standing(1))
    assert len(said) == 1
    assert "pixel cannot measure now, so the search goes on by predictions" in said[0]
    assert found.gaps == []
    phone.plug_in()
    # of about 1600 messages a look takes, so that the cable comes out while it measures
    phone.inject(Fault("unplug", after_messages=1200, seconds=0.3))
    found.after(Standing(2, members=2))
    assert phone.fired() == ["unplug"]
    assert "pixel measures again" in said[1]
    kept = read_gaps(file)
    assert sorted(one.trial for one in kept if one.trial is not None) == [0, 1]
    assert kept == found.gaps
    assert all(one.measured_ms > 0 and one.passes == 1 for one in kept)
