"""Evaluations in processes of their own: what is lost when one dies, waits, or is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import psutil
import pytest

from devices.errors import DeadlineExceeded
from mnas import workers as pool
from mnas.architecture import Architecture
from mnas.errors import BadInput, TrainingFailed
from mnas.evaluations import Evaluations, Finished
from mnas.workers import Running, Workers, usable_cores
from tests.mnas import evaluators
from tests.mnas.evaluators import FailsToUnpickle, Obedient

ENDLESS = ("steps", 10**6, 0.01)


@pytest.fixture(scope="module", autouse=True)
def importable() -> Iterator[None]:
    """Processes that start find this package: they get the path of this one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(Path(__file__).parents[2]), *sys.path])
        yield


@pytest.fixture(scope="module")
def shared(importable: None) -> Iterator[Workers]:
    """Two workers, for tests that leave them with nothing to do."""
    with closing(Workers(Obedient, 2)) as workers:
        yield workers


def outcomes(workers: Evaluations, *orders: object) -> dict[int, Finished]:
    """What becomes of the orders, by their position, with all workers kept busy."""
    waiting = list(enumerate(orders))
    found: dict[int, Finished] = {}
    under_way = 0
    while waiting or under_way:
        while waiting and under_way < workers.slots:
            workers.submit(*waiting.pop(0))
            under_way += 1
        finished = workers.next()
        assert finished.number not in found
        found[finished.number] = finished
        under_way -= 1
    assert sorted(found) == list(range(len(orders)))
    return found


def processes(workers: Workers) -> set[int]:
    """The ids of the workers' processes, by asking each."""
    with workers.paused():
        pass  # all have started
    found = outcomes(workers, *workers.slots * [("process",)])
    return {round((one.accuracy or 0) * 1e8) for one in found.values()}


def test_every_evaluation_has_its_own_answer_once(shared: Workers) -> None:
    shares = [number / 100 for number in range(60)]
    found = outcomes(shared, *(("answer", share) for share in shares))
    assert [found[number].accuracy for number in range(60)] == shares
    assert {(one.error, one.trace) for one in found.values()} == {(None, "")}
    assert shared.running() == []


def test_they_run_at_the_same_time_in_processes_of_their_own(shared: Workers) -> None:
    with shared.paused():
        pass
    shared.submit(0, ("steps", 100, 0.01))
    shared.submit(1, ("process",))
    first, second = shared.next(), shared.next()
    assert (first.number, second.number) == (1, 0)
    assert round(first.accuracy * 1e8) != os.getpid()
    assert second.seconds == pytest.approx(1, abs=0.5)


def test_an_error_of_the_evaluator_is_a_value_with_its_trace(shared: Workers) -> None:
    found = outcomes(
        shared,
        ("raise", TrainingFailed("the loss is nan")),
        ("raise", MemoryError("no 3 GB left")),
        ("answer", 1.5),
        FailsToUnpickle(),
        ("answer", 0.25),
    )
    assert found[0].error == "TrainingFailed: the loss is nan"
    assert found[1].error == "MemoryError: no 3 GB left"
    assert found[2].error is not None
    assert "share between 0 and 1" in found[2].error
    assert found[3].error == "RuntimeError: not here"
    assert "evaluators.py" in found[0].trace
    assert found[0].trace.endswith("the loss is nan")
    assert [found[number].accuracy for number in range(5)] == [None, None, None, None, 0.25]


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (("signal", int(signal.SIGKILL)), "was killed (SIGKILL), most likely because memory ran out"),
        (("crash",), "died of SIGSEGV (Segmentation fault)"),
        (("signal", int(signal.SIGABRT)), "died of SIGABRT"),
        (("exit", 3), "ended itself with exit code 3"),
        (("exit", 0), "ended itself with exit code 0"),
    ],
)
def test_a_process_that_dies_costs_one_evaluation(shared: Workers, order: object, words: str) -> None:
    before = processes(shared)
    found = outcomes(shared, ("answer", 0.1), order, ("answer", 0.2), ("answer", 0.3))
    assert found[1].accuracy is None
    assert found[1].error is not None
    assert words in found[1].error
    assert 0 <= found[1].seconds < 30
    assert [found[number].accuracy for number in (0, 2, 3)] == [0.1, 0.2, 0.3]
    after = processes(shared)
    assert len(after) == 2
    assert len(after & before) == 1


def test_a_crash_leaves_its_last_words_for_the_log(shared: Workers) -> None:
    found = outcomes(shared, ("print",), ("crash",))
    assert "Segmentation fault" in found[1].trace
    assert "evaluators.py" in found[1].trace
    assert "garbage" not in found[1].trace


def test_a_process_that_dies_with_nothing_to_do_costs_nothing(shared: Workers) -> None:
    for ident in processes(shared):
        os.kill(ident, signal.SIGKILL)
    found = outcomes(shared, *(("answer", 0.5) for _ in range(4)))
    assert all(one.accuracy == 0.5 for one in found.values())


