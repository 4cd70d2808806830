"""A worker's answers are believed only as far as they can be true."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import UnreadableOutput
from devices.measurement import OperatorTime
from devices.runners.replies import Power, burst, greeting

GREETING: dict[str, Any] = {
    "runtime": "ai_edge_litert",
    "runtime_version": "2.2.0",
    "python_version": "3.11.2",
    "machine": "aarch64",
    "cores": 4,
    "cpus": [3],
    "profiler": None,
}
BURST: dict[str, Any] = {
    "samples_ms": [0.5, 1],
    "dropped": 0,
    "all_preempted": False,
    "reference_ms": None,
    "first_inference_ms": 1.5,
    "initialisation_ms": 2.0,
    "peak_memory_bytes": 1000,
    "operators": [["CONV_2D", False, 0.25]],
    "delegate": "xnnpack",
    "delegated_operators": 1,
    "total_operators": 1,
    "other_load": 0.0,
    "throttled": None,
    "governor": "schedutil",
    "frequency_khz": 1_800_000,
    "power": {"rails_mw": {"VDD_IN": 3617.0, "VDD_SOC": 1206}, "run_ms": 0.75},
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def test_what_a_worker_says() -> None:
    hello = greeting(GREETING)
    assert (hello.runtime, hello.cores, hello.cpus, hello.profiler) == ("ai_edge_litert", 4, (3,), None)
    found = burst(BURST)
    assert found.samples_ms == (0.5, 1.0)
    assert found.operators == (OperatorTime(0, "CONV_2D", False, 0.25),)
    assert (found.throttled, found.governor, found.frequency_khz) == (None, "schedutil", 1_800_000)
    assert found.power == Power({"VDD_IN": 3617.0, "VDD_SOC": 1206.0}, 0.75)
    older = {name: value for name, value in BURST.items() if name != "power"}
    assert burst(older).power is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("samples_ms", []),
        ("samples_ms", [1.0, 0.0]),
        ("samples_ms", [-1.0]),
        ("samples_ms", [float("nan")]),
        ("samples_ms", "12"),
        ("samples_ms", [True]),
        ("first_inference_ms", float("inf")),
        ("first_inference_ms", None),
        ("dropped", -1),
        ("dropped", 1.5),
        ("all_preempted", "no"),
        ("operators", [["a", False]]),
        ("operators", [["a", 0, 1.0]]),
        ("operators", {"a": 1}),
        ("delegate", 3),
        ("frequency_khz", "fast"),
        ("peak_memory_bytes", 2**63),
        ("power", 3.5),
        ("power", {"rails_mw": {"VDD_IN": 3617.0}}),
        ("power", {"rails_mw": {"VDD_IN": -1.0}, "run_ms": 1.0}),
        ("power", {"rails_mw": {"VDD_IN": 1.0}, "run_ms": 0}),
        ("power", {"rails_mw": [1.0], "run_ms": 1.0}),
        ("power", {"rails_mw": {str(i): 1.0 for i in range(101)}, "run_ms": 1.0}),
    ],
)
def test_what_it_cannot_say(name: str, value: object) -> None:
    with pytest.raises(UnreadableOutput, match=f"the worker's {name} is .*, which it cannot be"):
        burst({**BURST, name: value})
    without = {key: kept for key, kept in BURST.items() if key != "samples_ms"}
    with pytest.raises(UnreadableOutput, match="samples_ms is None"):
        burst(without)


@given(st.sampled_from(sorted(BURST)), st.sampled_from(sorted(GREETING)), ANYTHING)
def test_any_answer_is_understood_or_refused(of_burst: str, of_greeting: str, value: object) -> None:
    for read, reply, name in ((burst, BURST, of_burst), (greeting, GREETING, of_greeting)):
        with contextlib.suppress(UnreadableOutput):
            found = read({**reply, name: value})
            json.dumps(getattr(found, name), default=str, allow_nan=False)


def test_names_do_not_reach_the_terminal_raw() -> None:
    hello = greeting({**GREETING, "runtime": "\x1b[31mred\x07\nline " + "x" * 1000})
    assert hello.runtime.startswith("red; line xxx")
    assert len(hello.runtime) == 200
