from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import BadSettings, DelegateFallback, ModelRejected
from devices.measurement import (
    DELEGATES,
    Context,
    DeviceFacts,
    Failure,
    Measurement,
    ModelFile,
    Pass,
    Settings,
    Summary,
    gather,
)
from devices.records import from_plain, to_plain

FACTS = DeviceFacts("local", "x86_64", "cpu", 2, None, "os", "3.11", "ai_edge_litert", "2.3.0")
CONTEXT = Context(FACTS, Settings(), "2026-01-01T00:00:00+00:00", "xnnpack", 65, 65, 0.0, False)


def burst(samples: tuple[float, ...]) -> Pass:
    return Pass("m", "0" * 64, 0, samples, 2, None, 1.0, 1.0, None, None, CONTEXT)


def measurement(*passes: Pass) -> Measurement:
    return gather(ModelFile("m", b"12345"), passes)


def test_statistics_are_over_the_samples_of_all_passes() -> None:
    joined = measurement(burst((1.0, 2.0)), burst((3.0, 4.0, 5.0)))
    assert joined.samples_ms == (1.0, 2.0, 3.0, 4.0, 5.0)
    assert joined.median_ms == 3.0
    assert joined.quantile_ms(0.25) == 2.0
    assert joined.spread == pytest.approx(2 / 3)
    assert joined.dropped == 4
    assert joined.model_bytes == 5


def test_a_measurement_without_samples_is_none() -> None:
    with pytest.raises(BadSettings, match="at least one sample"):
        measurement()
    with pytest.raises(BadSettings, match="at least one sample"):
        measurement(burst(()))


def test_a_model_file_is_what_its_bytes_are(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"abc")
    model = ModelFile.from_path(tmp_path / "model.tflite")
    assert (model.name, model.content) == ("model.tflite", b"abc")
    assert model.sha256 == ModelFile("another", b"abc").sha256 != ModelFile("model.tflite", b"abd").sha256
    with pytest.raises(BadSettings, match="No such file"):
        ModelFile.from_path(tmp_path / "none.tflite")
    with pytest.raises(BadSettings, match="cannot read"):
        ModelFile.from_path(tmp_path)


@pytest.mark.parametrize(
    "settings", [{"threads": 0}, {"threads": 65}, {"cpus": ()}, {"cpus": (-1,)}], ids=str
)
def test_settings_that_cannot_be(settings: dict[str, int]) -> None:
    with pytest.raises(BadSettings):
        Settings(**settings)  # type: ignore[arg-type] # wrong on purpose


@pytest.mark.parametrize("delegate", [*DELEGATES, "external:libQnnTFLiteDelegate.so", "external:/v/lib:1.so"])
def test_delegates_that_can_be_asked_for(delegate: str) -> None:
    assert Settings(delegate=delegate).delegate == delegate


@pytest.mark.parametrize(
    "delegate", ["", "GPU", "gpu-vulkan", "external", "external:", "cpu ", "xnnpack,gpu"]
)
def test_a_delegate_that_cannot_be_is_refused_with_those_that_can(delegate: str) -> None:
    with pytest.raises(BadSettings, match=r"these can be asked for: xnnpack, cpu, gpu, .*external:LIBRARY"):
        Settings(delegate=delegate)


def test_a_delegates_options() -> None:
    options = ("backend_type:htp", "skel_library_dir:{lib}")
    assert Settings(delegate="external:q.so", delegate_options=options).delegate_options == options


@pytest.mark.parametrize("option", ["", "a", ":", "a:", ":b", "a:b;c:d", "a:b:c", "a:b\n", "a:\x1b[2J"])
def test_what_is_no_option_of_a_delegate_is_refused(option: str) -> None:
    with pytest.raises(BadSettings, match="must be KEY:VALUE") as refused:
        Settings(delegate="external:q.so", delegate_options=(option,))
    assert str(refused.value).isprintable()


def test_options_are_of_external_delegates_and_each_is_given_once() -> None:
    with pytest.raises(BadSettings, match="the delegate gpu has no options"):
        Settings(delegate="gpu", delegate_options=("a:b",))
    with pytest.raises(BadSettings, match="option 'a' is given twice"):
        Settings(delegate="external:q.so", delegate_options=("a:b", "a:c"))


def test_quantiles_of_a_summary_are_linear_between_its_figures() -> None:
    full = Summary(50, 12.0, 10.0, 30.0, median_ms=11.0, p5_ms=10.5, p95_ms=20.0)
    for share, expected in ((0, 10.0), (0.05, 10.5), (0.5, 11.0), (0.95, 20.0), (1, 30.0), (0.725, 15.5)):
        assert full.quantile_ms(share) == pytest.approx(expected)


