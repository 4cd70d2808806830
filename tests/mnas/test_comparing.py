"""Latencies are compared when nothing but the thing in question differs, and refused by name otherwise."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.comparing import FIELDS, compare, obstacles, pairs
from mnas.errors import BadInput


def document(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "model": "m.tflite",
        "sha256": "0" * 64,
        "median_ms": 2.0,
        "q25_ms": 1.9,
        "q75_ms": 2.1,
        "samples": 3,
        "pass_medians_ms": [1.99, 2.0, 2.01],
        "warnings": [],
        "device": {
            "address": "adb://A",
            "cpu_model": "cpu",
            "os_build": "b",
            "runtime": "r",
            "runtime_version": "1",
        },
        "delegate": "xnnpack",
        "threads": 1,
        "cpus": [7],
        "governor": "performance",
        "conditions": ["governor performance"],
        "temperature_before_c": 30.0,
    }
    device = {
        name.removeprefix("device_"): value for name, value in changes.items() if name.startswith("device_")
    }
    rest = {name: value for name, value in changes.items() if not name.startswith("device_")}
    return found | rest | {"device": found["device"] | device}


def test_two_models_under_the_same_conditions() -> None:
    faster = document(model="n.tflite", sha256="1" * 64, median_ms=1.0, pass_medians_ms=[0.99, 1.0, 1.01])
    found = compare(document(), faster)
    assert found.ratio == pytest.approx(0.5)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 0.5 <= found.high < 1
    assert found.differ


@given(
    st.lists(st.floats(0.9, 1.1), min_size=2, max_size=9),
    st.lists(st.floats(0.9, 1.1), min_size=2, max_size=9),
    st.floats(0.1, 100),
)
def test_the_interval_holds_the_ratio_and_turns_round(a: list[float], b: list[float], factor: float) -> None:
    slower = [factor * value for value in b]
    found = compare(document(pass_medians_ms=a), document(pass_medians_ms=slower))
    back = compare(document(pass_medians_ms=slower), document(pass_medians_ms=a))
    assert found.low is not None
    assert found.high is not None
    ratio = np.exp(np.mean(np.log(slower)) - np.mean(np.log(a)))
    assert found.low < ratio < found.high
    assert (back.low, back.high) == pytest.approx((1 / found.high, 1 / found.low))


def test_what_sessions_differ_by_is_no_difference() -> None:
    assert compare(document(), document(median_ms=2.07, pass_medians_ms=[2.06, 2.07, 2.08])).differ is False
    assert compare(document(), document(median_ms=2.2, pass_medians_ms=[2.19, 2.2, 2.21])).differ is True
    scattered = document(median_ms=2.4, pass_medians_ms=[1.6, 2.4, 3.4])
    assert compare(document(), scattered).differ is False


def test_one_pass_gives_no_interval() -> None:
    found = compare(document(), document(pass_medians_ms=[3.0], median_ms=3.0))
    assert (found.ratio, found.low, found.differ) == (1.5, None, None)


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"device_address": "adb://B"}, "device", "the device differs (adb://A and adb://B)"),
        ({"device_runtime_version": "2"}, "runtime-version", "the runtime-version differs (1 and 2)"),
        ({"device_runtime_sha256": "ff"}, "program", "the program differs (unknown and ff)"),
        ({"libraries": ["l sha256:1"]}, "libraries", "the libraries differs (unknown and l sha256:1)"),
        ({"device_operating_system": "Debian 12"}, "system", "the system differs (unknown and Debian 12)"),
        ({"device_identity": "ff"}, "unit", "the unit differs (unknown and ff)"),
        ({"delegate": "gpu"}, "delegate", "the delegate differs (xnnpack and gpu)"),
        ({"cpus": [6, 7]}, "cores", "the cores differs (7 and 6,7)"),
        ({"governor": "schedutil"}, "governor", "the governor differs (performance and schedutil)"),
        ({"temperature_before_c": 45.0}, "temperature", "one began at 30 °C and the other at 45 °C"),
    ],
)
def test_what_differs_is_refused_by_name_unless_it_is_the_question(
    changes: dict[str, Any], field: str, says: str
) -> None:
    other = document(**changes)
    with pytest.raises(BadInput) as refused:
        compare(document(), other)
    assert says in str(refused.value)
    assert "--across" in str(refused.value)
    compare(document(), other, across=[field])


def test_every_reason_is_given_and_doubtful_measurements_are_refused() -> None:
    bad = document(threads=4, delegate="gpu", warnings=[{"code": "throttled", "message": "hot"}])
    found = obstacles(document(), bad)
    assert len(found) == 3
    assert "m.tflite on adb://A carries the warning throttled" in found
    assert obstacles(document(), document(warnings=[{"code": "few_samples", "message": ""}])) == []


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(BadInput, match=r"--across colour: .*device, unit, processor"):
        compare(document(), document(), across=["colour"])


@given(st.lists(st.sampled_from("abcdef"), unique=True, min_size=1), st.randoms())
def test_pairs_join_the_same_model_on_the_same_device(names: list[str], random: Any) -> None:
    a = [document(model=name, sha256=name) for name in names]
    b = copy.deepcopy(a)
    random.shuffle(b)
    assert [(one["sha256"], other["sha256"]) for one, other in pairs(a, b)] == [
        (name, name) for name in names
    ]


def test_what_has_no_counterpart_is_named() -> None:
    a = [document(model=name, sha256=name) for name in "abc"]
    with pytest.raises(BadInput, match="without a counterpart: c on adb://A"):
        pairs(a, a[:2])
    with pytest.raises(BadInput, match="twice"):
        pairs([*a, a[0]], a)
    assert set(FIELDS) >= {"device", "delegate", "governor"}
