from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from devices.measurement import Context, DeviceFacts, ModelFile, OperatorTime, Pass, Settings, Summary, gather
from devices.warnings import SLOWING_SAMPLES, Warning, slows, warnings

FACTS = DeviceFacts("local", "x86_64", "cpu", 2, None, "os", "3.11", "ai_edge_litert", "2.3.0")
CONTEXT = Context(FACTS, Settings(), "2026-01-01T00:00:00+00:00", "xnnpack", 65, 65, 0.0, False)
STEADY = tuple(1.0 + 0.001 * i for i in range(30))


def burst(
    samples: tuple[float, ...] = STEADY, context: Context = CONTEXT, all_preempted: bool = False
) -> Pass:
    return Pass("m", "0" * 64, 0, samples, 2, None, 1.0, 1.0, None, None, context, all_preempted)


def row(ms: float) -> OperatorTime:
    return OperatorTime(0, "CONV_2D", True, ms)


def doubts(*passes: Pass) -> tuple[Warning, ...]:
    return warnings(gather(ModelFile("m", b"12345"), passes))


def codes(*passes: Pass) -> list[str]:
    return [doubt.code for doubt in doubts(*passes)]


def test_a_good_measurement_raises_no_doubt() -> None:
    assert codes(burst(), burst()) == []


def test_what_the_device_does_not_tell_raises_no_doubt() -> None:
    silent = Context(FACTS, Settings(), "2026-01-01T00:00:00+00:00", "unknown")
    assert codes(burst(context=silent)) == []


def test_what_a_bench_and_its_runner_add() -> None:
    summary = Summary(30, 1.0, 0.99, 1.01)
    told = replace(burst(()), summary=summary, context=replace(CONTEXT, suspect="the canary drifted"))
    found = {doubt.code: doubt.message for doubt in doubts(told)}
    assert found["suspect"] == "the canary drifted: measure again"
    assert set(found) == {"suspect", "average_only"}
    assert codes(replace(burst(()), summary=replace(summary, median_ms=1.0))) == []
    nnapi = replace(CONTEXT, settings=Settings(delegate="nnapi"))
    assert codes(burst(context=nnapi)) == ["deprecated"]


def test_a_latency_of_a_few_whole_microseconds_is_coarse() -> None:
    def summed_up(ms: float) -> Pass:
        return replace(burst(()), summary=Summary(30, ms, 0.99 * ms, 1.01 * ms, median_ms=ms))

    (found,) = doubts(summed_up(0.007))
    assert found.code == "coarse"
    assert "7.0 us (less than 50 us)" in found.message
    assert codes(summed_up(0.05)) == []
    assert codes(burst(tuple(sample / 200 for sample in STEADY))) == []  # counted in nanoseconds


@pytest.mark.parametrize(
    ("doubtful", "code"),
    [
        (burst(tuple(1.0 + (i % 2) for i in range(30))), "noisy"),
        (burst(STEADY[:19]), "few_samples"),
        (burst(all_preempted=True), "preempted"),
        (burst(context=replace(CONTEXT, other_load=0.2)), "disturbed"),
        (burst(context=replace(CONTEXT, throttled=True)), "throttled"),
        (burst(tuple(1.0 + 0.006 * i for i in range(30))), "slowing"),
        (burst(context=replace(CONTEXT, delegated_operators=64)), "delegate_not_taken"),
        (burst(context=replace(CONTEXT, delegated_operators=0)), "delegate_not_taken"),
        (burst(context=replace(CONTEXT, delegated_operators=0, total_operators=None)), "delegate_not_taken"),
        (replace(burst(), operators=(row(0.5), row(0.2))), "profile_off"),
        (replace(burst(), operators=(row(1.0), row(0.3))), "profile_off"),
    ],
)
def test_every_doubt_has_its_code_and_says_what_helps(doubtful: Pass, code: str) -> None:
    found = doubts(doubtful)
    assert [doubt.code for doubt in found] == [code]
    assert len(found[0].message) > 20


def test_one_bad_pass_among_good_ones_is_seen() -> None:
    assert codes(burst(), burst(context=replace(CONTEXT, other_load=0.5, throttled=True)), burst()) == [
        "disturbed",
        "throttled",
    ]


def test_slowing_is_told_from_noise_and_from_a_start_that_is_slow() -> None:
    rng = np.random.default_rng(0)
    hot = tuple(np.linspace(1.0, 1.3, 60) * rng.normal(1.0, 0.02, 60))
    noisy = [burst(tuple(rng.lognormal(0.0, 0.5, size))) for size in (30, 60, 100) for _ in range(100)]
    assert sum(bool(slows(each)) for each in noisy) < 10
    assert slows(burst(hot))
    assert not slows(burst(hot[::-1]))
    assert slows(burst(hot[:29])) is None
    assert "slowing" in codes(burst(hot), burst(hot), burst())
    assert "slowing" not in codes(burst(hot), burst())


def test_figures_at_a_limit_raise_no_doubt_and_those_beyond_are_told() -> None:
    assert codes(burst(context=replace(CONTEXT, other_load=0.10))) == []
    (found,) = doubts(burst(), burst(context=replace(CONTEXT, other_load=0.25)))
    assert "up to 25% of the measuring cores' time (more than 10%)" in found.message
    assert codes(burst(STEADY[:10]), burst(STEADY[:10])) == []  # samples of all passes count
    (found,) = doubts(burst(context=replace(CONTEXT, delegated_operators=60)))
    assert "5 of 65 operators" in found.message
    (found,) = doubts(burst(context=replace(CONTEXT, delegated_operators=0)))
    assert "took 0 of 65 operators" in found.message
    (found,) = doubts(burst(context=replace(CONTEXT, delegated_operators=0, total_operators=None)))
    assert "took no operator" in found.message
    kernels = replace(CONTEXT, settings=Settings(delegate="cpu"), delegated_operators=0)
    assert codes(burst(context=kernels)) == []
    assert codes(replace(burst(), operators=(row(0.5), row(0.3)))) == []
    off = replace(burst(), operators=(row(3.0),))
    assert codes(burst(), burst(), off) == ["profile_off"]
    assert codes(off, replace(off, operators=(row(1.0),)), replace(off, operators=(row(1.1),))) == []


def test_a_pass_is_long_enough_for_thirds_at_thirty_samples() -> None:
    assert slows(burst(tuple(np.linspace(1, 2, SLOWING_SAMPLES - 1)))) is None
    assert slows(burst(tuple(np.linspace(1, 2, SLOWING_SAMPLES)))) is True
    assert slows(burst(tuple(np.linspace(1, 1.05, SLOWING_SAMPLES)))) is False
