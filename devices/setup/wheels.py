"""Brings wheels for a board to this host, for boards without a network. Knows pip; touches no board."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from devices.errors import DeviceTrouble
from devices.setup.runtimes import BoardPython, platform_tags
from devices.text import one_line

DOWNLOAD_S = 900.0
_WHEEL = re.compile(r"[A-Za-z0-9_.+!-]+\.whl")


def is_wheel_name(name: str) -> bool:
    """Whether a file is called as a wheel may be, and nothing that a shell or a path could trip over."""
    return _WHEEL.fullmatch(name) is not None and not name.startswith((".", "-"))


def download(requirements: Sequence[str], board: BoardPython, into: Path) -> tuple[Path, ...]:
    """Download wheels that fit a board, with what they need.

    Raises:
        DeviceTrouble: pip cannot; its own words are in the message.
    """
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ]
    command += ["--only-binary=:all:", "--implementation", "cp", "--dest", str(into)]
    command += ["--python-version", "{}.{}".format(*board.version[:2])]
    for tag in platform_tags(board):
        command += ["--platform", tag]
    try:
        done = subprocess.run(
            [*command, *requirements],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=DOWNLOAD_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceTrouble(f"this host's pip did not end within {DOWNLOAD_S:g} s") from error
    if done.returncode:
        raise DeviceTrouble(f"this host's pip says: {pip_reason(done.stderr)}")
    return tuple(sorted(into.glob("*.whl")))


def pip_reason(stderr: bytes) -> str:
    """What pip's many lines come down to."""
    lines = [one_line(line) for line in stderr.decode(errors="replace").splitlines()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    return "; ".join(errors or [line for line in lines if line][-1:])[:400] or "nothing"
