"""Boards are set up over a real SSH server, with real environments, from wheels on the loopback only."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from devices.errors import BadSettings, DeviceTrouble, NoSpace, RuntimeMissing
from devices.measurement import ModelFile, Pass
from devices.plan import Plan
from devices.runners.litert import LitertDevice
from devices.setup import board as board_module
from devices.setup.board import set_up_board
from devices.setup.runtimes import suitable
from devices.ssh import SshTransport
from tests.devices.setup.wheelhouse import index, repack, stand_in
from tests.devices.sshd import running_sshd

THIS_PYTHON = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
NOBODY = "http://127.0.0.1:9/simple"

NUMPY = """
__version__ = "{version}"
float32 = None
class _Array(list):
    def reshape(self, *shape): return self
    def ravel(self): return self
    def tolist(self): return list(self)
def array(values, dtype=None): return _Array(values)
"""
INTERPRETER = """
import numpy
class Interpreter:
    def __init__(self, model_content, num_threads): assert model_content[4:8] == b"TFL3"
    def allocate_tensors(self): pass
    def get_input_details(self): return [{"index": 0}]
    def get_output_details(self): return [{"index": 1}]
    def set_tensor(self, index, value): self.value = value
    def invoke(self): self.value = numpy.array([max(0.0, float(x)) for x in self.value])
    def get_tensor(self, index): return self.value
