"""Gives a board a private Python environment with a TFLite runtime that works there.

Knows Python, pip and wheels. Does not know how the board is reached or what is measured.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.errors import (
    BadSettings,
    DeadlineExceeded,
    DeviceTrouble,
    NoSpace,
    RuntimeMissing,
    TransientError,
    UnreadableOutput,
)
from devices.runners.worker_process import ending, last_line, one_line
from devices.setup.runtimes import BoardPython, Runtime, best, read_description, suitable, why_none
from devices.setup.wheels import download, is_wheel_name, pip_reason
from devices.transport import CommandResult, Transport

PROBE_FILE = Path(__file__).with_name("board_probe.py")
MARK = "mnas-board "
#: the plain one first: it is the one the board's makers mean
PYTHONS = ("python3", *(f"python3.{minor}" for minor in range(14, 7, -1)))
PROBE_S = 60.0
CHECK_S = 180.0
VENV_S = 600.0
INSTALL_S = 1200.0
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
    setup = _Setup(transport, work, on_progress or (lambda _: None), wheels)
    if (there := setup.checked()) is not None:
        return there
    board = setup.choose(python)
    setup.make_room()
    tried: list[str] = []
    for runtime in suitable(board):
        setup.environment(board)
        try:
            setup.install(runtime, board)
        except (NoSpace, TransientError):
            raise
        except DeviceTrouble as error:
            tried.append(f"{runtime}: {error}")
            continue
        try:
            return setup.verified()
        except TransientError:
            raise
        except DeviceTrouble as error:
            tried.append(f"{runtime}: {error}")
            setup.uninstall(runtime)  # the next one must not find it
    setup.discard()
    raise RuntimeMissing(
        f"no TFLite runtime works on the board ({board}): {'; '.join(tried)}; "
        "the runner benchmark_model needs no Python"
    )


class _Setup:
    """The steps, each of which may be repeated."""

    def __init__(
        self, transport: Transport, work: str, say: Callable[[str], None], wheels: Path | None
    ) -> None:
        if not work.startswith("/") or not work.isprintable() or ".." in work.split("/"):
            raise BadSettings(f"not an absolute path on the board: {work!r}")
        self._transport = transport
        self._say = say
        self._given = _wheels_in(wheels) if wheels is not None else None
        self._work = work
        self._venv = f"{work}/venv"
        self._python = f"{self._venv}/bin/python"

    def checked(self) -> BoardRuntime | None:
        """The runtime that is there and works."""
        if not self._transport.run(["test", "-x", self._python], timeout_s=PROBE_S).ok:
            return None
        try:
            return self._check(installed=False)
        except TransientError:
            raise
        except DeviceTrouble:
            return None  # broken off, or the board's Python is another one now

    def verified(self) -> BoardRuntime:
        """The runtime that was installed.

        Raises:
            DeviceTrouble: it does not work there.
        """
        self._say("running a model with it")
        return self._check(installed=True)

    def choose(self, python: str | None) -> BoardPython:
        """The Python to use.

        Raises:
            RuntimeMissing: none fits.
        """
        self._say("looking for a Python")
        script = 'p=$1; shift; for c in "$@"; do command -v -- "$c" >/dev/null && "$c" -I -c "$p"; done; true'
        candidates = (python,) if python else PYTHONS
        result = self._run(["sh", "-c", script, "sh", PROBE_FILE.read_text(), *candidates], PROBE_S)
        boards = tuple(dict.fromkeys(read_description(answer) for answer in _answers(result.stdout)))
        found = best(boards)
        if found is None:
            raise RuntimeMissing(
                f"the board has no {python}: {_said(result)}" if python and not boards else why_none(boards)
            )
        return found

    def make_room(self) -> None:
        """Make the work folder, and see that there is room in it.

        Raises:
            NoSpace: there is not.
        """
        script = 'umask 077; mkdir -p -- "$1" && chmod 700 "$1" && cd "$1" && df -Pk . | tail -n 1'
        result = self._run(["sh", "-c", script, "sh", self._work], PROBE_S)
        if not result.ok:
            raise DeviceTrouble(f"cannot make {self._work} on the board: {_said(result)}")
        fields = result.stdout.decode(errors="replace").split()
        free = int(fields[3]) * 1024 if len(fields) > 3 and fields[3].isdigit() else None
        if free is not None and free < NEEDED_BYTES:
            raise NoSpace(
                f"{self._work} on the board has {free >> 20} MiB free; its Python environment needs "
                f"{NEEDED_BYTES >> 20}"
            )

    def environment(self, board: BoardPython) -> None:
        """A private environment with pip, made or kept.

        Raises:
            DeviceTrouble: it cannot be made.
        """
        pip = [self._python, "-I", "-m", "pip", "--version"]
        if self._transport.run(pip, timeout_s=CHECK_S).ok:
            return
        self._say(f"making an environment ({board})")
        self.discard()
        command = [board.path, "-I", "-m", "venv", self._venv]
        if board.machine not in ("aarch64", "x86_64") and board.numpy:
            command.append("--system-site-packages")  # few 32-bit wheels of NumPy exist
        if not board.ensurepip:
            command.append("--without-pip")
        result = self._run(command, VENV_S)
        if not result.ok:
            raise _trouble(
                result, "cannot make a Python environment on the board", "apt-get install python3-venv"
            )
        if not board.ensurepip:
            self._bring_pip(board)

    def install(self, runtime: Runtime, board: BoardPython) -> None:
        """Install a runtime from the wheels given, from the network, or from wheels brought over.

        Raises:
            NoSpace: the board is full.
            DeviceTrouble: it cannot be installed.
        """
        if self._given is not None:
            self._say(f"installing {runtime} from the wheels given")
            self._install_from(self._given, runtime.requirements)
            return
        self._say(f"installing {runtime} from the board's network")
        network = ["--timeout", str(NETWORK_S), "--retries", "1"]
        result = self._pip([*network, *runtime.requirements])
        if result.ok:
            return
        _raise_if_full(result)
        self._say("the board's pip could not; bringing wheels over from here")
        with tempfile.TemporaryDirectory(prefix="mnas-wheels-") as folder:
            try:
                brought = download(runtime.requirements, board, Path(folder))
            except DeviceTrouble as error:
                raise DeviceTrouble(f"the board's pip says: {pip_reason(result.stderr)}; {error}") from error
            self._install_from(brought, runtime.requirements)

    def uninstall(self, runtime: Runtime) -> None:
        """Remove a runtime that does not work."""
        name = runtime.requirements[0].partition("==")[0]
        self._run([self._python, "-I", "-m", "pip", "uninstall", "--quiet", "--yes", name], CHECK_S)

    def discard(self) -> None:
        """Remove the environment."""
        self._run(["rm", "-rf", "--", self._venv], CHECK_S)

    def _install_from(self, wheels: Sequence[Path], requirements: Sequence[str]) -> None:
        folder = f"{self._work}/wheels"
        self._push(wheels, folder)
        try:
            result = self._pip(["--no-index", "--find-links", folder, *requirements])
        finally:
            with contextlib.suppress(DeviceTrouble):
                self._run(["rm", "-rf", "--", folder], CHECK_S)
        if not result.ok:
            _raise_if_full(result)
            raise DeviceTrouble(f"the board's pip says: {pip_reason(result.stderr)}")

    def _push(self, wheels: Sequence[Path], folder: str) -> None:
        self._run(["mkdir", "-p", "--", folder], PROBE_S)
        for i, wheel in enumerate(wheels, 1):
            self._say(f"bringing wheel {i} of {len(wheels)} over: {wheel.name}")
            self._transport.push(wheel.read_bytes(), f"{folder}/{wheel.name}", timeout_s=INSTALL_S)

    def _bring_pip(self, board: BoardPython) -> None:
        """Without ensurepip (Debian without python3-venv), pip comes as a wheel, which can run itself."""
        self._say("bringing pip over")
        folder = f"{self._work}/wheels"
        with tempfile.TemporaryDirectory(prefix="mnas-wheels-") as here:
            try:
                given = [wheel for wheel in self._given or () if wheel.name.startswith("pip-")]
                wheels = given or download(["pip"], board, Path(here))
                self._push(wheels, folder)
            except DeviceTrouble as error:
                raise DeviceTrouble(
                    f"the board's Python has no pip, and none could be brought over: {error}; "
                    "on Debian and Ubuntu, apt-get install python3-venv there"
                ) from error
            path = f"{folder}/{wheels[-1].name}/pip"
            result = self._run(
                [self._python, "-I", path, "install", "--no-index", "--find-links", folder, "pip"], INSTALL_S
            )
        if not result.ok:
            raise _trouble(result, "cannot install pip on the board", "apt-get install python3-venv")

    def _pip(self, arguments: Sequence[str]) -> CommandResult:
        pip = [self._python, "-I", "-m", "pip", "--no-input", "--disable-pip-version-check", "install"]
        return self._run([*pip, "--quiet", "--only-binary=:all:", "--no-cache-dir", *arguments], INSTALL_S)

    def _check(self, installed: bool) -> BoardRuntime:
        command = [self._python, "-I", "-c", PROBE_FILE.read_text(), "check"]
        result = self._run(command, CHECK_S)
        answers = _answers(result.stdout)
        if not result.ok or not answers:
            words = last_line(result.stderr) or ending(result.exit_code)
            raise DeviceTrouble(f"it does not work there: {words}")
        answer = answers[0]
        try:
            return BoardRuntime(
                python=self._python,
                python_version=".".join(str(int(part)) for part in answer["version"]),
                runtime=one_line(str(answer["runtime"])),
                runtime_version=one_line(str(answer["runtime_version"])),
                numpy_version=one_line(str(answer["numpy_version"])),
                installed=installed,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadableOutput(f"the board's answer cannot be read: {str(answer)[:200]!r}") from error

    def _run(self, command: Sequence[str], timeout_s: float) -> CommandResult:
        """Run a command; one that hangs is no reason to give the board up."""
        try:
            return self._transport.run(command, timeout_s=timeout_s)
        except DeadlineExceeded as error:
            return CommandResult(124, b"", str(error).encode())


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


def _said(result: CommandResult) -> str:
    return last_line(result.stderr) or f"it ended with {ending(result.exit_code)}"


def _trouble(result: CommandResult, what: str, remedy: str) -> DeviceTrouble:
    _raise_if_full(result)
    return DeviceTrouble(f"{what}: {_said(result)}; perhaps '{remedy}' there helps")


def _raise_if_full(result: CommandResult) -> None:
    said = (result.stderr + result.stdout).lower()
    if b"no space left" in said or b"disk quota exceeded" in said:
        raise NoSpace("the board's storage is full; a Python environment needs about 400 MB")
