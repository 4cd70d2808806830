"""Jobs side by side: all results, the first error, Ctrl-C heard by every lane."""

from __future__ import annotations

import _thread
import threading
import time

import pytest

from mnas.lanes import side_by_side


def test_all_run_at_once_and_results_are_in_order() -> None:
    together = threading.Barrier(3)

    def work(_: threading.Event) -> str:
        together.wait(20)
        return threading.current_thread().name

    assert side_by_side([(name, work) for name in "abc"]) == ["a", "b", "c"]


def test_a_single_one_runs_in_this_thread() -> None:
    assert side_by_side([("a", lambda _: threading.current_thread())]) == [threading.current_thread()]
    assert side_by_side([]) == []


def test_an_error_is_raised_once_all_have_ended() -> None:
    done = []

    def fail(_: threading.Event) -> None:
        raise ValueError("that one")

    def work(_: threading.Event) -> None:
        time.sleep(0.1)
        done.append(True)

    with pytest.raises(ValueError, match="that one"):
        side_by_side([("a", fail), ("b", work)])
    assert done == [True]


def test_ctrl_c_is_heard_by_every_lane() -> None:
    running = threading.Barrier(3)
    heard = []

    def work(stop: threading.Event) -> None:
        running.wait(20)
        assert stop.wait(20)
        heard.append(threading.current_thread().name)
        raise KeyboardInterrupt

    def press() -> None:
        running.wait(20)
        _thread.interrupt_main()

    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt):
        side_by_side([("a", work), ("b", work)])
    assert sorted(heard) == ["a", "b"]
