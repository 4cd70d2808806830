from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mnas.errors import BadRun
from mnas.finalists.ledger import Ledger, Session, Trouble, read_model
from mnas.run import RunDirectory
from tests.mnas import finished


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return finished.finished(tmp_path_factory.mktemp("runs") / "run")


def copy_of(run: RunDirectory, path: Path) -> Ledger:
    path.write_bytes(run.finalists.read_bytes())
    return Ledger(path)


def test_records_join_to_one_network_per_element_type(run: RunDirectory) -> None:
    records = Ledger(run.finalists).read()
    finals = records.finals()
    assert [(one.name, one.dtype) for one in finals[:3]] == [
        ("trial-0", "float32"),
        ("trial-0", "int8"),
        ("trial-3", "float32"),
    ]
    assert [one.role for one in finals] == ["finalist"] * 6 + ["baseline"] * 4
    assert all(one.seeds == (0, 1) and len(one.accuracies) == 2 for one in finals)
    assert records.settings is not None
    assert records.settings["steps"] == 160
    assert records.test_images == 360


def test_measured_is_the_first_seeds_file_with_all_passes(run: RunDirectory) -> None:
    final = Ledger(run.finalists).read().finals()[1]
    assert final.measurement is not None
    assert final.measurement.sha256 == final.model.sha256
    assert final.model.file == "trial-0-int8.tflite"
    assert len(final.measurement.passes) == 2
    assert len(final.measurement.samples_ms) == 40
    assert final.measurement.context.settings.cpus == (1,)
    assert final.measurement.context.facts == finished.FACTS


def test_predictions_of_before_intervals_were_kept_are_read(run: RunDirectory, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in run.finalists.read_text().splitlines()]
    models = [model for line in lines if line["record"] == "trained" for model in line["models"]]
    for model in models:
        del model["predicted_low_ms"], model["predicted_high_ms"]
    int8 = next(model for model in models if model["dtype"] == "int8")
    lines.append({"record": "predicted", "sha256": int8["sha256"], "predicted_ms": 0.5, "table": "int8.db"})
    path = tmp_path / "finalists.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = Ledger(path).read().finals()
    assert found[1].model.sha256 == int8["sha256"]
    for final in found[:2]:
        assert final.model.predicted_ms is not None
        assert (final.model.predicted_low_ms, final.model.predicted_high_ms) == (None, None)


def test_what_is_written_reads_back(run: RunDirectory, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "finalists.jsonl")
    records = Ledger(run.finalists).read()
    for one in records.trained:
        ledger.add_trained(one)
    session = records.sessions[0]
    ledger.add_session(session)
    for one in session.passes:
        ledger.add_pass(1, one)
    trouble = Trouble("trial-0-int8.tflite", "measuring", "it crashed")
    ledger.add_unmeasured(1, trouble)
    again = ledger.read()
    assert again.trained == records.trained
    assert again.sessions == (replace(session, troubles=(trouble,), finished=False),)


def test_an_unfinished_session_does_not_count(run: RunDirectory, tmp_path: Path) -> None:
    ledger = copy_of(run, tmp_path / "finalists.jsonl")
    before = ledger.read().session
    assert before is not None
    ledger.add_session(Session(2, "local", before.models, {}))
    ledger.add_pass(2, before.passes[0])
    assert ledger.read().session == before
    ledger.add_finished(2)
    after = ledger.read()
    assert after.session is not None
    assert after.session.number == 2
    measured = [one.measurement for one in after.finals() if one.measurement is not None]
    assert len(measured) == 1
    assert len(measured[0].samples_ms) == 20


def test_a_torn_last_line_is_left_out(run: RunDirectory, tmp_path: Path) -> None:
    ledger = copy_of(run, tmp_path / "finalists.jsonl")
    content = ledger.path.read_bytes()
    ledger.path.write_bytes(content[:-30])
    assert len(ledger.read().accuracies) == len(Ledger(run.finalists).read().accuracies) - 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"record": "settings", "schema": 99}', "schema version is 99"),
        ('{"record": "surprise", "number": 1}', "unknown record 'surprise'"),
        ('{"record": "trained", "name": "x"}', "no record of finalists"),
        ('{"number": 1}', "no record of finalists"),
        ('{"record": "finished", "number": 7}', "belongs to no session"),
    ],
)
def test_other_lines_are_refused_by_number(
    run: RunDirectory, tmp_path: Path, line: str, message: str
) -> None:
    ledger = copy_of(run, tmp_path / "finalists.jsonl")
    number = len(ledger.path.read_text().splitlines()) + 1
    with ledger.path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(BadRun, match=f"line {number}") as error:
        ledger.read()
    assert message in str(error.value)


def test_a_pass_before_any_session_is_refused(tmp_path: Path) -> None:
    (tmp_path / "finalists.jsonl").write_text(json.dumps({"record": "finished", "number": 1}) + "\n")
    with pytest.raises(BadRun, match="line 1"):
        Ledger(tmp_path / "finalists.jsonl").read()


def test_no_file_is_no_records(tmp_path: Path) -> None:
    records = Ledger(tmp_path / "finalists.jsonl").read()
    assert records.finals() == ()
    assert records.session is None


def test_a_changed_or_missing_model_is_noticed(tmp_path: Path) -> None:
    run = finished.finished(tmp_path / "run", finalists=1, baselines=(), seeds=1)
    model = Ledger(run.finalists).read().finals()[0].model
    content = read_model(run, model)
    path = run.models / model.file
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BadRun, match="SHA-256 differs"):
        read_model(run, model)
    path.unlink()
    with pytest.raises(BadRun, match="--fresh"):
        read_model(run, model)


def test_passes_from_before_there_were_phones_are_read(run: RunDirectory, tmp_path: Path) -> None:
    """Without what came later: statistics of runners, temperatures, leases, clusters, delegates asked for."""
    lines = [json.loads(line) for line in run.finalists.read_text().splitlines()]
    for line in lines:
        if line["record"] != "pass":
            continue
        context = line["pass"]["context"]
        del line["pass"]["summary"], context["settings"]["delegate"]
        for later in ("frequency_khz", "temperature_before_c", "conditions", "fence", "libraries", "suspect"):
            del context[later]
        for later in ("runtime_sha256", "abi", "soc", "clusters", "os_build"):
            del context["facts"][later]
    old = Ledger(tmp_path / "finalists.jsonl")
    old.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert old.read() == Ledger(run.finalists).read()
