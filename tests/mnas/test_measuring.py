"""Several devices side by side; what is interrupted goes on without losing or repeating a pass."""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from devices.errors import DeviceNotFound
from devices.local import LocalTransport
from devices.measurement import DeviceFacts, Failure, ModelFile, Pass, Settings
from devices.plan import Plan
from devices.registry import open_device
from latency_tables.ops import OpSpec
from latency_tables.tflite import single, write
from mnas.journal import Journal, Memory
from mnas.measuring import Lane, Progress, measure
from tests.mnas.test_journal import burst

PLAN = Plan(passes=3, min_runs=5)
MODELS = [ModelFile(f"{name}.tflite", name.encode()) for name in "abcd"]


class Scripted:
    """A device that answers at once: fails on one model, holds a pass back until it is whole."""

    settings = Settings()

    def __init__(self, fails: str = "", waits: threading.Event | None = None) -> None:
        self.fails, self.waits, self.closed = fails, waits, False
        self.visits: list[tuple[str, int]] = []

    @property
    def facts(self) -> DeviceFacts:
        raise NotImplementedError

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        for index in range(plan.passes):
            held: list[Pass | Failure] = []
            try:
                for model in models:
                    self.visits.append((model.name, index))
                    if model.name == self.fails:
                        held.append(Failure(model.name, model.sha256, "WorkerCrashed", "it crashed"))
                    else:
                        held.append(burst(model.sha256, index))
                    if self.waits and len(self.visits) == 6:
                        self.waits.wait(20)
                while held:
                    yield held[0]
                    held.pop(0)
            except KeyboardInterrupt:
                yield from held[1:] if held else ()
                raise

    def close(self) -> None:
        self.closed = True


def quiet(_: Progress) -> None:
    pass


def journal(path: Path) -> Journal:
    return Journal.open(path, "d", Settings(), PLAN)


def test_every_model_gets_its_passes_and_failures_are_values() -> None:
    device = Scripted(fails="b.tflite")
    seen: list[Progress] = []
    (result,) = measure([Lane("d", lambda: device, Memory())], MODELS, PLAN, seen.append)
    assert [one.model for one in result.measurements] == ["a.tflite", "c.tflite", "d.tflite"]
    assert [failure.code for failure in result.failures] == ["CRASH"]
    assert result.trouble is None
    assert device.closed
    assert (seen[0].done, seen[-1].done, seen[-1].total) == (0, 9, 12)


def test_an_interrupted_job_files_what_is_held_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    device = Scripted()

    def interrupt(progress: Progress) -> None:
        if progress.done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure([Lane("d", lambda: device, journal(path))], MODELS, PLAN, interrupt)
    assert device.closed
    kept = journal(path)
    assert sum(len(kept.passes(model.sha256)) for model in MODELS) == 8  # the whole second pass was held
    again = Scripted()
    (result,) = measure([Lane("d", lambda: again, journal(path))], MODELS, PLAN, quiet)
    assert len(again.visits) == 4
    assert [one.passes for one in result.measurements] == [
        tuple(burst(model.sha256, i) for i in range(3)) for model in MODELS
    ]


def test_ctrl_c_reaches_every_lane(tmp_path: Path) -> None:
    waits = threading.Event()
    devices = {name: Scripted(waits=waits) for name in ("one", "two")}
    journals = {name: journal(tmp_path / f"{name}.jsonl") for name in devices}

    lanes = [Lane(name, lambda name=name: devices[name], journals[name]) for name in devices]

    def press() -> None:
        while any(len(device.visits) < 6 for device in devices.values()):
            time.sleep(0.01)
        _thread.interrupt_main()
        time.sleep(0.3)
        waits.set()

    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt):
        measure(lanes, MODELS, PLAN, quiet)
    for name, device in devices.items():
        assert device.closed
        assert len(device.visits) == 8
        assert sum(len(journals[name].passes(model.sha256)) for model in MODELS) == 8


def test_a_device_in_trouble_ends_its_own_lane_only() -> None:
    def unplugged() -> Scripted:
        raise DeviceNotFound("adb://A is not plugged in")

    lanes = [Lane("gone", unplugged, Memory()), Lane("there", Scripted, Memory())]
    gone, there = measure(lanes, MODELS, PLAN, quiet)
    assert isinstance(gone.trouble, DeviceNotFound)
    assert len(there.measurements) == 4


def test_the_same_content_twice_is_measured_once() -> None:
    device = Scripted()
    twice = [MODELS[0], ModelFile("copy.tflite", MODELS[0].content)]
    (result,) = measure([Lane("d", lambda: device, Memory())], twice, PLAN, quiet)
    assert len(device.visits) == 3
    assert len(result.measurements) == 2


def test_on_the_real_local_device_a_job_is_completed(tmp_path: Path) -> None:
    specs = [f"conv_2d/float32/1x8x8x{n}/1x8x8x{n}/k3x3/s1x1/same" for n in (4, 8)]
    models = [ModelFile(f"{i}.tflite", write(single(OpSpec.parse(spec)))) for i, spec in enumerate(specs)]
    lane = Lane("local", lambda: open_device("local"), journal(tmp_path / "j.jsonl"))
    (result,) = measure([lane], models, PLAN, quiet)
    assert [len(one.passes) for one in result.measurements] == [3, 3]
    (again,) = measure([Lane("local", LocalTransport, journal(tmp_path / "j.jsonl"))], models, PLAN, quiet)  # type: ignore[arg-type]
    assert again.measurements == result.measurements