"""
BROKEN = """
raise ImportError("/lib/aarch64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found")
"""


def litert(version: str, into: Path, interpreter: str = INTERPRETER) -> None:
    files = {"ai_edge_litert/__init__.py": "", "ai_edge_litert/interpreter.py": interpreter}
    stand_in("ai-edge-litert", version, files, into, requires="numpy")


def tflite(version: str, into: Path) -> None:
    files = {"tflite_runtime/__init__.py": "", "tflite_runtime/interpreter.py": INTERPRETER}
    stand_in("tflite-runtime", version, files, into, requires="numpy")


def numpy(version: str, into: Path) -> None:
    stand_in("numpy", version, {"numpy/__init__.py": NUMPY.format(version=version)}, into)


@contextmanager
def board(folder: Path, python: Path | None = THIS_PYTHON, index_url: str = NOBODY) -> Iterator[SshTransport]:
    """A board that has one Python and what else a shell script needs."""
    programs = folder / "bin"
    programs.mkdir()
    for name in (
        "sh",
        "cat",
        "mkdir",
        "chmod",
        "df",
        "tail",
        "rm",
        "test",
        "grep",
        "kill",
        "wc",
        "mv",
        "mktemp",
    ):
        found = shutil.which(name)
        if found:
            (programs / name).symlink_to(found)
    if python is not None:
        starter = programs / "python3"
        starter.write_text(f'#!/bin/sh\nexec {python} "$@"\n')
        starter.chmod(0o755)
    environment = {"PATH": str(programs), "PIP_INDEX_URL": index_url, "PIP_CONFIG_FILE": "/dev/null"}
    server_folder = folder / "sshd"
    server_folder.mkdir()
    with running_sshd(server_folder, environment=environment) as sshd:
        transport = SshTransport("board", config=sshd.config)
        yield transport
        transport.close()


def work_folder(transport: SshTransport) -> str:
    """Where everything on the board goes."""
    return transport.run(["sh", "-c", 'printf "%s" "$HOME"']).stdout.decode() + "/.cache/mnas"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheelhouse"
    folder.mkdir()
    return folder


def test_a_board_without_network_gets_a_runtime_that_measures(
    tmp_path: Path, wheels: Path, tiny: ModelFile
) -> None:
    """The real runtime, from wheels given; what a broken-off set-up left is replaced."""
    repack("ai-edge-litert", wheels)
    with board(tmp_path) as transport:
        work = work_folder(transport)
        assert work.endswith("/sshd/home/.cache/mnas")
        left = Path(work, "venv", "bin")
        left.mkdir(parents=True)
        (left / "python").write_text("#!/bin/sh\nexit 1\n")
        (left / "python").chmod(0o755)
        told: list[str] = []
        found = set_up_board(transport, work, told.append, wheels=wheels)
        assert (found.python, found.runtime, found.installed) == (
            f"{work}/venv/bin/python", "ai-edge-litert", True,
        )  # fmt: skip
        assert found.python_version == ".".join(map(str, sys.version_info[:3]))
        assert any("from the wheels given" in line for line in told)
        assert Path(work).stat().st_mode & 0o777 == 0o700
        assert sorted(path.name for path in Path(work).iterdir()) == ["venv"]

        told.clear()
        assert set_up_board(transport, work, told.append) == replace(found, installed=False)
        assert not told

        device = LitertDevice("ssh://board", transport, python=found.python)
        (outcome,) = device.stream([tiny], Plan(passes=1, min_runs=3, min_time_s=0.0))
        assert isinstance(outcome, Pass)
        assert outcome.context.facts.runtime_version == found.runtime_version
        device.close()


def test_a_board_with_a_network_installs_by_itself_and_pip_is_not_trusted(
    tmp_path: Path, wheels: Path
) -> None:
    """A wheel whose tag understates what it needs installs well and fails; then the next runtime is tried."""
    numpy("2.4.6", wheels)
    litert("2.3.0", wheels, BROKEN)
    litert("2.1.0", wheels)
    site = tmp_path / "index"
    site.mkdir()
    with index(wheels, site) as url, board(tmp_path, index_url=url) as transport:
        told: list[str] = []
        found = set_up_board(transport, work_folder(transport), told.append)
        assert (found.runtime_version, found.numpy_version) == ("2.1.0", "2.4.6")
        assert "installing ai-edge-litert 2.3.0 from the board's network" in told
        assert not any("bringing" in line for line in told)


def test_when_nothing_works_every_reason_is_told(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numpy("2.4.6", wheels)
    litert("2.3.0", wheels, BROKEN)
    monkeypatch.setattr(board_module, "suitable", lambda python: suitable(python)[:2])
    with board(tmp_path) as transport:
        work = work_folder(transport)
        with pytest.raises(RuntimeMissing) as caught:
            set_up_board(transport, work, wheels=wheels)
        told = str(caught.value)
        assert "ai-edge-litert 2.3.0: it does not work there: ImportError" in told
        assert "GLIBC_2.34' not found" in told
        assert "ai-edge-litert 2.1.0: the board's pip says: " in told
        assert "benchmark_model" in told
        assert not Path(work, "venv").exists()


def test_pip_and_wheels_come_over_from_this_host_when_the_board_has_neither_pip_nor_network(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numpy("2.4.6", wheels)
    litert("2.3.0", wheels)
    repack("pip", wheels)
    read = board_module.read_description
    monkeypatch.setattr(
        board_module, "read_description", lambda answer: replace(read(answer), ensurepip=False)
    )
    site = tmp_path / "index"
    site.mkdir()
    with index(wheels, site) as url, board(tmp_path) as transport:
        _only_index(monkeypatch, url)
        told: list[str] = []
        assert set_up_board(transport, work_folder(transport), told.append).runtime_version == "2.3.0"
        assert "bringing pip over" in told
        assert any("bringing wheel 2 of 2 over: numpy-2.4.6" in line for line in told)


@pytest.mark.hardware  # or Pythons as old as boards have them
@pytest.mark.parametrize("version", ["3.6", "3.8"])
def test_old_pythons(tmp_path: Path, wheels: Path, version: str) -> None:
    """With Python 3.8 a board gets the old runtime with an old NumPy; with 3.6 it is told what to do."""
    found = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}"))
    if not found:
        pytest.skip(f"no Python {version} of pyenv here")
    python = found[-1]
    numpy("2.4.6", wheels)
    numpy("1.24.4", wheels)
    litert("2.3.0", wheels)
    tflite("2.14.0", wheels)
    tflite("2.13.0", wheels)
    with board(tmp_path, python) as transport:
        if python.name == "python3.6":
            with pytest.raises(RuntimeMissing, match=r"Python 3\.6.*install Python 3\.8"):
                set_up_board(transport, work_folder(transport), wheels=wheels)
            return
        made = set_up_board(transport, work_folder(transport), wheels=wheels)
        assert made.runtime == "tflite-runtime"
        assert made.numpy_version == "1.24.4"
        assert made.python_version.startswith("3.8.")


def test_a_board_without_python_and_one_that_is_named_wrongly(tmp_path: Path) -> None:
    with board(tmp_path, python=None) as transport:
        work = work_folder(transport)
        with pytest.raises(RuntimeMissing, match=r"no Python 3; install one"):
            set_up_board(transport, work)
        with pytest.raises(RuntimeMissing, match=r"no /opt/python"):
            set_up_board(transport, work, python="/opt/python")


def test_what_cannot_be(tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with board(tmp_path) as transport:
        with pytest.raises(BadSettings, match="holds no wheels"):
            set_up_board(transport, "/tmp/w", wheels=wheels)
        for path in ("relative", "/a/../b", "/a\x1b[2J"):
            with pytest.raises(BadSettings, match="not an absolute path"):
                set_up_board(transport, path)
        with pytest.raises(DeviceTrouble, match="cannot make /dev/null/w"):
            set_up_board(transport, "/dev/null/w")
        monkeypatch.setattr(board_module, "NEEDED_BYTES", 1 << 60)
        with pytest.raises(NoSpace, match="MiB free"):
            set_up_board(transport, work_folder(transport))


def _only_index(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """This host's pip knows one index and nothing else."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_INDEX_URL", url)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
