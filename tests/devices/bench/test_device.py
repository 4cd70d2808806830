"""The bench over a real runner and a real lease: this machine behind a link that breaks."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from devices.bench import canary, watch, worklist
from devices.bench import device as bench
from devices.bench.canary import canary_model
from devices.bench.device import BenchDevice, Limits
from devices.bench.holder import host_holder
from devices.bench.lease import Lease, holder
from devices.bench.wanted import Wanted
from devices.errors import DeviceBusy, DeviceTrouble, LeaseLost, LinkLost, TooHot
from devices.facts import DeviceState, Policy
from devices.governor import governor_now
from devices.local import LocalTransport
from devices.measurement import ModelFile, Pass
from devices.plan import Plan
from devices.runners.litert import LitertDevice
from tests.devices.conftest import one_operator
from tests.devices.flaky import FlakyTransport

PLAN = Plan(passes=2, warmup_runs=1, min_runs=3)
TAG = "mnas.test.tag"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(watch, "WARM_S", 0.05)
    monkeypatch.setattr(bench, "PAUSE_S", 0.05)
    monkeypatch.setattr(canary, "PLAN", Plan(warmup_runs=1, min_runs=3))
    monkeypatch.setattr(worklist, "FIRST", 3)


@pytest.fixture(scope="module")
def models() -> list[ModelFile]:
    """Each with another number of outputs, so that none is another's."""
    return [
        one_operator(f"m{n}.tflite", f"conv_2d/float32/1x8x8x8/1x8x8x{n}/k1x1/s1x1/same") for n in range(1, 5)
    ]


@pytest.fixture
def work(tmp_path: Path) -> str:
    return str(tmp_path / "work")


def benched(work: str, breaks: Iterable[int] = (), **more: object) -> tuple[BenchDevice, FlakyTransport]:
    link = FlakyTransport(breaks)
    given = {"reference": canary_model(), "limits": Limits(reconnect_s=20.0), **more}
    device = BenchDevice(
        LitertDevice("adb://X", link),
        link,
        work,
        "adb://X",
        TAG,
        look=DeviceState,
        **given,  # type: ignore[arg-type]
    )
    return device, link


def visits(rows: Iterable[object]) -> list[tuple[str, int]]:
    return sorted((row.model, row.index) for row in rows if isinstance(row, Pass))


def wanted(models: list[ModelFile], plan: Plan = PLAN) -> list[tuple[str, int]]:
    return sorted((model.name, index) for model in models for index in range(plan.passes))


def test_a_job_from_beginning_to_end(work: str, models: list[ModelFile]) -> None:
    device, _ = benched(work)
    rows = []
    for row in device.stream(models, PLAN):
        rows.append(row)
        assert host_holder("adb://X") == holder(LocalTransport())
    assert visits(rows) == wanted(models)
    assert all(row.context.fence == 1 and row.samples_ms for row in rows if isinstance(row, Pass))
    assert visits(device.stream(models[:1], PLAN)) == wanted(models[:1]), "it is still this job's"
    assert device.facts.runtime
    device.close()
    device.close()
    assert host_holder("adb://X") is None
    assert holder(LocalTransport()) is None


@pytest.mark.parametrize("seed", range(2))
def test_a_link_that_breaks_anywhere_costs_no_row_and_doubles_none(
    work: str, models: list[ModelFile], seed: int
) -> None:
    device, link = benched(work)
    rows = []
    try:
        for row in device.stream(models, PLAN):
            if not rows:
                link.breaks = {link.calls + one for one in random.Random(seed).sample(range(60), 4)}
            rows.append(row)
    finally:
        device.close()
    assert min(link.breaks) < link.calls, "a link that never broke"
    assert visits(rows) == wanted(models)
    assert {row.context.fence for row in rows if isinstance(row, Pass)} == {1}
    assert holder(LocalTransport()) is None


def test_the_first_contact_is_not_tried_again(work: str, models: list[ModelFile]) -> None:
    device, link = benched(work, breaks=[0])
    with pytest.raises(LinkLost):
        next(device.stream(models, PLAN))
    assert link.calls == 1
    device.close()


