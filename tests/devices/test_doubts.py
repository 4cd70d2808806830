"""Each reason to doubt a measurement appears when it should, and not otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from devices.doubts import doubts_about, other_load
from devices.measurement import Context, DeviceFacts, Measurement, Pass, Settings

FACTS = DeviceFacts("local", "x86_64", "a processor", 2, 2**33, "Linux", "3.11", "ai_edge_litert", "2.3.0")
CONTEXT = Context(FACTS, Settings(), "2026-11-25T09:00:00Z", "xnnpack", 10, 10, 0.0)
STEADY = [1.0 + 0.01 * (number % 5) for number in range(60)]


def _measured(samples_ms: Sequence[float], context: Context = CONTEXT) -> Measurement:
    one = Pass("m", "0" * 64, 0, tuple(samples_ms), 0, None, 2.0, 3.0, None, None, context)
    return Measurement("m", "0" * 64, 100, (one,))


def _kinds(measurement: Measurement) -> list[str]:
    return [doubt.kind for doubt in doubts_about(measurement)]


def test_a_steady_measurement_raises_none() -> None:
    assert _kinds(_measured(STEADY)) == []


@pytest.mark.parametrize(
    ("samples_ms", "kind"),
    [
        ([1.0, 2.0] * 30, "noisy"),
        (STEADY[:19], "few_samples"),
        ([1.0] * 52 + [1.2] * 8, None),
        ([1.0] * 48 + [1.2] * 12, "throttled"),
        ([1.2] * 12 + [1.0] * 48, None),
    ],
)
def test_samples_are_judged(samples_ms: list[float], kind: str | None) -> None:
    assert _kinds(_measured(samples_ms)) == ([kind] if kind else [])


def test_others_on_the_core_are_told() -> None:
    assert _kinds(_measured(STEADY, replace(CONTEXT, other_load=0.3))) == ["disturbed"]
    assert _kinds(_measured(STEADY, replace(CONTEXT, other_load=None))) == []


def test_the_worst_pass_counts() -> None:
    quiet = _measured(STEADY)
    loud = replace(quiet.passes[0], context=replace(CONTEXT, other_load=0.5))
    assert other_load(replace(quiet, passes=(quiet.passes[0], loud))) == 0.5
    assert other_load(_measured(STEADY, replace(CONTEXT, other_load=None))) is None


def test_operators_left_to_the_runtime_are_told() -> None:
    (doubt,) = doubts_about(_measured(STEADY, replace(CONTEXT, delegated_operators=7)))
    assert doubt.kind == "delegate_not_taken"
    assert "7 of 10" in doubt.message
    unknown = replace(CONTEXT, delegated_operators=None, total_operators=None)
    assert _kinds(_measured(STEADY, unknown)) == []
