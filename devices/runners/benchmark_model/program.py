"""The program `benchmark_model` on a device: where it lies, what it offers. Measures nothing."""

from __future__ import annotations

import re

from devices.errors import BadSettings, DeadlineExceeded, DeviceTrouble
from devices.runners.benchmark_model.command import Offers
from devices.runners.benchmark_model.failures import failure
from devices.transport import Transport

NAME = "benchmark_model"
#: a version that is not known
UNKNOWN = "unknown"
ASK_S = 30.0
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


def version_file(path: str) -> str:
    """Where the version of the program at a path on the device is kept, for no program tells its own."""
    return f"{path}.version"


def version(transport: Transport, path: str) -> str:
    """The version of the program at a path on the device, as its setup noted it."""
    told = transport.run(["head", "-n", "1", version_file(path)], timeout_s=ASK_S).stdout[:100]
    text = told.decode(errors="replace").strip()
    return text if VERSION.fullmatch(text) else UNKNOWN


def ask(transport: Transport, path: str) -> Offers:
    """What the program at a path on the device offers, by its `--help`.

    Raises:
        DeviceTrouble: it does not run there, or is another program.
        DeadlineExceeded: it gives no answer.
    """
    try:
        said = transport.run([path, "--help"], timeout_s=ASK_S)
    except DeadlineExceeded as error:
        raise DeadlineExceeded(f"{NAME} --help gave no answer on the device within {ASK_S:g} s") from error
    stdout, stderr = (text.decode(errors="replace") for text in (said.stdout, said.stderr))
    try:
        return Offers.of_help(f"{stdout}\n{stderr}")
    except BadSettings as error:
        if said.exit_code:
            raise failure(said.exit_code, stdout, stderr) from error
        raise DeviceTrouble(f"{path} on the device is no {NAME}: its --help names no --graph") from error