def test_two_jobs_do_not_measure_at_once(work: str, models: list[ModelFile]) -> None:
    one, _ = benched(work, reference=None)
    two, _ = benched(work, reference=None)
    first = one.stream(models, PLAN)
    assert next(first)
    with pytest.raises(DeviceBusy, match="in use by"):
        next(two.stream(models, PLAN))
    with pytest.raises(DeviceBusy, match="in use by"):
        _ = two.facts
    first.close()  # type: ignore[attr-defined]
    one.close()
    assert visits(two.stream(models, PLAN)) == wanted(models)
    two.close()


def silenced(device: BenchDevice) -> None:
    """From now on this host says nothing, as if it slept."""
    device._hold._lease._stop.set()


def test_a_job_that_slept_goes_on_with_another_number(work: str, models: list[ModelFile]) -> None:
    device, _ = benched(work, expiry_s=2.0)
    rows = []
    for row in device.stream(models, PLAN):
        rows.append(row)
        if len(rows) == 1:
            silenced(device)
            time.sleep(2.3)
    device.close()
    assert visits(rows) == wanted(models)
    fences = [row.context.fence for row in rows if isinstance(row, Pass)]
    assert fences == sorted(fences, key=lambda fence: fence or 0)
    assert len(set(fences)) >= 2


def test_a_job_that_slept_files_nothing_while_another_one_measures(
    work: str, models: list[ModelFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    device, _ = benched(work, expiry_s=2.0)
    other = Lease(LocalTransport(), work, "adb://another-name", "mnas.other.tag")
    rows = []
    stream = device.stream(models, PLAN)
    rows = [next(stream)]
    silenced(device)
    other.acquire(wait_s=30.0)
    with pytest.raises(LeaseLost, match="in use by"):
        rows.extend(stream)
    device.close()
    assert visits(rows) != wanted(models)
    assert {row.context.fence for row in rows if isinstance(row, Pass)} == {1}
    assert other.verify() == other.fence
    other.release()


def test_a_hot_device_is_not_measured(work: str, models: list[ModelFile]) -> None:
    said: list[str] = []
    device, _ = benched(work, limits=Limits(40.0, cooldown_s=0.1), on_event=said.append)
    device._watch._look = lambda: DeviceState(processor_c=71.5)
    with pytest.raises(TooHot, match=r"71\.5"):
        next(device.stream(models, PLAN))
    assert "below 40" in said[0]
    device.close()


@pytest.mark.parametrize(
    ("cpus", "governors", "said"),
    [
        ((4, 5), ("powersave", "performance"), "performance"),
        ((0, 4), ("powersave", "performance"), "performance, powersave"),
        (None, ("powersave", "performance"), None),  # nobody knows on which it will be
        (None, ("schedutil", "schedutil"), "schedutil"),
        (None, (None, None), None),
        ((6,), ("powersave", "performance"), None),
    ],
)
def test_its_governor_is_told_before_anything_is_measured(
    work: str, cpus: tuple[int, ...] | None, governors: tuple[str | None, str | None], said: str | None
) -> None:
    little, big = governors
    policies = tuple(
        Policy(f"cpufreq/policy{first}", (first, first + 1), governor=name)
        for first, name in ((0, little), (4, big))
    )
    device, _ = benched(work, wanted=Wanted(stay_awake=False, cpus=cpus))
    device._watch._look = lambda: DeviceState(policies=policies)
    assert governor_now(device) == said
    device.close()


def test_a_device_that_is_gone_at_the_end_is_no_error(work: str, models: list[ModelFile]) -> None:
    said: list[str] = []
    device, link = benched(work, on_event=said.append)
    rows = list(device.stream(models, PLAN))
    link.breaks = set(range(link.calls, link.calls + 1000))
    device.close()
    assert visits(rows) == wanted(models)
    assert any("within a minute" in line for line in said)
    assert host_holder("adb://X") is None


def test_a_work_folder_that_cannot_be_is_an_error(tmp_path: Path, models: list[ModelFile]) -> None:
    (tmp_path / "file").write_text("")
    device, _ = benched(str(tmp_path / "file"))
    with pytest.raises(DeviceTrouble, match="cannot be used"):
        next(device.stream(models, PLAN))
    device.close()
