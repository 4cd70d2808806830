"""How `mnas devices` shows devices and what is right and wrong with them. Asks no device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table

from mnas.cli.devices_documents import described
from mnas.cli.output import print_line, print_rich
from mnas.cli.text import escape

if TYPE_CHECKING:
    from devices.doctor import Diagnosis, Glance
    from devices.inventory.entry import Entry
    from devices.inventory.file import Inventory

#: of the words for a state or a level
_COLOURS = {"ready": "green", "in use": "yellow", "ok": "green", "warning": "yellow", "fault": "bold red"}


def show_list(inventory: Inventory, rows: list[tuple[Entry, Glance]]) -> None:
    """A line for each device: name, address, state, and what is to be said of it."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left")
    table.title = escape(f"Devices of {inventory.path}" if inventory.path else "Devices that are plugged in")
    for column in ("name", "address", "state", "what"):
        table.add_column(column, overflow="fold", header_style="dim")
    for entry, one in rows:
        known = entry.name != entry.address
        table.add_row(
            escape(entry.name) if known else "[dim]-[/]",
            escape(entry.address),
            f"[{_COLOURS.get(one.state, 'red')}]{escape(one.state)}[/]",
            escape(_said(one)),
        )
    print_rich(table)


def _said(one: Glance) -> str:
    parts = [
        f"by {one.holder}" if one.holder else "",
        one.said,
        described(one.machine) if one.machine else "",
    ]
    return "; ".join(part for part in parts if part)


def show_diagnosis(one: Diagnosis) -> None:
    """A device and its findings, each with its remedy below it."""
    at = "" if one.entry.name == one.entry.address else f"  {escape(one.entry.address)}"
    print_rich(f"[bold]{escape(one.entry.name)}[/]{at}")
    if one.machine is not None:
        print_rich(Padding(f"[dim]{escape(described(one.machine))}[/]", (0, 0, 0, 2), expand=False))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for check in one.checks:
        said = escape(check.said) + (f"\n[dim]→ {escape(check.remedy)}[/]" if check.remedy else "")
        grid.add_row(f"  [{_COLOURS[check.level]}]{check.level}[/]", check.name, said)
    print_rich(grid)
    print_line("")