def test_a_process_that_loses_its_connection_is_ended(shared: Workers) -> None:
    before = processes(shared)
    found = outcomes(shared, ("close",), ("answer", 0.5))
    assert found[0].error is not None
    assert found[0].error.endswith("closed its connection to the search")
    assert len(processes(shared) & before) == 1


def test_progress_is_told_while_they_run() -> None:
    told: list[list[Running]] = []
    with closing(Workers(Obedient, 2, on_running=told.append)) as workers:
        workers.submit(7, ("steps", 120, 0.01))
        workers.submit(8, ("steps", 60, 0.01))
        assert workers.running() == [Running(7, 0, 0), Running(8, 0, 0)]
        workers.next(), workers.next()
    seen = {number: [one.done for all_ in told for one in all_ if one.number == number] for number in (7, 8)}
    for number, total in ((7, 120), (8, 60)):
        assert seen[number] == sorted(seen[number])
        assert any(0 < done < total for done in seen[number])
    assert {one.total for all_ in told for one in all_ if one.done} == {120, 60}
    assert told[-1] == []


def test_nothing_steps_while_paused(shared: Workers, tmp_path: Path) -> None:
    files = [tmp_path / "0", tmp_path / "1"]
    processes(shared)
    for number, file in enumerate(files):
        shared.submit(number, ("steps", 80, 0.01, str(file)))

    def steps() -> list[int]:
        return [len(file.read_text()) if file.exists() else 0 for file in files]

    while min(steps()) < 5:
        time.sleep(0.01)
    for _ in range(2):
        with shared.paused():
            before = steps()
            time.sleep(0.4)
            assert steps() == before
        while min(steps()) < min(before) + 5:
            time.sleep(0.01)
    found = [shared.next(), shared.next()]
    assert steps() == [80, 80]
    assert {one.number for one in found} == {0, 1}
    assert all(one.accuracy == 0.5 for one in found)


def test_time_in_a_pause_is_not_the_evaluations(shared: Workers) -> None:
    processes(shared)
    shared.submit(0, ("steps", 20, 0.01))
    with shared.paused():
        time.sleep(2)
    assert shared.next().seconds < 1.5


def test_a_pause_ends_with_an_error_in_it(shared: Workers) -> None:
    shared.submit(0, ("steps", 20, 0.01))
    with pytest.raises(KeyError), shared.paused():
        raise KeyError
    assert shared.next().accuracy == 0.5


def test_what_finishes_or_dies_while_a_pause_begins_is_kept(shared: Workers, tmp_path: Path) -> None:
    processes(shared)
    shared.submit(0, ("exit", 1))
    shared.submit(1, ("answer", 0.5))
    with shared.paused(), pytest.raises(RuntimeError, match="so none will finish"):
        shared.next(), shared.next(), shared.next()
    assert outcomes(shared, ("answer", 0.25))[0].accuracy == 0.25


def test_submitted_in_a_pause_it_begins_after_it(shared: Workers, tmp_path: Path) -> None:
    file = tmp_path / "steps"
    processes(shared)
    with shared.paused():
        shared.submit(0, ("steps", 1, 0.0, str(file)))
        time.sleep(0.2)
        assert not file.exists()
    assert shared.next().accuracy == 0.5
    assert file.exists()


def test_a_starting_worker_is_waited_for_by_a_pause() -> None:
    with closing(Workers(partial(evaluators.slow_to_start, 1.0), 1)) as workers:
        started = time.monotonic()
        with workers.paused():
            assert time.monotonic() - started > 1


def test_a_pause_gives_up_after_its_time_and_all_go_on() -> None:
    with closing(Workers(Obedient, 2, pause_s=0.5)) as workers:
        for number in range(2):
            workers.submit(number, ("answer", 0.5))
            workers.next()
        workers.submit(0, ("steps", 1, 1.5))
        workers.submit(1, ("steps", 150, 0.01))
        time.sleep(0.2)
        with (
            pytest.raises(DeadlineExceeded, match=r"worker \d of 2 has not come .* within 0.5 s"),
            workers.paused(),
        ):
            raise AssertionError
        assert {workers.next().accuracy, workers.next().accuracy} == {0.5}
        with workers.paused():
            pass


def test_what_cannot_evaluate_anything_is_said_at_once() -> None:
    with closing(Workers(evaluators.broken, 2)) as workers:
        workers.submit(0, ("answer", 0.5))
        with pytest.raises(
            BadInput, match="cannot evaluate anything: ImportError: no module named so"
        ) as caught:
            workers.next()
        assert "evaluators.py" in caught.value.__notes__[0]


