"""What the emulated phone's `benchmark_model` says of operators, attributed to the operators of networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from devices.emulator import EmulatedPhone
from devices.errors import ProfilerUnavailable
from devices.measurement import ModelFile, Pass, Settings
from devices.plan import Plan
from latency_tables import tflite
from latency_tables.ops import Graph
from latency_tables.profiles.attribute import Attributed, attributed
from tests.devices.emulator.conftest import start_phone
from tests.latency_tables.phone_device import device_of
from tests.latency_tables.profiles.test_attribute import network
from tests.latency_tables.profiles.test_merged_rows import chain

__all__ = ["start_phone"]
PLAN = Plan(warmup_runs=1, min_runs=5, per_operator=True, deadline_s=20.0)
Start = Callable[..., EmulatedPhone]


def told(phone: EmulatedPhone, key: Path, graph: Graph, delegate: str = "xnnpack") -> tuple[Pass, Attributed]:
    with device_of(phone, key, Settings(delegate=delegate)) as device:
        (burst,) = device.stream([ModelFile("network", tflite.write(graph))], PLAN)
    assert isinstance(burst, Pass), burst
    assert burst.operators is not None
    return burst, attributed(graph, burst.operators)


def profiled_ms(found: Attributed) -> float:
    return sum(one.mean_ms for one in found.found)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("style", ["operators", "xnnpack"])
def test_every_operator_has_its_time(start_phone: Start, tmp_path: Path, style: str, dtype: str) -> None:
    phone = start_phone(latency="operators", profile=style)
    burst, found = told(phone, tmp_path / "adbkey", network(dtype))
    assert [one.positions for one in found.found] == [(index,) for index in range(13)]
    assert found.reasons == ()
    assert burst.summary is not None
    assert profiled_ms(found) == pytest.approx(burst.summary.mean_ms - 0.02, rel=0.05)
    by_hand = {one.positions[0]: one.mean_ms for one in found.found}
    assert by_hand[9] > by_hand[1] > by_hand[6]  # 3x3, 1x1, a gate


def test_operators_of_several_partitions_share_a_row(start_phone: Start, tmp_path: Path) -> None:
    phone = start_phone(latency="operators", profile="xnnpack")
    burst, found = told(phone, tmp_path / "adbkey", chain(3, 3, 5))
    assert burst.operators is not None
    assert [row.times_called for row in burst.operators] == [3, 1, 1, 1]
    assert [one.positions for one in found.found] == [(0, 2, 4), (1,), (3,), (5,)]
    assert len(found.reasons) == 1


def test_blocks_that_a_delegate_joined_are_units(start_phone: Start, tmp_path: Path) -> None:
    phone = start_phone(latency="operators", profile="blocks")
    _, found = told(phone, tmp_path / "adbkey", network("float32"))
    assert [one.positions for one in found.found] == [
        (0,),
        (1,),
        (2, 3),
        (4,),
        (5,),
        (6, 7),
        (8,),
        (9, 10),
        (11,),
        (12,),
    ]
    assert found.reasons == ()


@pytest.mark.parametrize(("style", "delegate"), [("partitions", "xnnpack"), ("xnnpack", "gpu")])
def test_a_whole_network_in_one_row_tells_nothing(
    start_phone: Start, tmp_path: Path, style: str, delegate: str
) -> None:
    phone = start_phone(latency="operators", profile=style)
    _, found = told(phone, tmp_path / "adbkey", network("float32"), delegate)
    assert found.found == ()
    (reason,) = found.reasons
    assert "stands for all 13 operators together" in reason


def test_a_phone_whose_program_has_no_profiler_says_so(start_phone: Start, tmp_path: Path) -> None:
    phone = start_phone(latency="operators", profile="none")
    with pytest.raises(ProfilerUnavailable, match="knows no flag that profiles"):
        told(phone, tmp_path / "adbkey", network("float32"))
