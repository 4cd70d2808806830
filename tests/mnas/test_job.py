from __future__ import annotations

import shutil
import tomllib
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from devices import registry
from devices.errors import BadSettings
from devices.measurement import DeviceFacts, Settings
from devices.registry import open_device
from devices.runners.litert import LitertDevice
from latency_tables.errors import BadTable
from latency_tables.store import LatencyTable
from mnas import config as settings_of_searches
from mnas import job, search_costs, search_settings, search_tables, workers
from mnas.errors import BadInput, Infeasible
from mnas.run import Result, RunConfig, make_run
from tests.mnas import measured_table
from tests.mnas.finished import FACTS

GIVEN = {"dataset": "digits", "target_ms": 1.0}


@pytest.fixture(scope="module")
def here() -> DeviceFacts:
    with closing(open_device("local")) as device:
        return device.facts


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, here: DeviceFacts) -> Path:
    return measured_table.make(tmp_path_factory.mktemp("tables") / "small.db", facts=here)


def begun(table: Path | str, **given: object) -> RunConfig:
    return search_settings.begin({**GIVEN, "table": str(table), **given}, {})


def test_a_table_says_what_a_search_is_for(table: Path) -> None:
    config = begun(table, seed=7)
    assert (config.space, config.resolution, config.width) == ("mnasnet-small-images", 28, 0.05)
    assert (config.channels, config.classes, config.dtype, config.threads) == (1, 10, "float32", 1)
    usual = (search_settings.CONTROLLER, settings_of_searches.TRIALS, 7)
    assert (config.controller, config.trials, config.seed) == usual
    assert config.training["steps"] == search_settings.STEPS
    assert config.table_sha256 == search_tables.sha256(table)
    assert RunConfig.from_toml(config.to_toml()) == config
    assert None not in tomllib.loads(config.to_toml()).values()


def test_what_is_missing_is_named() -> None:
    with pytest.raises(BadInput, match=r"needs --dataset, --target-ms, --table; .* by -o"):
        search_settings.begin({}, {})
    with pytest.raises(BadInput, match="needs --space"):
        search_settings.begin({**GIVEN, "latency": "device"}, {})
    with pytest.raises(BadInput, match="not from both"):
        search_settings.begin({**GIVEN, "latency": "device", "table": "a.db"}, {})


def test_a_target_out_of_reach_is_refused(table: Path) -> None:
    with pytest.raises(Infeasible, match="reaches 1e-06 ms"):
        begun(table, target_ms=1e-6)


def test_a_table_of_something_else_is_refused(table: Path) -> None:
    with pytest.raises(BadInput, match=r"made for resolution 28, not 32; .*--resolution 32"):
        begun(table, resolution=32)


@pytest.mark.parametrize(
    ("roles", "lacks"),
    [
        ((), r"\d+ operators missing"),
        (("anchor",), r"\d+ operators missing"),
        (("cover",), "no anchor network"),
    ],
)
def test_an_incomplete_table_is_refused_with_the_way_on(
    tmp_path: Path, roles: tuple[str, ...], lacks: str
) -> None:
    path = measured_table.make(tmp_path / "half.db", roles=roles)
    with LatencyTable.open(path) as half:
        assert not half.ready
    with pytest.raises(BadInput, match=f"half.db is incomplete, {lacks}") as error:
        begun(path)
    command = str(error.value).partition("; go on with ")[2]
    assert command.startswith("mnas table build --space mnasnet-small-images --resolution 28 --width 0.05 ")
    assert command.endswith(f"--anchors 1 --seed 0 --cover-times 2 --device local --threads 1 -o {path}")


def test_a_run_whose_table_is_incomplete_does_not_search(tmp_path: Path, table: Path) -> None:
    half = measured_table.make(tmp_path / "half.db", roles=("anchor",))
    with (
        make_run(tmp_path / "run", begun(table), half) as run,
        pytest.raises(BadInput, match="operators missing"),
    ):
        job.search_run(run)


def test_a_table_of_this_machine_gives_no_warning(tmp_path: Path, table: Path) -> None:
    with make_run(tmp_path / "run", begun(table), table) as run:
        assert search_tables.table_warnings(run) == ()


