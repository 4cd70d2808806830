"""Tables of a made-up device whose every time is known, against what other networks take there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from latency_tables.errors import BadTable
from latency_tables.fitting.calibration import UNCALIBRATED, Calibration
from latency_tables.fitting.context import SAME_SIZE, Sizes
from latency_tables.fitting.corrections import OMITTED_MS
from latency_tables.fitting.fit import Measured, figures_of, fit
from latency_tables.fitting.intervals import pass_error
from latency_tables.fitting.statistics import Observation, estimates, pass_ms
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.records import Given, Network

KINDS = ("logistic", "hard_swish", "relu")
SPECS = [OpSpec(KINDS[size % 3], "float32", ((1, size),), (1, size)) for size in range(1, 61)]
RATIOS = dict(zip(KINDS, (1.1, 1.4, 1.2), strict=True))
EMPTY_MS = 0.003


def graph(specs: Sequence[OpSpec]) -> Graph:
    return Graph(
        specs[0].inputs, "float32", tuple(Node(spec, (index - 1,)) for index, spec in enumerate(specs)), (0,)
    )


class Device:
    """Operators have times; exponents let them grow with the network; passes have speeds and noise."""

    def __init__(
        self,
        seed: int = 0,
        exponents: Sequence[float] = (0.0, 0.0, 0.0),
        noise: float = 0.01,
        factor: float = 1.05,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.times = dict(zip(SPECS, self.rng.uniform(0.02, 0.4, len(SPECS)), strict=True))
        self.exponents = dict(zip(KINDS, exponents, strict=True))
        self.noise, self.factor = noise, factor

    def draw(self, count: int) -> list[list[OpSpec]]:
        return [
            [SPECS[at] for at in self.rng.integers(0, len(SPECS), self.rng.integers(10, 80))]
            for _ in range(count)
        ]

    def parts_ms(self, specs: Sequence[OpSpec]) -> np.ndarray:
        size = sum(self.times[spec] for spec in specs) / 6.0
        return np.array([self.times[spec] * size ** self.exponents[spec.kind] for spec in specs])

    def latency_ms(self, specs: Sequence[OpSpec]) -> float:
        return self.factor * float(self.parts_ms(specs).sum())

    def samples(self, specs: Sequence[OpSpec], passes: int) -> list[tuple[float, ...]]:
        return [(self.latency_ms(specs) * self.rng.normal(1, self.noise),) * 4 for _ in range(passes)]

    def profile(self, network: Network, passes: int) -> list[Observation]:
        found = []
        for index in range(passes):
            times = self.parts_ms(network.graph.specs) * self.rng.normal(1, self.noise)
            times = np.floor(times * self.rng.normal(1, 0.01, len(times)) * 1000) / 1000
            found += [
                Observation(str(spec), network.name, index, float(ms))
                for spec, ms in zip(network.graph.specs, times, strict=True)
            ]
        return found

    def measure(self, networks: Sequence[Network], passes: int = 3, profiled: bool = True) -> Measured:
        samples = {one.name: self.samples(one.graph.specs, passes) for one in networks}
        observations = [seen for one in networks if profiled for seen in self.profile(one, passes)]
        anchors = {one.name: samples[one.name] for one in networks if one.role == "anchor"}
        return Measured(networks, samples, anchors, observations)


def networks(device: Device, covers: int = 30, anchors: int = 20) -> list[Network]:
    drawn = device.draw(covers + anchors)
    return [
        Network(f"{number}", graph(specs), "cover" if number < covers else "anchor")
        for number, specs in enumerate(drawn)
    ]


def errors(device: Device, measured: Measured, count: int = 60) -> tuple[np.ndarray, float]:
    """Relative errors on other networks, and the share of them in their intervals."""
    predictor = fit(measured, "t")
    true = [(specs, device.latency_ms(specs)) for specs in device.draw(count)]
    found = [(predictor.predict(specs), ms) for specs, ms in true]
    inside = [one.low_ms <= ms <= one.high_ms for one, ms in found]
    return np.array([one.latency_ms / ms - 1 for one, ms in found]), float(np.mean(inside))


def test_networks_are_predicted_and_lie_in_their_intervals() -> None:
    device = Device()
    off, inside = errors(device, device.measure(networks(device)))
    assert np.abs(off).max() < 0.02
    assert inside > 0.85


def test_sizes_count_where_operators_grow_with_the_network() -> None:
    device = Device(exponents=(0.05, 0.35, 0.0))
    measured = device.measure(networks(device))
    off, inside = errors(device, measured)
    assert np.abs(off).max() < 0.02
    assert inside > 0.85
    predictor = fit(measured, "t")
    by_kind = {unit.partition("/")[0]: one.exponent for unit, one in predictor.figures.items()}
    assert by_kind == pytest.approx(device.exponents, abs=0.03)
    assert predictor.sizes != SAME_SIZE


def test_sizes_do_not_count_where_whole_networks_say_otherwise() -> None:
    """The profile's times grow with the network, for a reason of its own: latencies do not."""
    device = Device(exponents=(0.2, 0.2, 0.2))
    nets = networks(device)
    measured = device.measure(nets)
    device.exponents = dict.fromkeys(KINDS, 0.0)
    whole = device.measure(nets, profiled=False)
    mixed = replace(measured, samples_ms=whole.samples_ms, anchors_ms=whole.anchors_ms)
    predictor = fit(mixed, "t")
    assert predictor.sizes == SAME_SIZE
    assert {one.exponent for one in predictor.figures.values()} == {0.0}
    assert {one.exponent for one in figures_of(mixed).values()} == {0.0}
    assert np.abs(errors(device, mixed)[0]).mean() < 0.03


