from pathlib import Path

import pytest

from controllers.registry import create
from mnas.errors import BadRun
from mnas.run import make_run
from mnas.study import RunStudy, quiet_optuna
from mnas.study_log import ended_trials
from tests.mnas.test_study import SPACE, result
from tests.mnas.toy import config


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Of a trained, a failed, an infeasible, a cut-off and a waiting trial."""
    with quiet_optuna(), make_run(tmp_path / "run", config()) as run:
        study = RunStudy(run, SPACE, create("random", 3))
        done = [result(*study.ask(), state) for state in ("trained", "failed", "infeasible")]
        for one in done:
            study.tell(one)
        study.ask()
        study.reconcile(done)
        assert len(study.study.get_trials()) == 5
    return run.journal


def test_trials_that_ended_with_a_result(journal: Path) -> None:
    assert ended_trials(journal) == {0, 1, 2}
    assert ended_trials(journal.with_name("none")) == set()
    lines = journal.read_bytes().splitlines(keepends=True)
    found = set()
    for count in range(len(lines)):  # as it grew, and torn
        journal.write_bytes(b"".join(lines[:count]) + lines[count][:-1])
        assert ended_trials(journal) - found in (set(), {len(found)})
        found = ended_trials(journal)
    assert found == {0, 1, 2}


@pytest.mark.parametrize(
    "line",
    [
        "xxx",
        "",
        "\0" * 50,
        "[1]",
        "{}",
        "[" * 10_000,
        '{"op_code": 99}',
        '{"op_code": "4"}',
        '{"op_code": 4}',
        '{"op_code": 6, "trial_id": 5, "state": 1}',
        '{"op_code": 6, "trial_id": "0", "state": 1}',
        '{"op_code": 8, "trial_id": 0, "user_attr": 3}',
    ],
)
def test_a_damaged_line_is_named(journal: Path, line: str) -> None:
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([*lines, f"{line}\n"]))
    with pytest.raises(BadRun, match=rf"journal\.log, line {len(lines) + 1}, is no operation of a study: b"):
        ended_trials(journal)