def test_a_table_from_elsewhere_is_pointed_out_by_what_differs(tmp_path: Path, here: DeviceFacts) -> None:
    facts = replace(here, cpu_model="Another CPU", runtime_version="0.0.1", memory_bytes=1)
    table = measured_table.make(tmp_path / "other.db", facts=facts)
    with make_run(tmp_path / "run", begun(table), table) as run:
        (text,) = search_tables.table_warnings(run)
    assert "the table's is 'Another CPU'" in text
    assert f"runtime_version is '{here.runtime_version}', the table's is '0.0.1'" in text
    assert "memory" not in text
    assert text in run.log_file.read_text()


def test_a_table_of_this_machine_as_it_was_is_refused_by_what_differs(
    tmp_path: Path, here: DeviceFacts
) -> None:
    table = measured_table.make(tmp_path / "old.db", facts=replace(here, runtime_version="0.0.1"))
    said = f"runtime_version is '{here.runtime_version}', the table's is '0.0.1'"
    with pytest.raises(BadInput, match=f"{said}.* mnas table build .*--across runtime_version$"):
        begun(table)
    with pytest.raises(BadInput, match=said):
        begun(table, device="local")
    given = {**GIVEN, "table": str(table)}
    with pytest.raises(BadInput, match=said):
        search_settings.begin(given, {}, across=["os_build"])
    config = search_settings.begin(given, {}, across=["os_build", "runtime_version"])
    with make_run(tmp_path / "run", config, table) as run:
        assert said in "".join(search_tables.table_warnings(run))
    with pytest.raises(BadTable, match="'weather' is nothing in which devices differ"):
        search_settings.begin(given, {}, across=["weather"])


def test_a_table_of_another_machine_is_refused_where_this_one_is_asked_for(tmp_path: Path) -> None:
    table = measured_table.make(tmp_path / "other.db", facts=replace(FACTS, cpu_model="Another CPU"))
    with pytest.raises(BadInput, match=r"the table's is 'Another CPU'.*--across cpu_model"):
        begun(table, device="local")
    assert begun(table).device == "local"


