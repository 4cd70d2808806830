"""A table of a board that tells its power: what its passes keep, and what other networks are said to take."""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.plan import Plan
from devices.registry import open_device
from devices.runners import litert
from devices.runners import litert_worker as worker
from latency_tables.build import build
from latency_tables.fitting.resources import LEAST_NETWORKS, resources
from latency_tables.records import Network, Origin
from latency_tables.store import LatencyTable
from tests.devices.test_power import WHOLE_MW, monitors
from tests.latency_tables.test_phone_tables import draw

BOARD = "jetson-xavier-nx"
PLAN = Plan(passes=1, warmup_runs=1, min_runs=5, per_operator=True)


@pytest.fixture
def _on_a_jetson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's worker finds a Jetson's power monitors, whose readings stand still."""
    source = litert.WORKER_FILE.read_text(encoding="utf-8")
    pattern = monitors(BOARD, tmp_path / "drivers")
    file = tmp_path / "litert_worker.py"
    file.write_text(source.replace(f'"{worker.POWER_MONITORS}"', f'"{pattern}"'), encoding="utf-8")
    monkeypatch.setattr(litert, "WORKER_FILE", file)


@pytest.mark.usefixtures("_on_a_jetson")
def test_energy_is_kept_with_every_pass_and_predicted(tmp_path: Path) -> None:
    networks = [Network(f"anchor-{seed}", draw(seed, "float32"), "anchor") for seed in range(LEAST_NETWORKS)]
    device = open_device("local")
    try:
        table = LatencyTable.create(tmp_path / "t.db", Origin({}, device.facts, device.settings), networks)
        with table:
            build(table, device, PLAN)
            told = [burst.energy_mj for burst in table.bursts()]
            known = resources(table).energy
            graph = networks[0].graph
            prediction = table.predict(graph.specs)
            columns = set(table.frame().columns)
    finally:
        device.close()
    assert len(told) == LEAST_NETWORKS
    assert all(told)
    assert known is not None
    assert known.networks == LEAST_NETWORKS
    # the power stands still, and so is the same for all kinds, but for runs that take longer while it is read
    assert 0.5 * WHOLE_MW[BOARD] < known.common_mw < 5 * WHOLE_MW[BOARD]
    expected = known.common_mw * prediction.latency_ms / 1000
    assert known.predict(graph.specs, prediction) == pytest.approx(expected, rel=0.5)
    assert "energy_mj" in columns
