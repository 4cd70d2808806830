"""Measure many written networks on a device without holding all of them in memory. Keeps no results."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from devices.device import Device
from devices.measurement import Failure, ModelFile, Pass
from devices.plan import Plan
from latency_tables import tflite
from latency_tables.ops import Graph, OpSpec

#: models written ahead of their measurement hold about this much
GROUP_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Job:
    """A network to measure.

    Attributes:
        name: in the results.
        seed: of its random weights.
        content: the file of a model from elsewhere; None: the network is written.
    """

    name: str
    graph: Graph
    seed: int = 0
    content: bytes | None = None


def stream(device: Device, jobs: Sequence[Job], plan: Plan, pass_index: int) -> Iterator[Pass | Failure]:
    """Measure every job once, in a random order of its own for each pass; results come as they are measured.

    Args:
        plan: how; its `passes` count for nothing.
        pass_index: the number of this pass.
    """
    order = list(jobs)
    random.Random(f"{plan.seed}/{pass_index}").shuffle(order)
    once = replace(plan, passes=1, seed=plan.seed + pass_index)
    for group in _groups(order):
        yield from device.stream(group, once)


def reference(dtype: str) -> ModelFile:
    """A small convolution to run between bursts, so that a change of the machine's speed shows."""
    shape = (1, 28, 28, 64)
    spec = OpSpec("conv_2d", dtype, (shape,), shape, kernel=(3, 3), stride=(1, 1), padding="same")
    return ModelFile("reference", tflite.write(tflite.single(spec)))


def _groups(jobs: Iterable[Job]) -> Iterator[list[ModelFile]]:
    group: list[ModelFile] = []
    size = 0
    for job in jobs:
        model = ModelFile(job.name, job.content or tflite.write(job.graph, seed=job.seed))
        if group and size + len(model.content) > GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(model)
        size += len(model.content)
    if group:
        yield group
