"""What a search says at its end: what to do next, and what to change where caps ruled everything out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mnas.cli.runs import next_of
from mnas.cli.search_results import document, outcome, show
from mnas.run import Result, RunDirectory, make_run
from mnas.runs import standing
from mnas.status import status_of
from tests.mnas.toy import config


def trained(number: int) -> Result:
    return Result(number, (number,), f"net {number}", 0.5 + number / 100, 1.0 + number, "trained", 1.0)


def ruled_out(number: int) -> Result:
    return Result(number, (number,), f"net {number}", None, 9.0, "infeasible", 0.0)


def failed(number: int) -> Result:
    return Result(number, (number,), f"net {number}", None, 1.0, "failed", 1.0, "a crash")


def made(path: Path, *results: Result, **settings: object) -> RunDirectory:
    with make_run(path, config(**{"trials": 3, **settings})) as run:
        for result in results:
            run.record(result)
    return run


@pytest.mark.parametrize(
    ("results", "exhausted", "following"),
    [
        ((), False, "mnas search --resume '{}'"),
        ((ruled_out(0), ruled_out(1)), False, "mnas search --resume '{}'"),
        ((trained(0),), False, "mnas search --resume '{}'"),
        ((trained(0),), True, "mnas finalize '{}'"),
        ((trained(0), trained(1), trained(2)), False, "mnas finalize '{}'"),
        ((ruled_out(0),), True, None),
    ],
)
def test_what_is_next_depends_on_what_is_left(
    results: tuple[Result, ...],
    exhausted: bool,
    following: str | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = made(tmp_path / "a run", *results)
    status = replace(status_of(run), exhausted=exhausted)
    wanted = following and following.format(run.path)
    assert document(run, status)["next"] == wanted
    show(run, status)
    printed = " ".join(capsys.readouterr().out.split())
    assert (f"next: {wanted}" in printed) if wanted else ("next:" not in printed)
    assert ("nothing is trained" in printed) is not any(one.counts for one in results)
    if not exhausted:  # runs show says the same
        assert next_of(standing(run.path)) == wanted


@pytest.mark.parametrize(
    ("settings", "named"), [({}, True), ({"screened": "no"}, True), ({"screened": "ruled_out"}, False)]
)
def test_advice_names_what_would_pass_over_the_ruled_out(
    settings: dict[str, str], named: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made(tmp_path / "run", ruled_out(0), ruled_out(1), cap_ms=2.0, settings=settings)
    outcome(run, replace(status_of(run), stopped="500 proposals in a row were infeasible"))
    said = " ".join(capsys.readouterr().err.split())
    assert "2 proposals were above the cap of 2 ms: raise it in a new search" in said
    assert ("--controller-option screened=ruled_out" in said) is named


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ((trained(0), trained(1), ruled_out(2)), "1 proposals were above the cap of 2 ms"),
        ((trained(0), ruled_out(1), failed(2), failed(3)), "The trace of each failure"),
        ((failed(0), ruled_out(1), ruled_out(2)), "2 proposals were above the cap of 2 ms"),
    ],
)
def test_advice_is_about_what_hindered(
    results: tuple[Result, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made(tmp_path / "run", *results, cap_ms=2.0)
    outcome(run, replace(status_of(run), stopped="nothing that the caps allow was found, 20 times in a row"))
    assert said in " ".join(capsys.readouterr().err.split())
