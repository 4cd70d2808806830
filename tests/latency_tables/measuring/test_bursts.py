from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from devices.measurement import DeviceFacts, Failure, ModelFile, Pass, Settings
from devices.plan import Plan
from latency_tables import tflite
from latency_tables.measuring import bursts
from latency_tables.measuring.bursts import Job, reference, stream
from latency_tables.ops import Graph, OpSpec

FACTS = DeviceFacts("desk", "x86_64", "a CPU", 2, 2**30, "an OS", "3.11", "ai_edge_litert", "2.3.0")
PLAN = Plan(passes=7, seed=3)


def one_convolution(channels: int = 16) -> Graph:
    shape = (1, 8, 8, channels)
    return tflite.single(OpSpec("conv_2d", "float32", (shape,), shape, (3, 3), (1, 1), padding="same"))


JOBS = [Job(f"n{number}", one_convolution()) for number in range(12)]


class Desk:
    """A device that fails at everything, and remembers what it was given."""

    facts, settings = FACTS, Settings()

    def __init__(self) -> None:
        self.calls: list[list[ModelFile]] = []
        self.plans: list[Plan] = []

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        self.calls.append(list(models))
        self.plans.append(plan)
        for model in models:
            yield Failure(model.name, model.sha256, "WorkerCrashed", "gone")

    def close(self) -> None:
        pass


def order(seed: int, index: int) -> list[str]:
    return [result.model for result in stream(Desk(), JOBS, Plan(seed=seed), index)]


def test_every_job_is_measured_once_whatever_the_plans_passes() -> None:
    device = Desk()
    results = list(stream(device, JOBS, PLAN, 0))
    assert sorted(result.model for result in results) == sorted(job.name for job in JOBS)
    assert [plan.passes for plan in device.plans] == [1]


def test_each_pass_has_an_order_and_a_seed_of_its_own_that_can_be_repeated() -> None:
    assert order(3, 0) == order(3, 0)
    assert len({tuple(order(seed, index)) for seed in (3, 4) for index in range(3)}) == 6
    device = Desk()
    for index in range(3):
        list(stream(device, JOBS, PLAN, index))
    assert len({plan.seed for plan in device.plans}) == 3


def test_few_models_are_written_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(tflite.write(JOBS[0].graph))
    monkeypatch.setattr(bursts, "GROUP_BYTES", 5 * size)
    device = Desk()
    results = stream(device, JOBS, PLAN, 0)
    next(results)
    assert [len(call) for call in device.calls] == [5]  # the rest is not written yet
    assert len(list(results)) == 11
    assert [len(call) for call in device.calls] == [5, 5, 2]


def test_a_model_larger_than_a_group_is_measured_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bursts, "GROUP_BYTES", 1)
    device = Desk()
    assert len(list(stream(device, JOBS[:3], PLAN, 0))) == 3
    assert [len(call) for call in device.calls] == [1, 1, 1]


def test_a_jobs_seed_is_that_of_its_weights() -> None:
    device = Desk()
    list(stream(device, [Job("a", JOBS[0].graph, 1), Job("b", JOBS[0].graph, 2)], PLAN, 0))
    first, second = device.calls[0]
    assert first.content != second.content
    assert tflite.read(first.content) == tflite.read(second.content) == JOBS[0].graph


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_reference_is_one_convolution_of_the_tables_type(dtype: str) -> None:
    graph = tflite.read(reference(dtype).content)
    assert [(spec.kind, spec.dtype) for spec in graph.specs] == [("conv_2d", dtype)]
    assert reference(dtype).sha256 == reference(dtype).sha256
