"""Makes a device of the inventory ready to measure, whatever kind it is, and notes what was put there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from devices.bench.lease import Lease
from devices.errors import BadSettings
from devices.inventory import file as inventory
from devices.inventory.entry import Entry
from devices.reach import transport_to, work_folder
from devices.runners.benchmark_model.program import NAME
from devices.setup.board import set_up_board
from devices.setup.phone import PINNED_VERSION, set_up_phone
from devices.shell import new_tag


@dataclass(frozen=True, slots=True)
class Ready:
    """What measures on a device now.

    Attributes:
        runtime: `benchmark_model`, `ai-edge-litert` or `tflite-runtime`.
        version: of it; `unknown` for a file from somewhere else.
        path: on the device, of the program, or of the Python that has the runtime.
        sha256: of the program; None for a Python.
        python_version: None for a program.
        bench: the inventory in which the program's SHA-256 was noted; None where it was not.
    """

    runtime: str
    version: str
    path: str
    sha256: str | None = None
    python_version: str | None = None
    bench: Path | None = None


def set_up(
    entry: Entry,
    bench: Path | None = None,
    *,
    program: Path | None = None,
    version: str | None = None,
    wheels: Path | None = None,
    python: str | None = None,
    wait_s: float = 0.0,
    on_event: Callable[[str], None] | None = None,
) -> Ready:
    """Put on a device what its entry's runner needs, and see that it works there.

    The device is held meanwhile, so that no job measures on it.

    Args:
        bench: the inventory that has the entry; the SHA-256 of a program is noted there.
        program: the file of `benchmark_model`; None downloads it.
        version: of the LiteRT release to download it from.
        wheels: a folder of wheels for a board.
        python: the board's Python to use.
        wait_s: how long to wait for a job that has the device, in seconds.
        on_event: told, in words, what is done and waited for.

    Raises:
        BadSettings: the device needs no setting up, or what is given cannot be used.
        DeviceBusy: a job measures on it.
        DeviceTrouble: it cannot be reached, or what it needs does not work there.
    """
    if entry.place.scheme == "local":
        raise BadSettings(f"{entry.name} is this machine and needs no setting up: its runtime came with mnas")
    tag = new_tag()
    transport = transport_to(entry.place, tag, on_event)
    try:
        work = work_folder(transport, entry)
        lease = Lease(transport, work, entry.address, tag, on_event=on_event)
        lease.acquire(wait_s)
        try:
            if entry.runner == "litert":
                board = set_up_board(transport, work, on_event, wheels, python)
                return Ready(
                    board.runtime,
                    board.runtime_version,
                    board.python,
                    python_version=board.python_version,
                )
            phone = set_up_phone(
                transport, work, program=program, version=version or PINNED_VERSION, on_progress=on_event
            )
        finally:
            lease.release()
    finally:
        transport.close()
    noted = _note(entry, bench, phone.sha256)
    return Ready(NAME, phone.version, phone.path, phone.sha256, bench=noted)


def _note(entry: Entry, bench: Path | None, sha256: str) -> Path | None:
    """Write a program's SHA-256 into the inventory that has the entry; None where it has it no more.

    Setting up takes minutes, in which somebody may have changed the file: it is read anew.
    """
    if bench is None or entry.name == entry.address:
        return None
    now = next((one for one in inventory.load(bench).entries if one.name == entry.name), None)
    if now is None or now.place != entry.place:
        return None
    if now.benchmark_model_sha256 != sha256:
        inventory.add(bench, replace(now, benchmark_model_sha256=sha256))
    return bench
