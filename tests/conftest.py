"""In CI a skipped test is a failure, unless it waits for something that CI cannot have."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

#: one PostgreSQL server for all tests that want one
pytest_plugins = ["tests.latency_tables.postgresql"]
#: markers of tests that CI may skip: a phone or board, an arm64 root file system, torch
MAY_SKIP = frozenset({"hardware", "arm64", "gp"})


# a shared machine stalls now and then: time limits belong to pytest-timeout; fixed examples make runs repeat
hypothesis.settings.register_profile("mnas", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("mnas")


def _own_base(factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch) -> None:
    base: Path = factory.getbasetemp() / "leases" / os.urandom(8).hex()
    base.mkdir(parents=True)
    patch.setattr("devices.bench.place.BASES", ("/data/local/tmp", str(base)))


@pytest.fixture(scope="session", autouse=True)
def _devices_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Generator[None, None, None]:
    """Leases on this machine as a device are no real job's, also in shared fixtures; a phone has its own."""
    with pytest.MonkeyPatch.context() as patch:
        _own_base(tmp_path_factory, patch)
        yield


@pytest.fixture(autouse=True)
def _devices_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases on this machine as a device are no other test's."""
    _own_base(tmp_path_factory, monkeypatch)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    excused = any(item.get_closest_marker(name) for name in MAY_SKIP)
    if report.skipped and os.environ.get("CI") and not excused and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where nothing may be missing: {report.longrepr}"
    return report
