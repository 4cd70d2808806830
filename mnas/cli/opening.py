"""Opens the device that a command names, and shows what it waits for. Measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mnas.cli.app import errors
from mnas.cli.text import shown

if TYPE_CHECKING:
    from devices.device import Device
    from devices.measurement import Settings


def teller(quiet: bool, log: Callable[[str], None] | None = None) -> Callable[[str], None] | None:
    """Prints what a device is waited for, on standard error, the same words in a row once.

    None if quiet and there is no log: then nobody is told to accept a key, and a phone that waits for that
    is not waited for.

    Args:
        log: told the same, also when quiet.
    """
    if quiet and log is None:
        return None
    last = ""

    def tell(text: str) -> None:
        nonlocal last
        if text != last and not quiet:
            errors.print(shown(text), style="dim", highlight=False, markup=False, soft_wrap=True)
        if text != last and log is not None:
            log(text)
        last = text

    return tell


@contextmanager
def opened(
    where: str,
    threads: int | None = None,
    *,
    settings: Settings | None = None,
    bench: Path | None = None,
    wait_s: float = 0.0,
    quiet: bool = False,
    log: Callable[[str], None] | None = None,
) -> Iterator[Device]:
    """The device of that name or address; closed at the end.

    Args:
        threads: of the runtime; the other settings are the device's own.
        settings: all of them, in place of the device's own.
        log: told what is waited for, also when quiet.

    Raises:
        DevicesError: it cannot be had.
    """
    from devices import registry

    settings = settings or registry.settings_for(where, bench=bench, threads=threads)
    device = registry.open_device(where, settings, bench=bench, wait_s=wait_s, on_event=teller(quiet, log))
    with closing(device):
        yield device
