from __future__ import annotations

from pathlib import Path

import pytest

from devices.errors import BadSettings
from devices.measurement import Context, DeviceFacts, Measurement, ModelFile, Pass, Settings, gather

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
