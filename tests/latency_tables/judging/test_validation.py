from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from devices.measurement import Failure
from latency_tables.errors import BadTable
from latency_tables.figures import Figure
from latency_tables.fitting.calibration import UNCALIBRATED, AnchorSum
from latency_tables.judging.validation import Circumstances, Rival, Subject, judge
from latency_tables.ops import Graph
from latency_tables.predict import Predictor
from tests.latency_tables.convolutions import chain, convolution

AT = Circumstances(5, "2026-01-02T03:04:05+00:00", "2026-01-02T03:14:05+00:00")
TRUE_MS = {1: 1.0, 3: 2.0, 5: 4.0}


def true_ms(graph: Graph) -> float:
    return sum(TRUE_MS[spec.kernel[0]] for spec in graph.specs)


def figures(**off: float) -> dict[str, Figure]:
    """Those of the three convolutions; `k3=1.2`: its figure is 20 % too high."""
    return {
        str(convolution(size)): Figure(
            str(convolution(size)),
            ms * off.get(f"k{size}", 1.0),
            0.001,
            None,
            "in context",
            3,
            3,
            3,
            None,
            None,
        )
        for size, ms in TRUE_MS.items()
    }


def graphs(count: int, seed: int = 0) -> list[Graph]:
    rng = np.random.default_rng(seed)
    return [chain(*map(int, rng.integers(1, 8, 3))) for _ in range(count)]


def measured(found: list[Graph], factor: float = 1.0, noise: float = 0.01, seed: int = 0) -> list[Subject]:
    """Each as two instances of one pass: all that differs from the truth is noise."""
    rng = np.random.default_rng(seed)
    made = []
    for number, graph in enumerate(found):
        first, second = factor * true_ms(graph) * rng.normal(1, noise, 2)
        made.append(Subject(f"n{number}", graph, ((float(first),), (float(second),))))
    return made


def anchored(found: dict[str, Figure], anchors: list[Subject]) -> Predictor:
    raw = Predictor(found, UNCALIBRATED, "t.db")
    return raw.reanchored(
        {one.name: one.graph.specs for one in anchors},
        {one.name: one.measured_ms for one in anchors},
        passes=2,
    )


def test_intervals_that_are_judged_are_made_of_left_out_errors_as_the_tables_are() -> None:
    anchors = measured(graphs(20, 1))
    table = anchored(figures(), anchors)
    assert judge(table, measured(graphs(50, 2)), anchors, AT).intervals.width_percent < 6
    off = np.random.default_rng(0).normal(1, 0.05, 20)
    sums = [table.predict(one.graph.specs).sum_ms for one in anchors]
    left_out = {
        one.name: AnchorSum(sum_ms, sum_ms * float(factor), 0.0)
        for one, sum_ms, factor in zip(anchors, sums, off, strict=True)
    }
    found = judge(replace(table, anchors=left_out), measured(graphs(50, 2)), anchors, AT)
    assert found.intervals.width_percent > 10
    assert found.reanchored == judge(table, measured(graphs(50, 2)), anchors, AT).reanchored


def test_intervals_hold_about_what_they_promise_and_are_not_much_wider_than_they_must_be():
    anchors = measured(graphs(30, 1))
    result = judge(anchored(figures(), anchors), measured(graphs(100, 2)), anchors, AT)
    assert 84 <= result.intervals.coverage_percent <= 99
    assert 0.8 <= result.intervals.width_ratio <= 2
    assert result.scores.mape_percent == pytest.approx(result.noise.floor_percent / 2, rel=0.3)


def test_details_and_methods_agree():
    anchors = measured(graphs(10, 1))
    result = judge(anchored(figures(), anchors), measured(graphs(12, 2)), anchors, AT)
    assert result.methods[0].predicted_ms == tuple(one.predicted_ms for one in result.details)
    assert result.methods[1].predicted_ms == tuple(one.as_predicted_ms for one in result.details)
    errors = [abs(one.error_percent) for one in result.details]
    assert result.scores.mape_percent == pytest.approx(np.mean(errors))
    held = [one for one in result.details if one.low_ms <= one.measured_ms <= one.high_ms]
    assert result.intervals.held == len(held)
    assert [one.operators for one in result.details] == [len(each.nodes) for each in graphs(12, 2)]


