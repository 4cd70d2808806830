"""Tables of emulated phones whose operators take known times, against what other networks take there."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from devices.device import Device
from devices.emulator import EmulatedPhone
from devices.measurement import ModelFile, Pass, Settings
from devices.plan import Plan
from latency_tables import tflite
from latency_tables.build import BuildReport, build
from latency_tables.fitting.statistics import network_ms
from latency_tables.ops import Graph, Node, OpSpec, Shape
from latency_tables.records import Network, Origin
from latency_tables.store import LatencyTable
from latency_tables.units import is_block
from tests.devices.emulator.conftest import start_phone
from tests.latency_tables.phone_device import device_of

__all__ = ["start_phone"]
PLAN = Plan(passes=1, warmup_runs=1, min_runs=8, per_operator=True, deadline_s=20.0)
COVERS, ANCHORS, HELD_OUT = 6, 5, 4
#: how far predictions may be off: runs differ by 0.3 %, printed figures by half a microsecond
CLOSE_PERCENT = 2.0
Start = Callable[..., EmulatedPhone]


class Builder:
    """Writes a network node by node."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.nodes: list[Node] = []
        self.shape: Shape = (1, 32, 32, 3)

    def add(self, kind: str, output: Shape, *sources: int, **options: object) -> int:
        inputs = tuple(self.nodes[s].spec.output if s >= 0 else (1, 32, 32, 3) for s in sources)
        spec = OpSpec(kind, self.dtype, inputs, output, **options)  # type: ignore[arg-type]
        self.nodes.append(Node(spec, sources))
        return len(self.nodes) - 1

    def conv(self, source: int, filters: int, kernel: int = 1, stride: int = 1, *, deep: bool = False) -> int:
        taken = self.nodes[source].spec.output if source >= 0 else (1, 32, 32, 3)
        size = -(-taken[1] // stride)
        return self.add(
            "depthwise_conv_2d" if deep else "conv_2d",
            (1, size, size, filters),
            source,
            kernel=(kernel, kernel),
            stride=(stride, stride),
            padding="same",
        )


def draw(seed: int, dtype: str) -> Graph:
    """A random network of inverted residuals: kernel, squeeze and excitation, pooling, filters are chosen."""
    rng, made = random.Random(seed), Builder(dtype)
    last = made.conv(-1, 16, 3, 2)
    for filters, stride in ((16, 1), (24, 2), (24, 1), (32, 2)):
        before, given = last, made.nodes[last].spec.output[3]
        wide = 2 * given
        last = made.conv(last, wide)
        last = made.conv(last, wide, rng.choice((3, 5)), stride, deep=True)
        if rng.random() < 0.5:
            gate = made.add("mean", (1, 1, 1, wide), last)
            gate = made.conv(gate, 8)
            gate = made.conv(gate, wide)
            gate = made.add("logistic", (1, 1, 1, wide), gate)
            last = made.add("mul", made.nodes[last].spec.output, last, gate)
        if rng.random() < 0.3:
            pool = {"kernel": (3, 3), "stride": (1, 1), "padding": "same"}
            last = made.add("average_pool_2d", made.nodes[last].spec.output, last, **pool)
        last = made.conv(last, filters)
        if filters == given and stride == 1:
            last = made.add("add", made.nodes[last].spec.output, last, before)
    last = made.add("mean", (1, made.nodes[last].spec.output[3]), last)
    last = made.add("fully_connected", (1, 10), last)
    return Graph(((1, 32, 32, 3),), dtype, tuple(made.nodes), (last,))


def networks(dtype: str) -> list[Network]:
    return [Network(f"cover-{seed}", draw(seed, dtype), "cover") for seed in range(COVERS)] + [
        Network(f"anchor-{seed}", draw(100 + seed, dtype), "anchor") for seed in range(ANCHORS)
    ]


def held_out(table: LatencyTable, dtype: str) -> list[Graph]:
    """Networks that the table does not have, of operators that it has."""
    known = set(table.operators())
    drawn = (draw(1000 + seed, dtype) for seed in range(400))
    found = [graph for graph in drawn if {str(spec) for spec in graph.specs} <= known]
    assert len(found) >= HELD_OUT
    return found[:HELD_OUT]


def measured_ms(device: Device, graph: Graph) -> float:
    plan = Plan(warmup_runs=1, min_runs=20, deadline_s=20.0)
    (burst,) = device.stream([ModelFile("held-out", tflite.write(graph, seed=3))], plan)
    assert isinstance(burst, Pass), burst
    return network_ms([burst.distribution_ms])


def errors_percent(table: LatencyTable, device: Device, dtype: str) -> list[float]:
    return [
        100 * abs(table.predict(graph.specs).latency_ms / measured_ms(device, graph) - 1)
        for graph in held_out(table, dtype)
    ]


def built(table_file: Path, device: Device, dtype: str = "float32") -> tuple[LatencyTable, BuildReport]:
    table = LatencyTable.create(table_file, Origin({}, device.facts, device.settings), networks(dtype))
    return table, build(table, device, PLAN)


@pytest.mark.parametrize(
    ("style", "dtype"), [("operators", "float32"), ("xnnpack", "float32"), ("xnnpack", "int8")]
)
def test_a_phones_profile_makes_a_table(start_phone: Start, tmp_path: Path, style: str, dtype: str) -> None:
    phone = start_phone(latency="operators", profile=style)
    with device_of(phone, tmp_path / "adbkey", Settings()) as device:
        table, report = built(tmp_path / "t.db", device, dtype)
        assert (report.missing, report.failures) == ((), ())
        methods = [one.method for one in table.figures().values()]
        # int8 pooling parts networks, so that rows of XNNPACK's operators are added up
        assert set(methods) <= ({"in context", "alone"} if dtype == "int8" else {"in context"})
        assert methods.count("in context") > methods.count("alone")
        found = errors_percent(table, device, dtype)
    assert max(found) < CLOSE_PERCENT, found


def test_blocks_of_a_phone_that_joins_operators_are_units(start_phone: Start, tmp_path: Path) -> None:
    phone = start_phone(latency="operators", profile="blocks")
    with device_of(phone, tmp_path / "adbkey", Settings()) as device:
        table, report = built(tmp_path / "t.db", device)
        assert (report.missing, report.failures) == ((), ())
        blocks = [unit for unit in table.figures() if is_block(unit)]
        assert len(blocks) > 5
        found = errors_percent(table, device, "float32")
    assert max(found) < CLOSE_PERCENT, found


@pytest.mark.parametrize(("style", "delegate"), [("none", "xnnpack"), ("xnnpack", "gpu")])
def test_a_phone_that_tells_nothing_of_operators_is_measured_operator_by_operator(
    start_phone: Start, tmp_path: Path, style: str, delegate: str
) -> None:
    phone = start_phone(latency="operators", profile=style)
    with device_of(phone, tmp_path / "adbkey", Settings(delegate=delegate)) as device:
        table, report = built(tmp_path / "t.db", device)
        assert (report.missing, report.failures) == ((), ())
        assert {one.method for one in table.figures().values()} == {"alone"}
        assert report.profiler is not None
        assert ("no flag that profiles" in report.profiler) == (style == "none")
        found = errors_percent(table, device, "float32")
    assert max(found) < 3 * CLOSE_PERCENT, found
