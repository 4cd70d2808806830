"""A worker's ends, with processes that play a bad worker."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devices.errors import BadSettings, DeadlineExceeded, DeviceTrouble, ModelRejected, WorkerCrashed
from devices.local import LocalTransport
from devices.runners.worker_process import WorkerProcess, ending, last_line
from devices.text import one_line, plain

Start = Callable[[str], WorkerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    transport = LocalTransport()

    def start(code: str) -> WorkerProcess:
        script = tmp_path / "worker.py"
        script.write_text(f"import json, os, signal, sys, time\n{code}\n", encoding="utf-8")
        return WorkerProcess(transport, sys.executable, str(script), str(tmp_path))

    yield start
    transport.close()


ECHO = """
for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"id": request["id"], "said": request["word"]}), flush=True)
"""


def test_requests_and_replies(start: Start) -> None:
    worker = start(ECHO)
    assert [worker.ask("echo", 10.0, word=word)["said"] for word in ("a", "ü")] == ["a", "ü"]
    assert worker.alive


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("ModelRejected", ModelRejected),
        ("BadSettings", BadSettings),
        ("Novel", DeviceTrouble),
        ("sys", DeviceTrouble),
    ],
)
def test_a_worker_that_refuses_lives_on(start: Start, error: str, kind: type[Exception]) -> None:
    worker = start(
        "for line in sys.stdin:\n"
        f"    reply = {{'id': json.loads(line)['id'], 'error': {error!r}, 'message': '\\x1b[31mno'}}\n"
        "    print(json.dumps(reply), flush=True)"
    )
    for _ in range(2):
        with pytest.raises(kind, match=r"^no$") as caught:
            worker.ask("measure", 10.0)
        assert type(caught.value) is kind
    assert worker.alive


def test_a_crash_tells_the_signal_and_the_last_words(start: Start) -> None:
    worker = start(
        "sys.stdin.readline()\n"
        "print('INFO: hello\\n\\x1b[1mERROR: tensor 7\\x1b[0m is odd\\nINFO: bye', file=sys.stderr)\n"
        "sys.stderr.flush()\n"
        "os.kill(os.getpid(), signal.SIGABRT)"
    )
    with pytest.raises(
        WorkerCrashed, match=r"signal 6 \(SIGABRT\); the runtime's last line: ERROR: tensor 7 is odd$"
    ):
        worker.ask("measure", 10.0)
    assert not worker.alive


def test_memory_that_runs_out_is_thought_of(start: Start) -> None:
    with pytest.raises(WorkerCrashed, match="when memory runs out"):
        start("sys.stdin.readline(); os.kill(os.getpid(), signal.SIGKILL)").ask("measure", 10.0)


def test_an_exit_is_a_crash_too(start: Start) -> None:
    with pytest.raises(WorkerCrashed, match=r"exit code 3$"):
        start("sys.stdin.readline(); sys.exit(3)").ask("measure", 10.0)


def test_a_worker_that_never_answers_is_stopped_in_time(start: Start) -> None:
    worker = start("time.sleep(60)")
    begin = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"^the worker did not answer within 0.5 s and was stopped$"):
        worker.ask("measure", 0.5)
    assert time.monotonic() - begin < 5
    assert not worker.alive


def test_a_worker_that_floods_its_errors_still_answers(start: Start) -> None:
    worker = start("sys.stderr.write('x' * 5_000_000)\n" + ECHO)
    assert worker.ask("echo", 10.0, word="a")["said"] == "a"


@pytest.mark.parametrize("answer", ["'hello'", "'{}'", "'[1]'", "'{\"id\": 99}'", "'\\x1b[31mred'"])
def test_nonsense_is_no_answer(start: Start, answer: str) -> None:
    worker = start(f"sys.stdin.readline(); print({answer}, flush=True); time.sleep(60)")
    with pytest.raises(DeviceTrouble, match="no proper answer"):
        worker.ask("measure", 10.0)
    assert not worker.alive


def test_words() -> None:
    assert one_line("a\n\n \x1b[1mb\r\n") == "a; b"
    assert plain("\x1b[1;31mred\x1b[0m \x1b]0;title\x07\x00text\r") == "red text"
    assert last_line(b"ERROR: a\nINFO: b\n\n") == "ERROR: a"
    assert last_line(b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n") == ""
    chatter = (
        b"WARNING: [auto_registration.cc:148] GPU accelerator could not be loaded and registered.\n"
        b"W0000 00:00:1795601877.341594   22235 reader.cc:147] slow\nI1125 10:00:00.0 1 a.cc:1] hello\n"
    )
    assert last_line(chatter) == ""
    assert last_line(b"terminate called\n  what():  std::bad_alloc\n" + chatter) == "what():  std::bad_alloc"
    assert last_line(b"\xff\n") == "\ufffd"
    assert last_line(b"") == ""
    assert ending(139) == "signal 11 (SIGSEGV)"
    assert ending(128 + 99) == "signal 99"
    assert ending(1) == "exit code 1"
