from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.bench import canary
from devices.bench.canary import CEILING, FLOOR, LEAST, NEW_WAY, History, Reading, judge
from devices.device import Device
from devices.errors import DeviceTrouble, LinkLost, WorkerCrashed
from devices.measurement import DeviceFacts, Failure, ModelFile, Pass, Settings
from devices.plan import Plan
from tests.devices.canary_model import canary as made

FACTS = DeviceFacts("adb://X/../Y", "aarch64", "c", 8, None, "Android 13", None, "benchmark_model", "2.1")
LATENCIES = st.floats(0.01, 1000.0)


def history(*latencies_ms: float) -> list[Reading]:
    found: list[Reading] = []
    for one in latencies_ms:
        found.append(Reading(one, "", None, judge(one, found).drifts))
    return found


def test_the_model_shipped_is_what_the_writer_makes() -> None:
    shipped = canary.canary_model()
    assert shipped.content == made()
    assert len(shipped.content) < 20_000


def test_it_is_measured_on_a_device(device: Device) -> None:
    quick = Plan(min_runs=5, warmup_runs=1)
    assert 0 < canary.read(device, canary.canary_model(), quick) < 1000


def test_a_short_history_judges_nothing() -> None:
    assert not judge(99.0, history(*[1.0] * (LEAST - 1))).drifts
    assert "too short" in str(judge(99.0, []))


@pytest.mark.parametrize(("latency_ms", "drifts"), [(1.0, False), (1.09, False), (1.2, True), (0.8, True)])
def test_a_steady_device_may_move_by_a_tenth(latency_ms: float, drifts: bool) -> None:
    verdict = judge(latency_ms, history(*[1.0] * 20))
    assert verdict.drifts is drifts
    assert "history 1 ms" in str(verdict)


def test_a_noisy_device_may_move_as_it_always_did() -> None:
    rng = np.random.default_rng(0)
    noisy = history(*rng.normal(1.0, 0.05, 50))
    assert not judge(1.2, noisy).drifts
    assert judge(1.5, noisy).drifts


def test_readings_that_drift_do_not_become_the_rule() -> None:
    rng = np.random.default_rng(1)
    hot = history(*[1.0] * 10, *rng.uniform(1.3, 2.6, 40))
    assert judge(1.0, hot).expected_ms == 1.0
    assert judge(1.6, hot).drifts


def test_a_device_that_changed_for_good_gets_a_new_rule() -> None:
    changed = history(*[1.0] * 30, *[1.5] * (NEW_WAY - 1))
    assert judge(1.5, changed).drifts
    changed = history(*[1.0] * 30, *[1.5] * NEW_WAY, 1.52)
    assert not judge(1.5, changed).drifts
    assert judge(1.0, changed).drifts


@given(st.lists(LATENCIES, max_size=80), LATENCIES)
def test_every_reading_gets_a_verdict(before: list[float], now: float) -> None:
    verdict = judge(now, history(*before))
    if verdict.expected_ms is not None:
        assert verdict.limit_ms is not None
        limits = (FLOOR * verdict.expected_ms, CEILING * verdict.expected_ms)
        assert limits[0] <= verdict.limit_ms * (1 + 1e-9)
        assert verdict.limit_ms <= limits[1] * (1 + 1e-9)
    assert str(verdict)


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path))
    kept = History.of(FACTS, Settings(), canary.canary_model())
    kept.take(1.0, 31.5)
    (found,) = (tmp_path / "canary").iterdir()
    return found


def test_the_history_lasts_from_job_to_job(file: Path) -> None:
    for _ in range(LEAST - 1):
        again = History.of(FACTS, Settings(), canary.canary_model())
        assert not again.take(1.0).drifts
    again = History.of(FACTS, Settings(), canary.canary_model())
    assert again.take(2.0, 55.0).drifts
    last = json.loads(file.read_text().splitlines()[-1])
    assert (last["median_ms"], last["temperature_c"], last["drifts"]) == (2.0, 55.0, True)
    assert last["at"].startswith("20")


def test_another_way_of_running_it_has_another_history(file: Path) -> None:
    model = canary.canary_model()
    assert History.of(FACTS, Settings(), model).readings
    for facts, settings in (
        (FACTS, Settings(threads=2)),
        (FACTS, Settings(cpus=(4,))),
        (DeviceFacts("adb://X", "aarch64", "c", 8, None, "o", None, "benchmark_model", "2.1"), Settings()),
        (
            DeviceFacts(FACTS.address, "aarch64", "c", 8, None, "o", None, "benchmark_model", "2.2"),
            Settings(),
        ),
    ):
        assert not History.of(facts, settings, model).readings


@pytest.mark.parametrize(
    "line",
    [
        b'{"median_ms": 1.0, "at": "20',
        b"\xff\x00",
        b"[]",
        b"7",
        b'{"median_ms": "x", "at": ""}',
        b'{"median_ms": -1, "at": ""}',
        b'{"median_ms": NaN, "at": ""}',
        b'{"median_ms": 1, "at": "", "more": 1}',
        b"[" * 999,
        b"{" * 100_000,
    ],
)
def test_lines_that_make_no_sense_are_left_out(file: Path, line: bytes) -> None:
    with file.open("ab") as end:
        end.write(line)
    kept = History.of(FACTS, Settings(), canary.canary_model())
    assert [one.median_ms for one in kept.readings] == [1.0]
    kept.take(1.1)
    assert [one.median_ms for one in History(file).readings] == [1.0, 1.1]


def test_the_file_does_not_grow_for_ever(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "LINES_KEPT", 10)
    kept = History(file)
    for number in range(30):
        kept.take(1.0 + number / 1000)
    assert len(file.read_text().splitlines()) == 10
    assert History(file).readings == kept.readings


class Answering:
    """A device with prepared answers."""

    def __init__(self, *answers: Pass | Failure | Exception) -> None:
        self.answers = answers

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        for answer in self.answers:
            if isinstance(answer, Exception):
                raise answer
            yield answer


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ((Failure("c", "0", "WorkerCrashed", "signal 11"),), WorkerCrashed),
        ((LinkLost("the cable"),), LinkLost),
        ((), DeviceTrouble),
    ],
)
def test_a_canary_that_cannot_be_measured_is_an_error(
    answers: tuple[Failure | Exception, ...], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        canary.read(Answering(*answers), canary.canary_model())  # type: ignore[arg-type]