def test_another_governor_is_refused_where_the_device_tells_it(
    tmp_path: Path, here: DeviceFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = measured_table.make(tmp_path / "t.db", facts=here, governor="performance")
    monkeypatch.setattr(LitertDevice, "governor_now", lambda _: None)
    assert begun(table).device == "local"
    monkeypatch.setattr(LitertDevice, "governor_now", lambda _: "powersave")
    with pytest.raises(BadInput, match=r"governor is 'powersave', the table's is 'performance'"):
        begun(table)


def test_a_stale_table_is_pointed_out(tmp_path: Path, table: Path) -> None:
    old = Path(shutil.copy(table, tmp_path / "old.db"))
    with LatencyTable.open(old) as opened:
        opened.mark_stale("the reference takes 9 % longer")
    with make_run(tmp_path / "run", begun(old), old) as run:
        (text,) = search_tables.table_warnings(run)
    assert "is stale, the reference takes 9 % longer" in text


def test_a_device_that_is_not_there_is_no_obstacle(tmp_path: Path) -> None:
    table = measured_table.make(tmp_path / "board.db", facts=replace(FACTS, address="board"))
    with make_run(tmp_path / "run", begun(table), table) as run:
        assert search_tables.table_warnings(run) == ()


def test_going_on_changes_only_what_is_asked_for(table: Path) -> None:
    config = begun(table)
    assert search_settings.resume(config, {}, {}) == config
    assert search_settings.resume(config, {"table": str(table)}, {}) == config
    longer = search_settings.resume(config, {"trials": 99}, {"epochs": 2.0})
    assert longer.trials == 99
    assert longer.training.get("epochs") == 2.0
    assert "steps" not in longer.training
    with pytest.raises(BadInput, match="there is no latency table gone"):
        search_settings.resume(config, {"table": "gone.db"}, {})


def test_a_table_on_a_server_becomes_the_runs_own_copy(
    tmp_path: Path, postgresql_url: str, here: DeviceFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its password is in no file of the run."""
    measured_table.make(postgresql_url, facts=here)
    with pytest.raises(BadInput, match=r"//lab:\*\*\*@.* give the password by PGPASSWORD"):
        begun(postgresql_url)
    plain = postgresql_url.replace(":p%26w%20d!5", "")
    monkeypatch.setenv("PGPASSWORD", "p&w d!5")
    config = begun(plain)
    assert (config.table, config.table_sha256) == (plain, search_tables.sha256(plain))
    with make_run(tmp_path / "run", config, config.table) as run, search_costs.opened_for(run) as opened:
        assert opened.latencies[""].name == f"{run.table} (float32)"
        assert search_settings.resume(run.config, {"table": plain}, {}) == run.config
    with LatencyTable.open(plain) as served, LatencyTable.open(tmp_path / "run" / "table.db") as copied:
        assert copied.bursts() == served.bursts()


def test_latency_comes_from_the_runs_own_copy(tmp_path: Path, table: Path) -> None:
    with make_run(tmp_path / "run", begun(table), table) as run, search_costs.opened_for(run) as opened:
        latency = opened.latencies[""]
        assert latency.quick
        assert latency.name == f"{run.table} (float32)"


def test_a_device_of_an_inventory_brings_its_threads(tmp_path: Path) -> None:
    bench = tmp_path / "bench.toml"
    bench.write_text('[devices.pi5]\naddress = "ssh://pi"\nthreads = 4\n')
    measured = {**GIVEN, "latency": "device", "space": "mnasnet-small-images", "device": "pi5"}
    assert search_settings.begin(measured, {}, bench).threads == 4
    assert search_settings.begin({**measured, "threads": 2}, {}, bench).threads == 2
    with pytest.raises(BadSettings, match=r"'pi4'; did you mean pi5\?"):
        search_settings.begin({**measured, "device": "pi4"}, {}, bench)


def test_a_run_measures_with_its_threads_and_the_devices_other_settings(tmp_path: Path, table: Path) -> None:
    bench = tmp_path / "bench.toml"
    bench.write_text('[devices.here]\naddress = "local"\nthreads = 1\ncpus = [0]\n')
    config = replace(begun(table), device="here")
    with closing(search_costs.device_of(config, bench=bench)) as device:
        assert device.settings == Settings(1, (0,))
    with closing(search_costs.device_of(config, "local", bench=bench)) as device:
        assert device.settings == Settings(1)
    with pytest.raises(BadSettings, match=r"2 threads on 1 core\(s\)"):
        search_costs.device_of(replace(config, threads=2), bench=bench)


def test_a_device_is_looked_at_once(tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the checks before a search begins and by the warnings when it does."""
    opened: list[str] = []
    really = registry.open_device

    def counting(where: str, *settings: object, **named: object) -> object:
        opened.append(where)
        return really(where, *settings, **named)

    monkeypatch.setattr(registry, "open_device", counting)
    conditions = search_tables.Conditions()
    config = search_settings.begin({**GIVEN, "table": str(table)}, {}, conditions=conditions)
    with make_run(tmp_path / "run", config, table) as run:
        assert search_tables.table_warnings(run, conditions) == ()
    assert opened == ["local"]


@pytest.mark.parametrize(
    ("jobs", "cores", "left", "started"),
    [(1, 1, 9, 0), (2, 2, 9, 2), (2, 8, 9, 2), (8, 3, 9, 3), (2, 1, 9, 1), (4, 8, 2, 2), (4, 8, 0, 1)],
)
def test_no_more_workers_are_started_than_are_of_use(
    jobs: int, cores: int, left: int, started: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "usable_cores", lambda: cores)
    said: list[str] = []
    assert job.workers_of(jobs, left, said.append) == started
    few = f"training {cores} at once, not {jobs}: this process may compute on {cores} core"
    assert said == ([f"{few}{'' if cores == 1 else 's'}"] if jobs > cores else [])
    with pytest.raises(BadInput, match="jobs is 0"):
        job.workers_of(0, left, said.append)


def test_a_search_starts_as_many_workers_as_are_of_use(
    tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(Exception):
        pass

    def asked(_: RunConfig, workers: int, *__: object) -> None:
        raise Asked(workers)

    monkeypatch.setattr(job, "_evaluations", asked)
    monkeypatch.setattr(workers, "usable_cores", lambda: 4)
    said: list[str] = []
    with make_run(tmp_path / "run", begun(table, trials=9), table) as run:
        with pytest.raises(Asked, match="4"):
            job.search_run(run, jobs=8, on_event=said.append)
        assert said == ["training 4 at once, not 8: this process may compute on 4 cores"]
        assert said[0] in run.log_file.read_text()
        for number in range(7):
            run.record(Result(number, (number,), f"net {number}", 0.5, 1.0, "trained", 1.0))
        with pytest.raises(Asked, match="2"):
            job.search_run(run, jobs=4)