def alone(device: Device, specs: Sequence[OpSpec], measured: Measured, passes: int = 3) -> Measured:
    extra = [Network(f"alone-{spec}", graph([spec]), "alone") for spec in specs]
    samples = {
        one.name: [
            ((device.times[spec] / RATIOS[spec.kind] + EMPTY_MS) * device.rng.normal(1, 0.005),) * 4
            for _ in range(passes)
        ]
        for one, spec in zip(extra, specs, strict=True)
    }
    return replace(
        measured, networks=[*measured.networks, *extra], samples_ms={**measured.samples_ms, **samples}
    )


def test_operators_that_were_only_measured_alone_have_a_figure_by_their_kinds_ratio() -> None:
    device = Device()
    lonely, seen = SPECS[:12], SPECS[12:]
    drawn = [[spec for spec in specs if spec in seen] for specs in device.draw(40)]
    nets = [Network(f"{n}", graph(specs), "anchor" if n < 20 else "cover") for n, specs in enumerate(drawn)]
    measured = alone(device, [*lonely, *seen[:24]], device.measure(nets))
    figures = fit(measured, "t").figures
    for spec in SPECS:
        one = figures[str(spec)]
        assert one.method == ("alone" if spec in lonely else "in context")
        assert one.latency_ms == pytest.approx(device.times[spec], rel=0.05, abs=0.001)
        assert one.std_error_ms is not None
        assert (one.profiled_ms is None) == (spec in lonely)
    assert figures[str(lonely[0])].std_error_ms > 0.02 * figures[str(lonely[0])].latency_ms
    off, inside = errors(device, measured)
    assert np.abs(off).mean() < 0.015
    assert inside > 0.85


def test_a_device_without_a_profiler_learns_its_ratios_from_whole_networks() -> None:
    device = Device()
    measured = alone(device, SPECS, device.measure(networks(device), profiled=False))
    assert {one.method for one in figures_of(measured).values()} == {"alone"}
    off, inside = errors(device, measured)
    assert np.abs(off).mean() < 0.02
    assert inside > 0.8


def test_given_figures_are_used_where_nothing_was_measured() -> None:
    device = Device()
    measured = device.measure(networks(device))
    other = OpSpec("tanh", "float32", ((1, 5),), (1, 5))
    given = [
        Given(str(other), 0.7, 0.1, 4, "imported", 0.2),
        Given(str(SPECS[0]), 9.0, None, None, "imported"),
    ]
    figures = figures_of(replace(measured, given=given))
    assert (figures[str(other)].latency_ms, figures[str(other)].std_error_ms) == (0.7, 0.1)
    assert (figures[str(other)].method, figures[str(other)].observations) == ("imported", 4)
    assert figures[str(SPECS[0])].method == "in context"


def test_a_table_of_given_figures_predicts_by_the_calibration_it_came_with() -> None:
    given = [Given(str(spec), 0.5, None, None, "imported", 0.1) for spec in SPECS[:2]]
    bare = fit(Measured([], {}, {}, [], given), "t")
    assert bare.calibration == UNCALIBRATED
    assert bare.predict(SPECS[:2]).latency_ms == 1.0
    calibration = Calibration("scale", 1.2, anchors=9, lack_of_fit=0.02, multiplier=1.8)
    found = fit(Measured([], {}, {}, [], given, (calibration, Sizes(2.0, 0.5, 8.0))), "t").predict(SPECS[:2])
    assert found.latency_ms == pytest.approx(1.2 * 0.5**0.1)
    assert found.low_ms < found.latency_ms < found.high_ms