def test_a_device_that_is_slower_now_is_in_the_speed_and_not_in_the_headline():
    before, now = measured(graphs(20, 1), seed=1), measured(graphs(20, 1), factor=1.1, seed=2)
    slower = measured(graphs(20, 2), factor=1.1, seed=3)
    result = judge(anchored(figures(), before), slower, now, AT)
    assert result.speed_percent == pytest.approx(10, abs=0.5)
    assert abs(result.reanchored.bias_percent) < 1
    assert result.as_predicted.bias_percent == pytest.approx(100 / 1.1 - 100, abs=1)


def test_a_kind_of_blame_finds_the_operator_that_is_off():
    anchors = measured(graphs(20, 1), noise=0.002)
    result = judge(anchored(figures(k5=1.3), anchors), measured(graphs(60, 2), noise=0.002), anchors, AT)
    worst = max(result.operators, key=lambda one: one.error_percent)
    assert worst.of == str(convolution(5))
    assert worst.error_percent > 2 * worst.std_error_percent
    assert [one.of for one in result.kinds] == ["conv_2d"]


def test_figures_that_leave_something_out_show_as_a_trend():
    anchors = measured(graphs(20, 1), noise=0.002)
    deep = sorted(graphs(60, 2), key=lambda graph: len(graph.nodes))
    drawn = [
        Subject(one.name, one.graph, ((one.measured_ms - 2,), (one.measured_ms - 2,)))
        for one in measured(deep, noise=0.002)
    ]
    result = judge(anchored(figures(), anchors), drawn, anchors, AT)
    assert result.depth.clear
    assert result.depth.across_percent < 0  # two milliseconds too many matter most to small networks
    assert result.latency.clear


def test_rivals_get_one_factor_from_the_anchors():
    anchors = measured(graphs(15, 1), factor=2.0)
    raw = [
        Rival("half", lambda graph: true_ms(graph) / 2),
        Rival("some", lambda graph: true_ms(graph) if len(graph.nodes) % 2 else None),
        Rival("none", lambda graph: None),
        Rival("zero", lambda graph: 0.0),
    ]
    result = judge(anchored(figures(), anchors), measured(graphs(20, 2)), anchors, AT, raw)
    half, some, none, zero = result.methods[2:]
    assert half.predicted_ms[0] == pytest.approx(2 * true_ms(graphs(20, 2)[0]), rel=0.01)
    assert half.scores.networks == 20
    assert some.scores.networks == sum(len(graph.nodes) % 2 for graph in graphs(20, 2))
    assert (none.scores, none.predicted_ms) == (None, (None,) * 20)
    assert "no anchor" in none.why_not
    assert zero.scores is None


def test_a_network_is_the_median_over_the_passes_of_both_instances():
    one = Subject("a", chain(1), ((1.0, 2.0, 9.0), (3.0, 4.0, 5.0)))
    assert one.instances_ms == (2.0, 4.0)
    assert one.measured_ms == 3.5


def test_a_table_without_calibration_has_no_intervals_and_no_speed():
    result = judge(Predictor(figures(), UNCALIBRATED, "t.db"), measured(graphs(5)), [], AT)
    assert (result.intervals, result.speed_percent, result.reanchored) == (None, None, None)
    assert result.details[0].low_ms is None
    anchors = measured(graphs(5, 1))
    result = judge(Predictor(figures(), UNCALIBRATED, "t.db"), measured(graphs(5)), anchors, AT)
    assert result.intervals is not None  # the anchors of this run bring them
    assert result.speed_percent is None


def test_nothing_to_judge_is_an_error_that_says_why():
    failed = Circumstances(5, "", "", failures=(Failure("a/1", "0", "DeadlineExceeded", "too slow"),))
    with pytest.raises(BadTable, match="no held-out network was measured, 1 failed: too slow"):
        judge(Predictor(figures(), UNCALIBRATED, "t.db"), [], [], failed)
