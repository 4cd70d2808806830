"""Power rails of boards, from the kernel's files to the energy of an inference."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.facts.power import MOST_MW, board_mw
from devices.measurement import ModelFile, Pass
from devices.plan import Plan
from devices.registry import open_device
from devices.runners import litert
from devices.runners import litert_worker as worker

RAILS = Path(__file__).with_name("rails")
BOARDS = sorted(path.stem for path in RAILS.glob("jetson-*.txt"))
#: what the module draws, by hand
WHOLE_MW = {
    "jetson-agx-orin": 12.008 * 280 + 12.008 * 40 + 4.968 * 980,  # the fourth rail is within the third
    "jetson-agx-xavier": 310 + 1240 + 930 + 0 + 155 + 1720,
    "jetson-nano": 1750,
    "jetson-tx2": 3247,
    "jetson-xavier-nx": 5.024 * 720,
}


def monitors(board: str, folder: Path) -> str:
    """A board's power monitors as files; the pattern of their folders."""
    for line in (RAILS / f"{board}.txt").read_text(encoding="utf-8").splitlines():
        path, _, content = line.partition(" ")
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if content:
            file.write_text(f"{content}\n")
        else:
            file.mkdir()  # cannot be read
    return str(folder / "ina3221*")


def test_every_board_is_told_where_it_is_from() -> None:
    said = (RAILS / "README.txt").read_text(encoding="utf-8")
    assert set(BOARDS) == set(WHOLE_MW)
    assert all(f"\n{board} " in said for board in BOARDS)


@pytest.mark.parametrize("board", BOARDS)
def test_the_power_of_a_board(board: str, tmp_path: Path) -> None:
    rails = worker.PowerRails(monitors(board, tmp_path))
    reading = rails.read()
    assert reading is not None
    assert board_mw(reading) == pytest.approx(WHOLE_MW[board])
    assert not {"NC", "", "sum of shunt voltages"} & reading.keys()


def test_a_machine_without_monitors_has_no_rails(tmp_path: Path) -> None:
    assert worker.PowerRails(str(tmp_path / "ina3221*")).rails == {}
    assert board_mw({}) is None


def test_rails_of_the_carrier_board_alone_tell_nothing() -> None:
    assert board_mw({"VDD_MUX": 5124.0, "VDD_3V3_SYS": 46.0}) is None
    assert board_mw({"VDD_IN": 0.0}) is None
    assert board_mw({"VDD_IN": 2 * MOST_MW}) is None
    assert board_mw({"VDDQ_VDD2_1V8AO": 400.0}) == 400.0


@given(
    st.dictionaries(st.sampled_from(("VDD_IN", "GPU", "CPU", "VDD_MUX", "VIN_SYS_5V0")), st.floats(0, 1e7))
)
def test_a_power_is_one_or_unknown(rails: dict[str, float]) -> None:
    found = board_mw(rails)
    assert found is None or 0 < found <= MOST_MW


def test_a_rail_that_cannot_be_read_any_more_makes_no_reading(tmp_path: Path) -> None:
    rails = worker.PowerRails(monitors("jetson-xavier-nx", tmp_path))
    file = tmp_path / "ina3221/7-0040/hwmon/hwmon6/curr2_input"
    file.write_text("busy\n")
    assert rails.read() is None
    file.write_text("-8\n")
    reading = rails.read()
    assert reading is not None
    assert reading["VDD_CPU_GPU_CV"] == 0.0  # a small current reads as a negative one


def test_a_meter_gives_means_or_nothing(tmp_path: Path) -> None:
    rails = worker.PowerRails(monitors("jetson-nano", tmp_path))
    with worker.PowerMeter(rails, None) as meter:
        time.sleep(0.25)
    assert meter.mean_mw() == {"POM_5V_IN": 1750, "POM_5V_GPU": 0, "POM_5V_CPU": 366}
    with worker.PowerMeter(rails, None) as short:
        pass
    assert short.mean_mw() is None


@pytest.fixture
def jetson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine's worker finds the power monitors of an Xavier NX in the folder given back."""
    folder = tmp_path / "drivers"
    pattern = monitors("jetson-xavier-nx", folder)
    source = litert.WORKER_FILE.read_text(encoding="utf-8")
    changed = source.replace(f'POWER_MONITORS = "{worker.POWER_MONITORS}"', f'POWER_MONITORS = "{pattern}"')
    assert changed != source
    file = tmp_path / "litert_worker.py"
    file.write_text(changed)
    monkeypatch.setattr(litert, "WORKER_FILE", file)
    return folder


def measure(small: ModelFile, plan: Plan) -> Pass:
    device = open_device("local")
    try:
        (found,) = device.stream([small], plan)
    finally:
        device.close()
    assert isinstance(found, Pass), found
    return found


def test_a_pass_has_its_energy_where_the_board_tells(jetson: Path, small: ModelFile) -> None:
    plan = Plan(warmup_runs=1, min_runs=20)
    found = measure(small, plan)
    assert found.energy_mj is not None
    run_ms = found.energy_mj / WHOLE_MW["jetson-xavier-nx"] * 1000
    assert 0.5 * min(found.samples_ms) < run_ms < 20 * max(found.samples_ms)
    for file in jetson.rglob("curr1_input"):
        file.unlink()
    assert measure(small, plan).energy_mj is None  # not the sum of the rails that are left


def test_a_pass_on_this_machine_has_none(small: ModelFile) -> None:
    assert measure(small, Plan(warmup_runs=1, min_runs=5)).energy_mj is None


def test_a_deadline_that_is_near_leaves_no_time_for_it(jetson: Path, small: ModelFile) -> None:
    assert jetson.exists()
    assert measure(small, Plan(warmup_runs=1, min_runs=5, deadline_s=1.0)).energy_mj is None
