import json
import math
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnas.config import differences
from mnas.errors import BadInput, BadRun
from mnas.jsonl import mend, write_whole
from mnas.run import Result, RunConfig, append_jsonl, make_run, open_run, read_jsonl, read_run
from mnas.wanted import OtherCost

CONFIG = RunConfig(
    space="mnasnet-small-images",
    resolution=32,
    dataset="digits",
    channels=1,
    classes=10,
    latency="device",
    target_ms=1.5,
    controller="random",
    trials=4,
    training={"steps": 10, "learning_rate": 0.1, "augment": "none"},
)
RESULT = Result(3, (0, 1, 2), "in_8x8x1,cv_r1_k3_s1_c8,fc_2", 0.5, 1.25, "trained", 0.1)
STUDY = '{"op_code":0,"study_name":"search","directions":[2,1]}\n'

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
configs = st.builds(
    RunConfig,
    space=names,
    resolution=st.integers(1, 1000),
    width=st.none() | st.floats(0.01, 10),
    dataset=names,
    channels=st.integers(1, 4),
    classes=st.integers(1, 1000),
    latency=st.just("table"),
    table=names,
    table_sha256=st.none() | names,
    dtype=st.sampled_from(["float32", "int8"]),
    target_ms=st.floats(0.001, 1000),
    cap_ms=st.none() | st.floats(1000, 1e6),
    controller=names,
    trials=st.integers(1, 10**6),
    seed=st.integers(0, 2**32 - 1),
    validation_share=st.floats(0.01, 0.99),
    training=st.dictionaries(
        names, st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | names, max_size=3
    ),
)


@given(configs)
def test_configurations_survive_toml(config: RunConfig) -> None:
    assert RunConfig.from_toml(config.to_toml()) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("space = ", "not TOML"),
        (CONFIG.to_toml().replace("schema = 1", "schema = 2"), "schema version is 2; .* reads 1"),
        (CONFIG.to_toml().replace("schema = 1\n", ""), "schema version is None"),
        (CONFIG.to_toml().replace("space =", "sapce ="), "unknown field 'sapce'"),
        (CONFIG.to_toml().replace('dataset = "digits"\n', ""), r"missing field\(s\): dataset$"),
        ("schema = 1", r"missing field\(s\): space, resolution, dataset, channels, classes, target_ms, "),
        (
            CONFIG.to_toml().replace("resolution = 32", 'resolution = "32"'),
            "resolution is '32'; it must be int",
        ),
        (CONFIG.to_toml().replace("trials = 4", "trials = true"), "trials is True; it must be int"),
        (CONFIG.to_toml().replace("trials = 4", "trials = 0"), "trials is 0; it must be 1 or more"),
        (CONFIG.to_toml().replace("steps = 10", "steps = [10]"), "training.steps is"),
    ],
)
def test_bad_configurations_say_what_is_wrong(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(BadRun, match=message) as caught:
        read_run(tmp_path)
    assert str(tmp_path / "config.toml") in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_ms": 0.0}, "target_ms is 0.0"),
        ({"target_ms": float("nan")}, "target_ms is nan"),
        ({"cap_ms": 1.0}, "cap_ms is 1, below target_ms 1.5"),
        ({"seed": -1}, "seed is -1"),
        ({"validation_share": 1.0}, "validation_share is 1.0"),
        ({"latency": "guess"}, "allowed: table, device"),
        ({"dtype": "float16"}, "allowed: float32, int8"),
        ({"latency": "table"}, "no table is given"),
    ],
)
def test_unusable_settings_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        replace(CONFIG, **changes)  # type: ignore[arg-type]  # any field


def test_what_may_change_and_what_may_not() -> None:
    assert differences(CONFIG, CONFIG) == ()
    assert differences(CONFIG, replace(CONFIG, trials=5)) == ()
    assert differences(CONFIG, replace(CONFIG, trials=3)) == ("trials is 4, not 3; trials may only grow",)
    wanted = replace(CONFIG, seed=1, cap_ms=3.0, training={"steps": 20})
    assert differences(CONFIG, wanted) == (
        "cap_ms is not set, not 3.0",
        "seed is 0, not 1",
        "training is (augment=none, learning_rate=0.1, steps=10), not (steps=20)",
    )
    assert differences(wanted, replace(wanted, cap_ms=None)) == ("cap_ms is 3.0, and now left out",)
    table = replace(CONFIG, latency="table", table="a.db", table_sha256="1")
    assert differences(table, replace(table, table="b.db")) == ()
    assert len(differences(table, replace(table, table="b.db", table_sha256="2"))) == 2