def test_a_table_without_anchors_measured_is_not_built_yet() -> None:
    device = Device()
    measured = device.measure(networks(device))
    with pytest.raises(BadTable, match=r"60 operators, 0 anchor networks.*mnas table build"):
        fit(replace(measured, anchors_ms={}), "t")
    assert len(figures_of(replace(measured, anchors_ms={}))) == 60
    with pytest.raises(BadTable, match="0 operators"):
        fit(Measured(networks(device), {}, {}, []), "t")


def test_anchors_measured_again_bring_the_calibration() -> None:
    device = Device()
    measured = device.measure(networks(device))
    slower = {
        name: [tuple(1.1 * ms for ms in one) for one in passes]
        for name, passes in measured.anchors_ms.items()
    }
    before, after = fit(measured, "t"), fit(replace(measured, anchors_ms=slower), "t")
    assert after.scale == pytest.approx(1.1 * before.scale)
    assert after.figures == before.figures


def test_anchors_measured_again_as_they_were_bring_the_calibration_that_was() -> None:
    """What a validation judges is what is shipped: left-out sums and operators' errors count in both."""
    device = Device(noise=0.02)
    nets = networks(device)
    measured = device.measure(nets)
    before = fit(measured, "t")
    anchors = {one.name: one.graph.specs for one in nets if one.role == "anchor"}
    passes = [pass_ms(measured.anchors_ms[name]) for name in anchors]
    found = {name: float(np.median(one)) for name, one in zip(anchors, passes, strict=True)}
    again = before.reanchored(anchors, found, pass_error(passes), passes=3)
    assert again == before
    unknown = {f"other-{name}": specs for name, specs in anchors.items()}
    in_sample = before.reanchored(
        unknown, {f"other-{name}": ms for name, ms in found.items()}, pass_error(passes), passes=3
    )
    assert in_sample.scale == pytest.approx(before.scale)
    assert in_sample.calibration.left_out_percent < before.calibration.left_out_percent


def test_corrections_by_whole_networks_count_unless_networks_left_out_say_otherwise() -> None:
    device = Device()
    drawn = [specs for specs in device.draw(20) for _ in range(2)]
    nets = [Network(f"{n}", graph(specs), "anchor" if n < 20 else "cover") for n, specs in enumerate(drawn)]
    measured = device.measure(nets)
    profiled = {unit: one.typical_ms for unit, one in estimates(measured.observations).items()}
    bare = pytest.approx({unit: ms + OMITTED_MS for unit, ms in profiled.items()}, abs=1e-9)

    def figures_ms(found: Measured) -> dict[str, float]:
        return {unit: one.latency_ms for unit, one in figures_of(found).items()}

    assert figures_ms(measured) != bare
    # of two equal networks one is fast, one slow: either is predicted wrongly by the other
    contradicting = {
        name: [tuple(ms * 1.08 ** (-1) ** int(name) for ms in one) for one in passes]
        for name, passes in measured.samples_ms.items()
    }
    assert figures_ms(replace(measured, samples_ms=contradicting)) == bare


def test_operators_that_the_profile_gives_no_time_have_some() -> None:
    nets = [Network(str(n), graph(SPECS[n : n + 3]), "anchor") for n in range(10)]
    seen = [Observation(str(spec), one.name, 0, 0.0) for one in nets for spec in one.graph.specs]
    samples = {one.name: [(0.002, 0.002)] for one in nets}
    predictor = fit(Measured(nets, samples, samples, seen), "t")
    assert all(one.latency_ms > 0 for one in predictor.figures.values())
    assert predictor.predict(SPECS[:3]).latency_ms == pytest.approx(0.002, rel=0.05)


def test_the_order_in_which_things_were_stored_does_not_matter() -> None:
    device = Device()
    measured = device.measure(networks(device))
    turned = replace(measured, observations=measured.observations[::-1])
    assert fit(turned, "t") == fit(measured, "t")


def test_a_table_of_a_thousand_operators_is_fitted_in_a_second() -> None:
    rng = np.random.default_rng(0)
    specs = [OpSpec(KINDS[size % 3], "float32", ((1, size),), (1, size)) for size in range(1, 1001)]
    nets = [
        Network(
            f"{number}",
            graph([specs[at] for at in rng.integers(0, 1000, 100)]),
            "cover" if number > 20 else "anchor",
        )
        for number in range(75)
    ]
    samples = {one.name: [(1.0 + 0.01 * rng.random(),) * 20 for _ in range(5)] for one in nets}
    seen = [
        Observation(str(spec), one.name, index, 0.01 * float(rng.random()))
        for one in nets
        for index in range(5)
        for spec in one.graph.specs
    ]
    anchors = {one.name: samples[one.name] for one in nets if one.role == "anchor"}
    measured = Measured(nets, samples, anchors, seen)
    started = time.process_time()
    fit(measured, "t")
    assert time.process_time() - started < 2.0  # a third of one on a quiet machine