def test_without_a_median_the_mean_stands_for_it() -> None:
    old = Summary(50, 12.0, 10.0, 30.0)
    assert [old.quantile_ms(share) for share in (0, 0.25, 0.5, 1)] == [10.0, 11.0, 12.0, 30.0]


@given(
    st.lists(st.floats(0.001, 1e6), min_size=5, max_size=5).map(sorted),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.lists(st.floats(0, 1), min_size=2, max_size=8).map(sorted),
)
def test_quantiles_of_a_summary_grow_and_stay_between_its_extremes(
    values: list[float], told: list[bool], shares: list[float]
) -> None:
    low, p5, median, p95, high = values
    p5_told, median_told, p95_told = (
        value if is_told else None for value, is_told in zip((p5, median, p95), told, strict=True)
    )
    summary = Summary(9, median, low, high, median_ms=median_told, p5_ms=p5_told, p95_ms=p95_told)
    found = [summary.quantile_ms(share) for share in shares]
    assert found == sorted(found)
    assert low <= found[0] <= found[-1] <= high * (1 + 1e-12)


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [
        (0, 1.0, 2.0),
        (-1, 1.0, 2.0),
        (5, 2.0, 1.0),
        (5, -1.0, 2.0),
        (5, 0.0, 0.0),
        (5, 1.0, float("inf")),
        (5, float("nan"), 1.0),
        (5, 1.0, float("nan")),
    ],
)
def test_figures_that_are_no_statistics(count: int, low: float, high: float) -> None:
    with pytest.raises(BadSettings, match="no statistics of a burst"):
        Summary(count, 1.0, low, high)


@pytest.mark.parametrize(
    "figures",
    [
        {"mean_ms": 0.0001, "median_ms": 0.0},
        {"mean_ms": 0.0001, "median_ms": 0.0, "p5_ms": 0.0, "p95_ms": 0.001},
        {"mean_ms": 0.0},
    ],
)
def test_a_burst_whose_median_is_nothing_is_none(figures: dict[str, float]) -> None:
    with pytest.raises(BadSettings, match="no statistics of a burst"):
        Summary(50, min_ms=0.0, max_ms=0.001, **figures)


def test_a_spread_over_no_time_is_a_figure() -> None:
    assert measurement(burst((0.0, 0.0, 0.0))).spread == 0
    assert measurement(burst((0.0, 0.0, 0.0, 1.0, 1.0))).spread == 1


def test_a_measurement_of_summaries_weighs_each_by_its_runs() -> None:
    def summed_up(summary: Summary) -> Pass:
        return Pass("m", "0" * 64, 0, (), 0, None, 1.0, 1.0, None, None, CONTEXT, summary=summary)

    joined = measurement(
        summed_up(Summary(30, 10.0, 9.0, 12.0, median_ms=10.0)),
        summed_up(Summary(10, 14.0, 13.0, 15.0, median_ms=14.0)),
    )
    assert joined.samples_ms == ()
    assert joined.runs == 40
    assert joined.median_ms == pytest.approx(11.0)
    assert joined.quantile_ms(0) == pytest.approx(10.0)


def test_where_there_are_samples_they_count() -> None:
    joined = measurement(burst((1.0, 2.0, 3.0)))
    assert (joined.runs, joined.median_ms) == (3, 2.0)


def test_a_distribution_follows_the_runners_own_quantiles() -> None:
    summary = Summary(1000, 12.0, 10.0, 30.0, median_ms=11.0, p5_ms=10.5, p95_ms=20.0)
    points = Pass(
        "m", "0" * 64, 0, (), 0, None, None, None, None, None, CONTEXT, summary=summary
    ).distribution_ms
    assert len(points) == 100
    assert list(points) == sorted(points)
    assert points[49] < 11.0 < points[50]
    assert burst((3.0, 1.0)).distribution_ms == (3.0, 1.0)


def test_a_failure_of_a_fallback_tells_what_was_taken() -> None:
    model = ModelFile("m", b"1")
    found = Failure.of(model, DelegateFallback("x", 54, 559), "m: x")
    assert found == Failure("m", model.sha256, "DelegateFallback", "m: x", 54, 559)
    assert from_plain(Failure, to_plain(found)) == found
    assert Failure.of(model, ModelRejected("y"), "m: y") == Failure(
        "m", model.sha256, "ModelRejected", "m: y"
    )


def test_a_failure_has_a_word_for_scripts() -> None:
    assert Failure("m", "0", "DelegateFallback", "x").code == "DELEGATE_FALLBACK"
    assert Failure("m", "0", "WrongAbi", "x").code == "WRONG_ABI"
    assert Failure("m", "0", "__import__", "x").code == "DEVICE_TROUBLE"
