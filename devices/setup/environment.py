"""A private Python environment on a board, and its pip. Knows no runtime and no version of anything."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from devices.errors import DeadlineExceeded, DeviceTrouble, NoSpace
from devices.runners.worker_process import ending, last_line
from devices.setup.runtimes import BoardPython
from devices.setup.wheels import download, pip_reason
from devices.transport import CommandResult, Transport

SHORT_S = 60.0
LONG_S = 180.0
VENV_S = 600.0
INSTALL_S = 1200.0


class Environment:
    """The environment `work`/venv on a board. Everything may be repeated after it was broken off."""

    def __init__(self, transport: Transport, work: str, say: Callable[[str], None]) -> None:
        """Does nothing yet.

        Args:
            transport: the way to the board.
            work: an absolute path there.
            say: told what is going on.
        """
        self._transport = transport
        self._say = say
        self._venv = f"{work}/venv"
        self._wheels = f"{work}/wheels"
        #: path of its Python on the board
        self.python = f"{self._venv}/bin/python"

    def make(self, board: BoardPython, given: Sequence[Path]) -> None:
        """Make it with pip in it, unless it is there.

        Args:
            board: the Python to make it with.
            given: wheels here, perhaps with pip's among them.

        Raises:
            NoSpace: the board is full.
            DeviceTrouble: it cannot be made.
        """
        if self.run([self.python, "-I", "-m", "pip", "--version"], LONG_S).ok:
            return
        self._say(f"making an environment ({board})")
        self.discard()
        command = [board.path, "-I", "-m", "venv", self._venv]
        if board.machine not in ("aarch64", "x86_64") and board.numpy:
            command.append("--system-site-packages")  # few 32-bit wheels of NumPy exist
        if not board.ensurepip:
            command.append("--without-pip")
        result = self.run(command, VENV_S)
        if not result.ok:
            raise _trouble(result, "cannot make a Python environment on the board")
        if not board.ensurepip:
            self._bring_pip(board, given)

    def install(self, arguments: Sequence[str]) -> CommandResult:
        """Let its pip install something; never by compiling it there.

        Raises:
            NoSpace: the board is full.
        """
        pip = [self.python, "-I", "-m", "pip", "--no-input", "--disable-pip-version-check", "install"]
        result = self.run([*pip, "--quiet", "--only-binary=:all:", "--no-cache-dir", *arguments], INSTALL_S)
        if not result.ok:
            raise_if_full(result)
        return result

    def install_from(self, wheels: Sequence[Path], requirements: Sequence[str]) -> None:
        """Bring wheels over and let its pip install from those only.

        Raises:
            NoSpace: the board is full.
            DeviceTrouble: pip cannot.
        """
        try:
            self._push(wheels)
            result = self.install(["--no-index", "--find-links", self._wheels, *requirements])
        finally:
            with contextlib.suppress(DeviceTrouble):
                self.run(["rm", "-rf", "--", self._wheels], LONG_S)
        if not result.ok:
            raise DeviceTrouble(f"the board's pip says: {pip_reason(result.stderr)}")

    def uninstall(self, name: str) -> None:
        """Remove a package."""
        self.run([self.python, "-I", "-m", "pip", "uninstall", "--quiet", "--yes", name], LONG_S)

    def discard(self) -> None:
        """Remove the environment."""
        self.run(["rm", "-rf", "--", self._venv], LONG_S)

    def run(self, command: Sequence[str], timeout_s: float) -> CommandResult:
        """Run a command on the board; one that hangs has failed, with 124 as `timeout` says."""
        try:
            return self._transport.run(command, timeout_s=timeout_s)
        except DeadlineExceeded as error:
            return CommandResult(124, b"", str(error).encode())

    def _push(self, wheels: Sequence[Path]) -> None:
        self.run(["mkdir", "-p", "--", self._wheels], SHORT_S)
        for i, wheel in enumerate(wheels, 1):
            self._say(f"bringing wheel {i} of {len(wheels)} over: {wheel.name}")
            self._transport.push(wheel.read_bytes(), f"{self._wheels}/{wheel.name}", timeout_s=INSTALL_S)

    def _bring_pip(self, board: BoardPython, given: Sequence[Path]) -> None:
        """Without ensurepip (Debian without python3-venv), pip comes as a wheel, which can run itself."""
        self._say("bringing pip over")
        with tempfile.TemporaryDirectory(prefix="mnas-wheels-") as here:
            try:
                wheels = [wheel for wheel in given if wheel.name.startswith("pip-")]
                wheels = wheels or list(download(["pip"], board, Path(here)))
                self._push(wheels)
            except DeviceTrouble as error:
                raise DeviceTrouble(
                    f"the board's Python has no pip, and none could be brought over: {error}; "
                    "on Debian and Ubuntu, 'apt-get install python3-venv' there"
                ) from error
        pip = f"{self._wheels}/{wheels[-1].name}/pip"
        command = [self.python, "-I", pip, "install", "--no-index", "--find-links", self._wheels, "pip"]
        result = self.run(command, INSTALL_S)
        if not result.ok:
            raise _trouble(result, "cannot install pip on the board")


def said(result: CommandResult) -> str:
    """Why a command failed, in a few words."""
    return last_line(result.stderr) or f"it ended with {ending(result.exit_code)}"


def raise_if_full(result: CommandResult) -> None:
    """Tell a full device from other failures.

    Raises:
        NoSpace: it is full.
    """
    words = (result.stderr + result.stdout).lower()
    if b"no space left" in words or b"disk quota exceeded" in words:
        raise NoSpace("the board's storage is full; a Python environment needs about 400 MB")


def _trouble(result: CommandResult, what: str) -> DeviceTrouble:
    raise_if_full(result)
    return DeviceTrouble(f"{what}: {said(result)}; perhaps 'apt-get install python3-venv' there helps")
