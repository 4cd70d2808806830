from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from devices.errors import BadSettings
from devices.measurement import Context, DeviceFacts, Measurement, ModelFile, Pass, Settings, gather
from devices.warnings import slows, warnings

FACTS = DeviceFacts("local", "x86_64", "cpu", 2, None, "os", "3.11", "ai_edge_litert", "2.3.0")
CONTEXT = Context(FACTS, Settings(), "2026-01-01T00:00:00+00:00", "xnnpack", 65, 65, 0.0, False)
STEADY = tuple(1.0 + 0.001 * i for i in range(30))


def burst(
    samples: tuple[float, ...] = STEADY, context: Context = CONTEXT, all_preempted: bool = False
) -> Pass:
    return Pass("m", "0" * 64, 0, samples, 2, None, 1.0, 1.0, None, None, context, all_preempted)


def measurement(*passes: Pass) -> Measurement:
    return gather(ModelFile("m", b"12345"), passes)


def codes(*passes: Pass) -> list[str]:
    return [doubt.code for doubt in warnings(measurement(*passes))]


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


def test_a_good_measurement_raises_no_doubt() -> None:
    assert codes(burst(), burst()) == []


def test_what_the_device_does_not_tell_raises_no_doubt() -> None:
    silent = Context(FACTS, Settings(), "2026-01-01T00:00:00+00:00", "unknown")
    assert codes(burst(context=silent)) == []


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
    ],
)
def test_every_doubt_has_its_code_and_says_what_helps(doubtful: Pass, code: str) -> None:
    found = warnings(measurement(doubtful))
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
