"""`mnas table show` as its users see it: what it prints, its JSON fields and their document."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.command_line import Ended, running
from tests.mnas.tables import agrees

Run = Callable[..., Ended]

run = running("table")


def test_showing_a_table(run: Run, table: Path) -> None:
    document = json.loads(run("show", str(table), "--json").out)
    assert agrees(document, "show")
    assert document["purpose"]["resolution"] == 28
    assert document["complete_passes"] == 1
    assert len(document["operators"]) == sum(kind["operators"] for kind in document["kinds"])
    assert all(one["latency_ms"] > 0 for one in document["operators"])
    ended = run("show", str(table), "--top", "3")
    assert ended.code == 0
    assert "The 3 slowest operators" in ended.out
