"""Gives a board a private Python environment with a TFLite runtime that works there.

Knows Python, pip and wheels. Does not know how the board is reached or what is measured.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.errors import (
    BadSettings,
    DeviceTrouble,
    NoSpace,
    RuntimeMissing,
    TransientError,
    UnreadableOutput,
)
from devices.setup.environment import LONG_S, SHORT_S, Environment, said
from devices.setup.runtimes import BoardPython, Runtime, best, read_description, suitable, why_none
from devices.setup.wheels import download, is_wheel_name, pip_reason
from devices.text import one_line
from devices.transport import Transport

PROBE_FILE = Path(__file__).with_name("board_probe.py")
MARK = "mnas-board "
#: the plain one first: it is the one the board's makers mean
PYTHONS = ("python3", *(f"python3.{minor}" for minor in range(14, 7, -1)))
#: NumPy, the runtime and pip, unpacked, with their archives
NEEDED_BYTES = 400 << 20
#: pip on the board gives a network that does not answer up after this
NETWORK_S = 10


@dataclass(frozen=True, slots=True)
class BoardRuntime:
    """The runtime of a board, seen to work there.

    Attributes:
        python: path on the board of the Python that has it.
        python_version: such as `3.11.2`.
        runtime: `ai-edge-litert` or `tflite-runtime`.
        runtime_version: such as `2.3.0`.
        numpy_version: such as `2.4.6`.
        installed: whether it was installed now; False: it was there.
    """

    python: str
    python_version: str
    runtime: str
    runtime_version: str
    numpy_version: str
    installed: bool


def set_up_board(
    transport: Transport,
    work: str,
    on_progress: Callable[[str], None] | None = None,
    wheels: Path | None = None,
    python: str | None = None,
) -> BoardRuntime:
    """Make `work`/venv with a runtime that fits the board, and see it run a model.

    What is there and works is left as it is; what was broken off goes on. The board's own pip installs from
    the network; where it has none, the wheels come over from here.

    Args:
        transport: the way to the board.
        work: an absolute path there, in which everything stays.
        on_progress: told what is going on, in a few words.
        wheels: a folder here with wheels to use instead of any network.
        python: the Python there to use instead of the best one found.

    Raises:
        BadSettings: `work` is no absolute path, or `wheels` holds none.
        RuntimeMissing: no runtime can be used there; what is possible otherwise.
        NoSpace: the board is full.
        DeviceTrouble: it cannot be reached, or pip cannot be had.
    """
    if not work.startswith("/") or not work.isprintable() or ".." in work.split("/"):
        raise BadSettings(f"not an absolute path on the board: {work!r}")
    given = _wheels_in(wheels) if wheels is not None else ()
    say = on_progress or (lambda _: None)
    environment = Environment(transport, work, say)
    if (there := _already(environment)) is not None:
        return there
    say("looking for a Python")
    board = _choose(environment, python)
    _make_room(environment, work)
    tried: list[str] = []
    for runtime in suitable(board):
        environment.make(board, given)
        try:
            if given:
                say(f"installing {runtime} from the wheels given")
                environment.install_from(given, runtime.requirements)
            else:
                _install(environment, runtime, board, say)
        except (NoSpace, TransientError):
            raise
        except DeviceTrouble as error:
            tried.append(f"{runtime}: {error}")
            continue
        try:
            say("running a model with it")
            return _check(environment, installed=True)
        except TransientError:
            raise
        except DeviceTrouble as error:
            tried.append(f"{runtime}: {error}")
            environment.uninstall(runtime.requirements[0].partition("==")[0])  # the next one must not find it
    environment.discard()
    raise RuntimeMissing(
        f"no TFLite runtime works on the board ({board}): {'; '.join(tried)}; "
        "the runner benchmark_model needs no Python"
    )


def _already(environment: Environment) -> BoardRuntime | None:
    """The runtime that is there and works."""
    if not environment.run(["test", "-x", environment.python], SHORT_S).ok:
        return None
    try:
        return _check(environment, installed=False)
    except TransientError:
        raise
    except DeviceTrouble:
        return None  # broken off, or the board's Python is another one now


def _choose(environment: Environment, python: str | None) -> BoardPython:
    """The Python to use (raises `RuntimeMissing` where none fits)."""
    script = 'p=$1; shift; for c in "$@"; do command -v -- "$c" >/dev/null && "$c" -I -c "$p"; done; true'
    candidates = (python,) if python else PYTHONS
    result = environment.run(["sh", "-c", script, "sh", PROBE_FILE.read_text(), *candidates], SHORT_S)
    boards = tuple(dict.fromkeys(read_description(answer) for answer in _answers(result.stdout)))
    found = best(boards)
    if found is None:
        raise RuntimeMissing(
            f"the board has no {python}: {said(result)}" if python and not boards else why_none(boards)
        )
    return found


def _make_room(environment: Environment, work: str) -> None:
    """Make the work folder, and see that there is room in it (raises `NoSpace`)."""
    script = 'umask 077; mkdir -p -- "$1" && chmod 700 "$1" && cd "$1" && df -Pk . | tail -n 1'
    result = environment.run(["sh", "-c", script, "sh", work], SHORT_S)
    if not result.ok:
        raise DeviceTrouble(f"cannot make {work} on the board: {said(result)}")
    fields = result.stdout.decode(errors="replace").split()
    free = int(fields[3]) * 1024 if len(fields) > 3 and fields[3].isdigit() else None
    if free is not None and free < NEEDED_BYTES:
        raise NoSpace(f"{work} on the board has {free >> 20} MiB free; it needs {NEEDED_BYTES >> 20} MiB")


def _install(
    environment: Environment, runtime: Runtime, board: BoardPython, say: Callable[[str], None]
) -> None:
    """Install a runtime from the network, or else from wheels brought over."""
    say(f"installing {runtime} from the board's network")
    result = environment.install(["--timeout", str(NETWORK_S), "--retries", "1", *runtime.requirements])
    if result.ok:
        return
    say("the board's pip could not; bringing wheels over from here")
    with tempfile.TemporaryDirectory(prefix="mnas-wheels-") as folder:
        try:
            brought = download(runtime.requirements, board, Path(folder))
        except DeviceTrouble as error:
            raise DeviceTrouble(f"the board's pip says: {pip_reason(result.stderr)}; {error}") from error
        environment.install_from(brought, runtime.requirements)


def _check(environment: Environment, installed: bool) -> BoardRuntime:
    """Run a model with the runtime that is there (raises `DeviceTrouble` where that fails)."""
    command = [environment.python, "-I", "-c", PROBE_FILE.read_text(), "check"]
    result = environment.run(command, LONG_S)
    answers = _answers(result.stdout)
    if not result.ok or not answers:
        raise DeviceTrouble(f"it does not work there: {said(result)}")
    answer = answers[0]
    try:
        return BoardRuntime(
            python=environment.python,
            python_version=".".join(str(int(part)) for part in answer["version"]),
            runtime=one_line(str(answer["runtime"])),
            runtime_version=one_line(str(answer["runtime_version"])),
            numpy_version=one_line(str(answer["numpy_version"])),
            installed=installed,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableOutput(f"the board's answer cannot be read: {str(answer)[:200]!r}") from error


def _answers(stdout: bytes) -> list[dict[str, Any]]:
    """What `board_probe` said, once or several times, among whatever else was printed."""
    answers = []
    for line in stdout.decode(errors="replace").splitlines():
        if line.startswith(MARK):
            with contextlib.suppress(ValueError):
                answer = json.loads(line.removeprefix(MARK))
                if isinstance(answer, dict):
                    answers.append(answer)
    return answers


def _wheels_in(folder: Path) -> tuple[Path, ...]:
    wheels = tuple(sorted(path for path in folder.glob("*.whl") if is_wheel_name(path.name)))
    if not wheels:
        raise BadSettings(f"{folder} holds no wheels (*.whl); 'pip download' fills such a folder")
    return wheels
