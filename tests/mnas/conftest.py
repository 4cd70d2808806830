"""Fixtures of the tests of `mnas table`: one small table, built once on the local device."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from devices.registry import open_device
from latency_tables import build as building
from latency_tables import validate
from latency_tables.measuring import drift
from mnas.tables import open_or_create
from tests.mnas.tables import REQUEST


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete table of one pass; not to be written to."""
    path = tmp_path_factory.mktemp("tables") / "small.db"
    device = open_device("local")
    try:
        with open_or_create(path, REQUEST, device) as table:
            plan = replace(building.PLAN, passes=1, min_runs=5, min_time_s=0.0)
            assert building.build(table, device, plan).missing == ()
    finally:
        device.close()
    return path


@pytest.fixture
def table(built: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return Path(shutil.copy(built, tmp_path / "t.db"))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building and validating measure as briefly as they can; what is measured so may differ by anything."""
    monkeypatch.setattr(drift, "DRIFT_PERCENT", 1e6)
    monkeypatch.setattr(building, "PLAN", replace(building.PLAN, min_runs=3, min_time_s=0.0))
    monkeypatch.setattr(validate, "PLAN", replace(validate.PLAN, min_runs=3, min_time_s=0.0))