def test_a_run_is_made_once_and_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "x"
    with make_run(path, CONFIG) as run:
        run.record(RESULT)
        assert run.models.is_dir()
    with make_run(path, CONFIG) as run:
        assert run.results() == [RESULT]
    with make_run(path, replace(CONFIG, trials=9)):
        pass
    assert read_run(path).config == replace(CONFIG, trials=9)
    with open_run(path) as run:
        assert run.config.trials == 9
        assert run.trained() == [RESULT]
    assert run.log_file.read_text().count(f"opened by process {os.getpid()}") == 4


def test_another_configuration_is_refused_by_field(tmp_path: Path) -> None:
    with make_run(tmp_path / "x", CONFIG) as run:
        run.record(RESULT)
    with (
        pytest.raises(BadRun, match=r"other settings: seed is 0, not 4\. Go on .* mnas search -o .*x"),
        make_run(tmp_path / "x", replace(CONFIG, seed=4)),
    ):
        pass
    assert read_run(tmp_path / "x").config == CONFIG


def test_settings_can_be_corrected_while_there_is_no_result(tmp_path: Path) -> None:
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    for number, table in enumerate((first, second)):
        with closing(sqlite3.connect(table)) as connection:
            connection.execute(f"CREATE TABLE t{number} (x)")
    with make_run(tmp_path / "x", CONFIG, first) as run:
        run.journal.write_text(STUDY)
        run.results_file.touch()
    corrected = replace(CONFIG, validation_share=0.2)
    with make_run(tmp_path / "x", corrected, second) as run:
        assert not run.journal.exists()
        with closing(sqlite3.connect(run.table)) as copy:
            assert copy.execute("SELECT name FROM sqlite_master").fetchall() == [("t1",)]
        run.journal.write_text(STUDY)
    assert read_run(tmp_path / "x").config == corrected
    assert "validation_share is 0.1, not 0.2" in run.log_file.read_text()
    with make_run(tmp_path / "x", corrected) as run:
        assert run.journal.exists()
        run.record(RESULT)
    with pytest.raises(BadRun, match=r"validation_share is 0\.2, not 0\.1"), make_run(tmp_path / "x", CONFIG):
        pass


def test_a_run_whose_results_went_lost_counts_as_begun(tmp_path: Path) -> None:
    with make_run(tmp_path / "x", CONFIG) as run:
        run.record(RESULT)
        run.journal.write_text(STUDY)
        with run.journal.open("a") as file:
            for operation in (
                {"op_code": 4, "study_id": 0, "datetime_start": "2026-01-02T03:04:05"},
                {"op_code": 6, "trial_id": 0, "state": 1, "values": [0.5, 1.25]},
            ):
                file.write(json.dumps(operation) + "\n")
    run.results_file.unlink()
    before = run.journal.read_bytes()
    assert run.begun
    for trials in (2, 9):
        with (
            pytest.raises(BadRun, match=r"trial 0 finished, but its result is missing; restore .*results"),
            make_run(tmp_path / "x", replace(CONFIG, trials=trials, seed=4)),
        ):
            pass
    assert run.journal.read_bytes() == before
    assert read_run(tmp_path / "x").config == CONFIG


@pytest.mark.parametrize("place", ["/proc/x", "/etc/passwd/x", "/", "x" * 300, "/dev/null"])
def test_places_where_no_run_can_be_are_refused_by_name(place: str) -> None:
    with pytest.raises(BadRun, match=place[:100].removesuffix("/x")), make_run(place, CONFIG):
        pass


@pytest.mark.parametrize("name", ["lock", "log.txt", "config.toml.tmp"])
def test_a_run_that_cannot_be_written_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with make_run(tmp_path / "x", CONFIG):
        pass
    (tmp_path / "x" / name).unlink(missing_ok=True)
    (tmp_path / "x" / name).mkdir()
    with (
        pytest.raises(BadRun, match=rf"x/{name}: Is a dir"),
        make_run(tmp_path / "x", replace(CONFIG, trials=9)),
    ):
        pass


