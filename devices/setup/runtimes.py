"""Which TFLite runtimes for Python fit which board. Knows wheels by their names and real needs; fetches none.

The tags of wheels do not tell the truth about the C library, so the table has what the files in them need:
for ai-edge-litert 2.1 and later more than the tag says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devices.errors import UnreadableOutput

LARGE = frozenset({"aarch64", "x86_64"})


@dataclass(frozen=True, slots=True)
class BoardPython:
    """A Python on a board.

    Attributes:
        path: of its program there.
        version: such as (3, 11, 2).
        machine: that it was built for, such as `aarch64`; a 32-bit one on a 64-bit kernel is `armv7l`.
        glibc: version of the GNU C library, None for another library.
        venv: whether it can make a private environment.
        ensurepip: whether it can put pip there.
        numpy: whether it has NumPy.
    """

    path: str
    version: tuple[int, int, int]
    machine: str
    glibc: tuple[int, int] | None
    venv: bool
    ensurepip: bool
    numpy: bool

    def __str__(self) -> str:
        libc = "glibc {}.{}".format(*self.glibc) if self.glibc else "no GNU C library"
        return f"Python {'.'.join(map(str, self.version))} for {self.machine} with {libc}"


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime, and which boards can use it.

    Attributes:
        requirements: what pip installs, the runtime first.
        pythons: first and last minor version of Python 3 with a wheel.
        glibc: the oldest GNU C library on which its files load.
        machines: with a wheel.
    """

    requirements: tuple[str, ...]
    pythons: tuple[int, int]
    glibc: tuple[int, int]
    machines: frozenset[str]

    def __str__(self) -> str:
        return self.requirements[0].replace("==", " ")

    def fits(self, board: BoardPython) -> bool:
        """Whether a Python on a board can use it."""
        first, last = self.pythons
        return (
            board.version[0] == 3
            and first <= board.version[1] <= last
            and board.glibc is not None
            and board.glibc >= self.glibc
            and board.machine in self.machines
        )


#: best first. Neither release of tflite-runtime says so, but both fail with NumPy 2.
RUNTIMES = (
    Runtime(("ai-edge-litert==2.3.0", "numpy"), (10, 14), (2, 34), LARGE),
    Runtime(("ai-edge-litert==2.1.0", "numpy"), (9, 13), (2, 30), LARGE),
    Runtime(("ai-edge-litert==1.4.0", "numpy<2"), (9, 12), (2, 17), LARGE),
    Runtime(("tflite-runtime==2.14.0", "numpy<2"), (8, 11), (2, 34), LARGE | {"armv7l"}),
    Runtime(("tflite-runtime==2.13.0", "numpy<2"), (8, 10), (2, 17), LARGE | {"armv7l"}),
)


def suitable(board: BoardPython) -> tuple[Runtime, ...]:
    """The runtimes to try on a board, best first; none where none can work."""
    return tuple(runtime for runtime in RUNTIMES if runtime.fits(board))


def best(boards: tuple[BoardPython, ...]) -> BoardPython | None:
    """The Python with the best runtime, of equal ones the first that can make an environment by itself."""
    ranked = [
        (RUNTIMES.index(fitting[0]), not (board.venv and board.ensurepip), i)
        for i, board in enumerate(boards)
        if (fitting := suitable(board))
    ]
    return boards[min(ranked)[2]] if ranked else None


def why_none(boards: tuple[BoardPython, ...]) -> str:
    """Why no runtime fits, and what is possible instead."""
    otherwise = "or measure with the runner benchmark_model, which needs no Python"
    if not boards:
        return f"it has no Python 3; install one (Debian: apt-get install python3 python3-venv), {otherwise}"
    found = ", ".join(map(str, boards))
    machine, glibc = boards[0].machine, boards[0].glibc
    there = [r for r in RUNTIMES if machine in r.machines and glibc is not None and glibc >= r.glibc]
    if glibc is None:
        help_ = "wheels of the runtimes need the GNU C library: use an operating system that has it"
    elif not there:
        help_ = "no runtime has wheels for it"
    else:
        first = min(r.pythons[0] for r in there)
        last = max(r.pythons[1] for r in there)
        versions = f"3.{first}" if first == last else f"3.{first} to 3.{last}"
        help_ = f"beside it, install Python {versions} with its venv module"
        if first <= 8:
            help_ += " (Ubuntu 18.04, JetPack 4: apt-get install python3.8 python3.8-venv)"
    return f"no TFLite runtime has a wheel for {found}; {help_}, {otherwise}"


def read_description(answer: Mapping[str, Any]) -> BoardPython:
    """A board's answer to `board_probe`.

    Raises:
        UnreadableOutput: it is not one.
    """
    try:
        version = answer["version"]
        if len(version) != 3 or not all(isinstance(part, int) for part in version):
            raise ValueError(version)
        libc = re.fullmatch(r"glibc (\d{1,3})\.(\d{1,3})(\.\d+)*", str(answer["libc"]))
        machine = str(answer["machine"])
        if int(answer["bits"]) == 32 and machine in ("aarch64", "armv8l"):
            machine = "armv7l"
        return BoardPython(
            path=str(answer["python"]),
            version=(version[0], version[1], version[2]),
            machine=machine,
            glibc=(int(libc[1]), int(libc[2])) if libc else None,
            venv=answer["venv"] is True,
            ensurepip=answer["ensurepip"] is True,
            numpy=answer["numpy"] is True,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableOutput(f"its Python does not say what it is: {str(answer)[:200]!r}") from error


def platform_tags(board: BoardPython) -> tuple[str, ...]:
    """The tags of wheels that pip on the board would take, newest first (PEP 600)."""
    if board.glibc is None:
        return ()
    major, minor = board.glibc
    tags = [f"manylinux_{major}_{i}_{board.machine}" for i in range(minor, 4, -1)]
    tags.insert(max(0, minor - 16), f"manylinux2014_{board.machine}")
    return (*tags, f"linux_{board.machine}")
