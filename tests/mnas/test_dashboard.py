"""A run's journal as optuna-dashboard reads it: through its own WSGI application, in this process."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from mnas.costs import parameters
from mnas.run import make_run
from mnas.search import search
from mnas.wanted import OtherCost
from tests.mnas.toy import MacsLatency, ToySpace, accuracy, config

dashboard = pytest.importorskip("optuna_dashboard", reason="needs optuna-dashboard, of the extra dev")


def get(app: Any, path: str) -> Any:
    """What the application answers to GET."""
    status: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.url_scheme": "http",
    }
    body = b"".join(app(environ, lambda line, *_: status.append(line)))
    assert status[0].startswith("200"), (status, body)
    return json.loads(body)


def test_the_dashboard_sees_trials_directions_and_what_they_are_of(tmp_path: Path) -> None:
    also = {"parameters": OtherCost(objective=True)}
    with make_run(tmp_path / "run", config(trials=6, cap_ms=2.5, also=also)) as run:
        space = ToySpace()
        status = search(
            space, "random", accuracy=accuracy, latency=MacsLatency(), costs=[parameters(space)], run=run
        )
    before = run.journal.read_bytes()
    app = dashboard.wsgi(JournalStorage(JournalFileBackend(str(run.journal))))
    (listed,) = get(app, "/api/studies")["study_summaries"]
    assert listed["study_name"] == "search"
    assert listed["directions"] == ["maximize", "minimize", "minimize"]
    shown = get(app, f"/api/studies/{listed['study_id']}")
    assert shown["objective_names"] == ["accuracy", "latency_ms", "parameters"]
    trials = {trial["number"]: trial for trial in shown["trials"]}
    assert len(trials) == len(status.results) >= 6
    for result in status.results:
        trial = trials[result.number]
        assert trial["state"] == {"trained": "Complete", "infeasible": "Pruned"}[result.state]
        if result.state == "trained":
            assert trial["values"] == pytest.approx([*result.point, result.costs["parameters"]])
        assert {param["name"] for param in trial["params"]} == {choice.name for choice in space.choices}
    assert run.journal.read_bytes() == before  # looking changes nothing