def test_a_full_disk_is_told_with_the_file_s_name(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as caught:
        append_jsonl(file, {"a": "b" * 100_000})
    assert caught.value.filename == str(file)
    (tmp_path / "y.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_whole(tmp_path / "y", b"content")
    assert caught.value.filename == str(tmp_path / "y")
    assert not (tmp_path / "y").exists()


def test_foreign_directories_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with (
        pytest.raises(BadRun, match=r"not a run directory, and not empty: it holds thesis\.tex"),
        make_run(tmp_path, CONFIG),
    ):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(BadRun, match="is a file"), make_run(tmp_path / "thesis.tex", CONFIG):
        pass
    with pytest.raises(BadRun, match=r"it has no config\.toml"):
        read_run(tmp_path)
    with pytest.raises(BadRun, match=r"it has no config\.toml"), open_run(tmp_path / "nowhere"):
        pass
    assert not (tmp_path / "nowhere").exists()


def test_a_start_that_was_killed_before_the_configuration_was_written_begins_anew(tmp_path: Path) -> None:
    for name in ("lock", "config.toml.tmp", "table.db", "table.db.tmp", "table-pi5.db.tmp-journal"):
        (tmp_path / name).write_text("half")
    with make_run(tmp_path, CONFIG) as run:
        assert run.results() == []


def test_the_table_is_copied_with_what_is_in_it(tmp_path: Path) -> None:
    table = tmp_path / "a table?.db"
    with closing(sqlite3.connect(table)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (x)")
        connection.execute("INSERT INTO t VALUES (42)")
        connection.commit()
        with make_run(tmp_path / "x", CONFIG, table) as run, closing(sqlite3.connect(run.table)) as copy:
            assert copy.execute("SELECT x FROM t").fetchall() == [(42,)]
    (tmp_path / "no.db").write_text("this is no database, however long it may be" * 100)
    with (
        pytest.raises(BadRun, match="cannot copy the latency table"),
        make_run(tmp_path / "y", CONFIG, tmp_path / "no.db"),
    ):
        pass
    with (
        pytest.raises(BadRun, match="cannot copy the latency table"),
        make_run(tmp_path / "y", CONFIG, tmp_path / "none.db"),
    ):
        pass
    assert not (tmp_path / "y" / "config.toml").exists()


def database(path: Path, name: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE {name} (x)")
    return path


def test_other_devices_tables_are_copied_beside_the_first(tmp_path: Path) -> None:
    first, second = database(tmp_path / "a.db", "a"), database(tmp_path / "b.db", "b")
    also = {
        "latency_ms:pi5": OtherCost(cap=80.0, table=str(second), device="pi5", threads=4),
        "energy_mj:pi5": OtherCost(),
        "parameters": OtherCost(cap=1e6),
    }
    wanted = replace(CONFIG, latency="table", table=str(first), also=also)
    with make_run(tmp_path / "x", wanted, first) as run:
        assert sorted(path.name for path in run.path.glob("*.db")) == ["table-pi5.db", "table.db"]
        assert run.table_of(None) == run.table
        for device, name in ((None, "a"), ("pi5", "b")):
            with closing(sqlite3.connect(run.table_of(device))) as copy:
                assert copy.execute("SELECT name FROM sqlite_master").fetchall() == [(name,)]
    assert read_run(tmp_path / "x").config == wanted
    second.unlink()
    with make_run(tmp_path / "x", wanted) as run:  # it goes on with its own copies
        assert run.table_of("pi5").exists()


def test_what_belongs_to_settings_that_are_replaced_goes(tmp_path: Path) -> None:
    with make_run(tmp_path / "x", CONFIG) as run:
        for file in (run.journal, run.reference_file, run.gaps):
            file.write_text(STUDY)
    with make_run(tmp_path / "x", CONFIG) as run:
        assert run.reference_file.exists()
    with make_run(tmp_path / "x", replace(CONFIG, target_ms=3.0)) as run:
        assert not any(file.exists() for file in (run.journal, run.reference_file, run.gaps))


HOLD = """
import sys, time
from mnas.run import open_run
with open_run(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_with_the_first_ones_pid(tmp_path: Path) -> None:
    with make_run(tmp_path / "x", CONFIG):
        pass
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "x"], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    for attempt in (open_run(tmp_path / "x"), make_run(tmp_path / "x", CONFIG)):
        with pytest.raises(BadRun, match=rf"in use by process {holder.pid}\b"), attempt:
            pass
    assert read_run(tmp_path / "x").results() == []  # reading is free
    holder.kill()
    holder.communicate()
    started = time.monotonic()
    with open_run(tmp_path / "x"):
        assert time.monotonic() - started < 1


def test_even_this_process_cannot_open_a_run_twice(tmp_path: Path) -> None:
    with (
        make_run(tmp_path / "x", CONFIG),
        pytest.raises(BadRun, match=rf"in use by process {os.getpid()}"),
        open_run(tmp_path / "x"),
    ):
        pass


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text() | st.none(), max_size=3)),
    st.data(),
)
def test_lines_torn_at_any_byte_lose_only_the_last(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, object]], data: st.DataObject
) -> None:
    file = tmp_path_factory.mktemp("lines") / "x.jsonl"
    for record in records:
        append_jsonl(file, record)
    assert list(read_jsonl(file)) == records
    whole = file.read_bytes() if records else b""
    kept = data.draw(st.integers(0, len(whole)))
    file.write_bytes(whole[:kept])
    complete = records[: whole[:kept].count(b"\n")]
    assert list(read_jsonl(file)) == complete
    append_jsonl(file, {"next": 1})
    assert list(read_jsonl(file)) == [*complete, {"next": 1}]


def test_a_long_torn_line_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"one\n" + b"x" * 10_000)
    mend(file)
    assert file.read_bytes() == b"one\n"
    file.write_bytes(b"x" * 10_000)
    mend(file)
    assert file.read_bytes() == b""


def test_lines_refuse_figures_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_jsonl(tmp_path / "x", {"accuracy": float("nan")})
    assert not (tmp_path / "x").exists()


def changed(**fields: object) -> str:
    return json.dumps({**asdict(RESULT), "number": 9, **fields})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "is not a JSON object: b'nonsense"),
        ("[1]", "is not a JSON object"),
        ("[" * 10_000, "is not a JSON object"),
        ('{"number": 1}', r"missing field\(s\): choices, architecture, accuracy, "),
        (changed(choices=3), "choices is 3; it must be a list of whole numbers, 0 or more"),
        (changed(choices=[0, -1]), r"choices is \[0, -1\]; it must be a list"),
        (changed(choices=["x"]), "choices is"),
        (changed(number="1"), "number is '1'; it must be a whole number, 0 or more"),
        (changed(costs=None), "costs is None; it must be numbers above 0 by name"),
        (changed(costs={"parameters": "many"}), "costs is {'parameters': 'many'}; it must be"),
        (changed(measured_ms=[]), r"measured_ms is \[\]; it must be"),
        (changed(accuracy="x"), "accuracy is 'x'; it must be a number from 0 to 1 or null"),
        (changed(accuracy=math.nan), "accuracy is nan; it must be a number from 0 to 1"),
        (changed(accuracy=None), "result 9 is trained, so it needs accuracy"),
        (changed(latency_ms=0), "latency_ms is 0; it must be a number above 0"),
        (changed(latency_ms=math.inf), "latency_ms is inf"),
        (changed(architecture=None), "architecture is None; it must be a text"),
        (
            changed(state=["trained"]),
            r"state is \['trained'\]; it must be one of trained, infeasible, failed",
        ),
        (changed(seconds=None), "seconds is None; it must be a number, 0 or more"),
        (changed(reward="high"), "reward is 'high'; it must be a finite number or null"),
        (changed(repeats="0"), "repeats is '0'"),
        (changed(colour=1), "there is no field 'colour'"),
        (changed(number=RESULT.number), "trial 3 has a result in line 1 already; remove the wrong one"),
    ],
)
def test_a_damaged_line_within_results_is_named(tmp_path: Path, line: str, message: str) -> None:
    with make_run(tmp_path, CONFIG) as run:
        run.record(RESULT)
        with run.results_file.open("a") as file:
            file.write(f"{line}\n")
        run.record(replace(RESULT, number=11))
        with pytest.raises(BadRun, match=rf"results\.jsonl, line 2(,|:) {message}") as caught:
            run.results()
    assert str(caught.value).count("results.jsonl") == 1


def test_results_of_before_intervals_and_other_costs_were_kept_are_read(tmp_path: Path) -> None:
    later = {"low_ms", "high_ms", "costs", "measured_ms", "reward"}
    with make_run(tmp_path, CONFIG) as run:
        record = {name: value for name, value in asdict(RESULT).items() if name not in later}
        append_jsonl(run.results_file, record)
        assert run.results() == [RESULT]


def test_all_of_a_result_is_kept(tmp_path: Path) -> None:
    whole = replace(
        RESULT,
        costs={"latency_ms:pi5": 7.5, "parameters": 1e5},
        measured_ms={"latency_ms:pi5": 7.25},
        reward=0.25,
        low_ms=1.0,
        high_ms=1.5,
    )
    with make_run(tmp_path, CONFIG) as run:
        run.record(whole)
        assert run.results() == [whole]
    assert whole.figures() == {"latency_ms": 1.25, "latency_ms:pi5": 7.5, "parameters": 1e5}
    assert RESULT.figures("ms") == {"ms": 1.25}
    assert replace(RESULT, state="failed", accuracy=None, latency_ms=None).figures() == {}


@pytest.mark.parametrize(
    "changes", [{"state": "done"}, {"accuracy": None}, {"latency_ms": None}, {"state": "failed"}]
)
def test_results_are_consistent(changes: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        replace(RESULT, **changes)  # type: ignore[arg-type]  # any field
    with pytest.raises(BadInput, match="only trained ones have a point"):
        _ = replace(RESULT, state="failed", accuracy=None).point


def _append(path: Path) -> None:
    for number in range(200):
        append_jsonl(path, {"process": os.getpid(), "number": number})


def test_reading_while_another_process_appends(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    writer = multiprocessing.get_context("spawn").Process(target=_append, args=(file,))
    writer.start()
    while writer.is_alive():
        numbers = [record["number"] for record in read_jsonl(file)]
        assert numbers == list(range(len(numbers)))
    writer.join()
    assert len(file.read_text().splitlines()) == 200
    assert json.loads(file.read_text().splitlines()[-1])["number"] == 199