def test_what_others_finished_is_handed_out_before_one_that_cannot_start_is_told_of(tmp_path: Path) -> None:
    with closing(Workers(partial(evaluators.good_once, tmp_path / "made"), 2)) as workers:
        workers.submit(0, ("answer", 0.25))
        workers.submit(1, ("answer", 0.5))
        found: list[float | None] = []
        with pytest.raises(BadInput, match="ImportError: made twice"):
            found.extend(workers.next().accuracy for _ in range(2))
        with pytest.raises(BadInput, match="ImportError: made twice"), workers.paused():
            raise AssertionError
    assert found in ([], [0.25], [0.5])


def test_starting_is_given_up_where_it_is_killed_again_and_again() -> None:
    with closing(Workers(evaluators.killed_at_start, 1)) as workers:
        workers.submit(0, ("answer", 0.5))
        with pytest.raises(BadInput, match="most likely because memory ran out"):
            workers.next()


def test_one_kill_while_it_starts_costs_nothing(tmp_path: Path) -> None:
    with closing(Workers(partial(evaluators.once_killed_at_start, tmp_path / "killed"), 1)) as workers:
        workers.submit(0, ("answer", 0.5))
        assert workers.next() == Finished(0, 0.5, None, pytest.approx(0, abs=1))
    assert (tmp_path / "killed").exists()


def test_what_cannot_be_used_is_refused(shared: Workers) -> None:
    with pytest.raises(BadInput, match="jobs is 0"):
        Workers(Obedient, 0)
    with pytest.raises(BadInput, match="functions and classes of a module"):
        Workers(lambda _: float, 1)
    with pytest.raises(BadInput, match="an architecture cannot be sent"):
        shared.submit(0, lambda: None)
    with pytest.raises(RuntimeError, match="none will finish"):
        shared.next()
    shared.submit(0, ("steps", 20, 0.01))
    shared.submit(1, ("steps", 20, 0.01))
    with pytest.raises(RuntimeError, match="wait for one first"):
        shared.submit(2, ("answer", 0.5))
    shared.next(), shared.next()


def test_closing_ends_also_what_does_not_listen() -> None:
    workers = Workers(Obedient, 2)
    children = [psutil.Process(ident) for ident in processes(workers)]
    workers.submit(0, ("ignore",))
    workers.submit(1, ENDLESS)
    time.sleep(0.3)
    workers.close()
    workers.close()
    assert not any(child.is_running() for child in children)


@pytest.mark.parametrize(("cores", "threads"), [(8, 2), (11, 2), (2, 1)])
def test_cores_are_shared_out(cores: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
    monkeypatch.setattr(pool, "usable_cores", lambda: cores)
    before = dict(os.environ)
    with closing(Workers(Obedient, 4)) as workers:
        assert dict(os.environ) == before
        assert outcomes(workers, ("threads",))[0].accuracy == threads / 1e3


class Parent:
    """A process with two busy workers."""

    def __init__(self) -> None:
        script = Path(evaluators.__file__)
        self.process = subprocess.Popen(
            [sys.executable, script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(script.parents[2])},
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.workers = [psutil.Process(int(word)) for word in self.process.stdout.readline().split()]
        assert len(self.workers) == 2

    def left(self) -> list[psutil.Process]:
        """Workers that outlive their parent, which has ended."""
        return psutil.wait_procs(self.workers, timeout=20)[1]


def test_no_worker_outlives_a_parent_that_is_killed() -> None:
    parent = Parent()
    parent.process.kill()
    assert parent.left() == []
    assert parent.process.communicate() == ("", "")


def test_ctrl_c_reaches_the_parent_alone_and_ends_all() -> None:
    parent = Parent()
    for worker in parent.workers:
        os.kill(worker.pid, signal.SIGINT)
    time.sleep(0.3)
    assert all(worker.is_running() for worker in parent.workers)
    os.killpg(parent.process.pid, signal.SIGINT)
    output, errors = parent.process.communicate(timeout=60)
    assert parent.left() == []
    assert errors.count("Traceback") == 1
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert output == ""


def test_an_architecture_has_the_accuracy_in_a_worker_that_it_has_inline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With as many threads: that is what accuracies hang on."""
    monkeypatch.setattr(pool, "usable_cores", lambda: len(os.sched_getaffinity(0)))
    small = Architecture.parse("in_8x8x1,cv_r1_k3_s2_c16,ds_r1_k3_s1_c16,fc_10")
    other = Architecture.parse("in_8x8x1,cv_r1_k3_s2_c8,fc_10")
    with closing(Workers(partial(evaluators.digits, 10), 1)) as workers:
        inline = evaluators.digits(10, lambda *_: None)
        expected = [inline(small), inline(other)]
        found = outcomes(workers, other, small, other)
    assert [one.error for one in found.values()] == [None] * 3
    assert [found[number].accuracy for number in range(3)] == [expected[1], expected[0], expected[1]]
    assert expected[0] != expected[1]
