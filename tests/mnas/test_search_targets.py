"""The whole way from a table to the best network: a tighter target gives a faster one."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import numpy as np
import pytest

from latency_tables.store import LatencyTable
from mnas import spaces
from mnas.architecture import Architecture
from mnas.latency import TableLatency
from mnas.lower import lower
from mnas.search import search
from mnas.spaces import Space
from mnas.status import Status
from tests.mnas import measured_table
from tests.mnas.toy import MacsLatency, ToySpace


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(measured_table.make(tmp_path_factory.mktemp("tables") / "small.db"))


def stand_in(architecture: Architecture) -> float:
    """An accuracy that grows with the network, ever more slowly, as trained ones do."""
    macs = lower(architecture).macs
    return float(macs / (macs + 2e5))


def found(space: Space, latency: TableLatency, controller: str, target_ms: float, cap_ms: float) -> Status:
    return search(
        space, controller, accuracy=stand_in, latency=latency, target_ms=target_ms, cap_ms=cap_ms,
        reward="hard", trials=30, seed=1, settings={"screened": "no"},
    )  # fmt: skip


@pytest.mark.parametrize("controller", ["tpe", "regularized_evolution"])
def test_a_tighter_target_gives_a_faster_network(table: Path, controller: str) -> None:
    space = spaces.create("mnasnet-small-images", 28, measured_table.WIDTH, 1, 10)
    with LatencyTable.open(table) as opened:
        latency = TableLatency(opened)
        rng = np.random.default_rng(0)
        points = np.array([[rng.integers(len(c.options)) for c in space.choices] for _ in range(500)])
        usual = latency.vectorised(space)(points)
        tight_ms, loose_ms = np.quantile(usual, [0.1, 0.8])
        tight = found(space, latency, controller, tight_ms, 1.05 * tight_ms)
        loose = found(space, latency, controller, loose_ms, 1.05 * loose_ms)
        assert len(tight.trained) == len(loose.trained) == 30
        assert tight.best is not None
        assert loose.best is not None
        fast, slow = tight.best.point[1], loose.best.point[1]
        assert fast <= tight_ms < slow <= loose_ms
        assert tight.best.point[0] < loose.best.point[0]  # what the milliseconds buy
        assert latency.predict_ms(Architecture.parse(tight.best.architecture)) == pytest.approx(fast)
        # what the target rules out is never trained
        assert all(result.point[1] <= 1.05 * tight_ms for result in tight.trained)
        assert tight.count("infeasible") > 0


@pytest.mark.parametrize(("controller", "settings"), [("ppo", {"recipe": "small"}), ("reinforce", {})])
def test_a_policy_learns_to_propose_faster_networks_for_a_tighter_target(
    controller: str, settings: dict[str, str]
) -> None:
    """With the hard reward and no cap: nothing but the reward tells it of the target."""

    def halves(target_ms: float) -> tuple[float, float]:
        status = search(
            ToySpace(), controller, accuracy=stand_in, latency=MacsLatency(), target_ms=target_ms,
            reward="hard", trials=100, seed=0, settings=settings,
        )  # fmt: skip
        proposed = [result.point[1] for result in status.results]
        return median(proposed[:50]), median(proposed[50:])

    tight, loose = halves(0.7), halves(3.1)  # 5 and 80 % of random networks take less
    assert tight[1] < 0.75 * loose[1]
    assert tight[1] < 0.8 * tight[0]  # learned, not drawn
