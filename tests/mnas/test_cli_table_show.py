"""`mnas table show` as its users see it: what it prints, its JSON fields and their document."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from latency_tables.exchange.importing import import_table, unknown_origin
from latency_tables.records import Given
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


def test_what_nobody_counted_is_unknown(run: Run, tmp_path: Path) -> None:
    unit = "relu/float32/1x8/1x8"
    figures = [Given(unit, 2.0, None, None, "imported")]
    import_table(str(tmp_path / "t.db"), unknown_origin({}), figures, given_from="the file f.csv")
    (one,) = json.loads(run("show", tmp_path / "t.db", "--json").out)["operators"]
    assert (one["observations"], one["std_error_percent"]) == (None, None)
    row = next(line for line in run("show", tmp_path / "t.db").out.splitlines() if unit in line)
    assert row.count("unknown") == 2
