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


def teller(quiet: bool) -> Callable[[str], None] | None:
    """Prints what a device is waited for, on standard error, the same words in a row once.

    None if quiet: then nobody is told to accept a key, and a phone that waits for that is not waited for.
    """
    if quiet:
        return None
    last = ""

    def tell(text: str) -> None:
        nonlocal last
        if text != last:
            errors.print(shown(text), style="dim", highlight=False, markup=False, soft_wrap=True)
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
) -> Iterator[Device]:
    """The device of that name or address; closed at the end.

    Args:
        threads: of the runtime; the other settings are the device's own.
        settings: all of them, in place of the device's own.

    Raises:
        DevicesError: it cannot be had.
    """
    from devices import registry

    settings = settings or registry.settings_for(where, bench=bench, threads=threads)
    device = registry.open_device(where, settings, bench=bench, wait_s=wait_s, on_event=teller(quiet))
    with closing(device):
        yield device
