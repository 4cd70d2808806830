from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.tags import Tag, compatible_tags, cpython_tags

from devices.errors import UnreadableOutput
from devices.setup.board import PROBE_FILE, _answers
from devices.setup.runtimes import (
    RUNTIMES,
    BoardPython,
    best,
    platform_tags,
    read_description,
    suitable,
    why_none,
)


def board(version: str, machine: str = "aarch64", glibc: str | None = "2.36") -> BoardPython:
    major, minor, patch = map(int, f"{version}.0".split(".")[:3])
    libc = None if glibc is None else (int(glibc.split(".")[0]), int(glibc.split(".")[1]))
    return BoardPython("/usr/bin/python3", (major, minor, patch), machine, libc, True, True, False)


@pytest.mark.parametrize(
    ("who", "python", "runtime", "numpy"),
    [
        ("Raspberry Pi OS bookworm", board("3.11.2"), "ai-edge-litert==2.3.0", "numpy"),
        ("Ubuntu 24.04", board("3.12.3", glibc="2.39"), "ai-edge-litert==2.3.0", "numpy"),
        ("JetPack 6, Ubuntu 22.04", board("3.10.12", glibc="2.35"), "ai-edge-litert==2.3.0", "numpy"),
        ("Debian 13", board("3.13.5", glibc="2.41"), "ai-edge-litert==2.3.0", "numpy"),
        (
            "Debian 11, whose pip would take 2.3.0",
            board("3.9.2", glibc="2.31"),
            "ai-edge-litert==2.1.0",
            "numpy",
        ),
        ("JetPack 5, Ubuntu 20.04", board("3.8.10", glibc="2.31"), "tflite-runtime==2.13.0", "numpy<2"),
        ("JetPack 4 with Python 3.8", board("3.8.0", glibc="2.27"), "tflite-runtime==2.13.0", "numpy<2"),
        ("32 bits, bookworm", board("3.11.2", "armv7l"), "tflite-runtime==2.14.0", "numpy<2"),
        ("32 bits, bullseye", board("3.9.2", "armv7l", "2.31"), "tflite-runtime==2.13.0", "numpy<2"),
    ],
)
def test_boards_as_they_are_sold(who: str, python: BoardPython, runtime: str, numpy: str) -> None:
    assert suitable(python)[0].requirements == (runtime, numpy), who


@pytest.mark.parametrize(
    ("python", "told"),
    [
        (
            board("3.6.9", glibc="2.27"),
            r"Python 3\.6\.9 .*install Python 3\.8 .*python3\.8-venv.*benchmark_model",
        ),
        (board("3.13", "armv7l"), r"install Python 3\.8 to 3\.11 .*benchmark_model"),
        (board("3.12", glibc=None), r"GNU C library.*benchmark_model"),
        (board("3.11", "riscv64"), r"no runtime has wheels for it.*benchmark_model"),
        (board("3.15"), r"install Python 3\.8 to 3\.14"),
    ],
)
def test_boards_that_cannot_are_told_what_is_possible(python: BoardPython, told: str) -> None:
    assert not suitable(python)
    assert best((python,)) is None
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(why_none((python,)))


def test_a_board_without_python_is_told_what_to_install() -> None:
    assert "apt-get install python3 python3-venv" in why_none(())


def test_the_python_with_the_best_runtime_is_taken_and_the_plain_one_of_equals() -> None:
    plain, other, old = board("3.11"), replace(board("3.12"), path="/usr/bin/python3.12"), board("3.8")
    assert best((old, plain, other)) is plain
    assert best((replace(plain, ensurepip=False), other)) is other
    assert best((replace(plain, ensurepip=False),)) is not None
    assert best((old,)) is old


def test_the_tags_are_those_that_pip_would_take() -> None:
    """`packaging` is what pip uses."""
    tags = platform_tags(board("3.11", "x86_64", "2.36"))
    known = set(cpython_tags((3, 11), platforms=list(tags))) | set(
        compatible_tags((3, 11), platforms=list(tags))
    )
    for wheel in ("manylinux_2_27_x86_64", "manylinux2014_x86_64", "manylinux_2_34_x86_64", "linux_x86_64"):
        assert Tag("cp311", "cp311", wheel) in known
    assert "manylinux_2_37_x86_64" not in tags
    assert tags[0] == "manylinux_2_36_x86_64"
    assert not platform_tags(board("3.11", glibc=None))


def test_the_probe_says_what_this_python_is() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROBE_FILE.read_text()], capture_output=True, check=True
    )
    (answer,) = _answers(done.stdout)
    here = read_description(answer)
    assert here.version == sys.version_info[:3]
    assert Path(here.path) == Path(sys.executable)
    assert here.venv
    assert here.numpy
    if sys.platform == "linux":
        assert suitable(here)[0] is RUNTIMES[0]


def test_a_32_bit_python_on_a_64_bit_kernel_is_a_32_bit_board() -> None:
    said = {
        "python": "/usr/bin/python3", "version": [3, 11, 2], "machine": "aarch64", "bits": 32,
        "libc": "glibc 2.36", "venv": True, "ensurepip": False, "numpy": True,
    }  # fmt: skip
    found = read_description(said)
    assert (found.machine, found.ensurepip, found.numpy) == ("armv7l", False, True)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(["python", "version", "machine", "bits", "libc", "venv", "ensurepip", "numpy"])


@given(st.dictionaries(names, json_values))
def test_no_answer_is_trusted(answer: dict[str, object]) -> None:
    try:
        found = read_description(answer)
    except UnreadableOutput:
        return
    assert len(found.version) == 3
    suitable(found)
