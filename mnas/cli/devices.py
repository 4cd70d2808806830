"""`mnas devices`: the devices of a bench, whether they are fit, making them so. Opens, calls and prints."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnas.cli.app import Exit
from mnas.cli.devices_documents import (
    described,
    diagnosis_document,
    entry_document,
    listed_document,
    machine_document,
)
from mnas.cli.devices_view import show_diagnosis, show_list
from mnas.cli.opening import teller
from mnas.cli.options import Bench, Json, Quiet, Wait
from mnas.cli.output import Display, print_json, print_line
from mnas.errors import BadInput

if TYPE_CHECKING:
    from devices.inventory.entry import Entry
    from devices.inventory.file import Inventory

group = typer.Typer(no_args_is_help=True, help="The devices of a bench: list, add, examine and set them up.")
Name = Annotated[str, typer.Argument(help="A name in bench.toml, or an address.")]


def register(app: typer.Typer) -> None:
    """Add `mnas devices`."""
    app.add_typer(group, name="devices")


@group.command("list")
def list_devices(
    *,
    bench: Bench = None,
    tag: Annotated[str | None, typer.Option(help="Only devices with this tag.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the inventory and the phones that are plugged in: their state, and who uses them.

    Ends with exit code 0 also where devices are offline or cannot be used: their
    state says so. `mnas devices doctor` ends with 3 then.

    Example: mnas devices list --json
    """
    from devices.doctor import glances
    from devices.inventory.file import load

    inventory = load(bench)
    entries = _with_plugged_in(inventory)
    if tag is not None:
        entries = [entry for entry in entries if tag in entry.tags]
        if not entries:
            raise BadInput(f"no device of {inventory.path or 'the bench'} has the tag {tag}")
    with Display(quiet) as display:
        if entries:
            display.report("asking devices", 0, len(entries))
        seen = glances(entries, lambda done: display.report("asking devices", done, len(entries)))
    rows = list(zip(entries, seen, strict=True))
    if as_json:
        print_json([listed_document(entry, one) for entry, one in rows])
    elif rows:
        show_list(inventory, rows)
    else:
        lacks = f"{inventory.path} has no device" if inventory.path else "no bench.toml here or above"
        print_line(f"{lacks}, and no phone is plugged in; local is always there")
        print_line("next: mnas devices add NAME ADDRESS")


@group.command()
def add(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    address: Annotated[
        str, typer.Argument(help="adb://SERIAL, adb://HOST:PORT or ssh://[USER@]HOST[:PORT].")
    ],
    *,
    runner: Annotated[str | None, typer.Option(help="benchmark_model or litert; else the usual one.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of the runtime.")] = 1,
    cpus: Annotated[
        str | None, typer.Option(help="Cores, such as 4-7 or 0xf0; the fastest if left out.")
    ] = None,
    delegate: Annotated[
        str, typer.Option(help="xnnpack, cpu, gpu, nnapi, npu, external:FILE ....")
    ] = "xnnpack",
    delegate_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY:VALUE", help="What an external delegate is told; may be repeated."),
    ] = None,
    library: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="A file on this host that the delegate needs there; may be repeated."
        ),
    ] = None,
    governor: Annotated[str | None, typer.Option(help="Frequency governor to set while measuring.")] = None,
    frequency: Annotated[
        int | None,
        typer.Option(metavar="KHZ", help="Frequency to hold the measuring cores at, where it can be."),
    ] = None,
    stay_awake: Annotated[
        bool, typer.Option(help="Keep a phone's screen on while measuring, or leave it alone.")
    ] = True,
    temperature_limit: Annotated[
        float | None, typer.Option(metavar="CELSIUS", help="Measure below it only.")
    ] = None,
    cooldown: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Longest wait for that, each time.")
    ] = None,
    python: Annotated[
        str | None, typer.Option(metavar="PATH", help="A board's Python with NumPy and a TFLite runtime.")
    ] = None,
    work: Annotated[str | None, typer.Option(help="Folder on the device for everything put there.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="A word to choose devices by; may be repeated.")
    ] = None,
    bench: Bench = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write over the entry of that name.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look at a device, then write its entry into bench.toml; the file's comments stay.

    Example: mnas devices add pixel6 adb://1A2B3C4D --tag phone
    """
    from devices.doctor import look
    from devices.errors import BadSettings
    from devices.inventory.entry import Entry, Unfit, read_cpus
    from devices.inventory.file import FILE_NAME, Inventory, changed, find, load
    from devices.inventory.file import add as write

    path = bench or find() or Path(FILE_NAME)
    inventory = load(path) if path.exists() else Inventory(path)
    if not replace and any(entry.name == name for entry in inventory.entries):
        raise BadInput(f"{path} has a device {name} already; choose another name, or --replace")
    try:
        cores = None if cpus is None else read_cpus(cpus)
    except Unfit as error:
        raise BadSettings(f"--cpus {cpus}: {error}") from error
    entry = Entry(
        name,
        address,
        runner or "",
        threads,
        cores,
        delegate,
        governor,
        frequency,
        stay_awake,
        temperature_limit,
        cooldown,
        work,
        tags=tuple(tag or ()),
        libraries=tuple(_from_folder(one, path.parent) for one in library or ()),
        python=python,
        delegate_options=tuple(delegate_option or ()),
    )
    changed(path, entry)
    machine = look(entry, teller(quiet))
    write(path, entry)
    following = f"mnas devices setup {shlex.quote(name)}" + (
        f" --bench {shlex.quote(str(bench))}" if bench else ""
    )
    if as_json:
        print_json(
            {
                "bench": str(path),
                "device": entry_document(entry),
                "machine": machine_document(machine),
                "next": following,
            }
        )
        return
    print_line(f"{name} is in {path}: {described(machine)}")
    print_line(f"next: {following}")


@group.command()
def doctor(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Names or addresses; all of bench.toml if none."),
    ] = None,
    *,
    canary: Annotated[
        bool, typer.Option("--canary/--no-canary", help="Measure the canary model, a minute or less.")
    ] = True,
    bench: Bench = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Examine devices: each finding is ok, a warning or a fault, and says what to do.

    Ends with exit code 3 if there is a fault.

    Example: mnas devices doctor pixel6
    """
    from devices.doctor import examine
    from devices.inventory.file import load

    inventory = load(bench)
    entries = [inventory.entry(name) for name in names] if names else list(inventory.entries)
    if not entries:
        raise BadInput("there is no bench.toml with devices here or above; name a device or its address")
    found = []
    tell = teller(quiet)
    with Display(quiet) as display:
        for number, entry in enumerate(entries):
            display.report("examining", number, len(entries), entry.name)
            found.append(examine(entry, inventory.folder, canary=canary, on_event=tell))
        display.report("examining", len(entries), len(entries))
    if as_json:
        print_json([diagnosis_document(one) for one in found])
    else:
        for one in found:
            show_diagnosis(one)
    return Exit.DEVICE_TROUBLE if any(one.level == "fault" for one in found) else Exit.DONE


@group.command()
def setup(
    name: Name,
    *,
    benchmark_model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The program to put there, in place of a download.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Of the LiteRT release to download the program from.")
    ] = None,
    wheels: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Wheels for a board, in place of any network.")
    ] = None,
    python: Annotated[
        str | None, typer.Option(help="The board's Python to use; the best one found if left out.")
    ] = None,
    bench: Bench = None,
    wait: Wait = 0.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Put on a device what measures there: benchmark_model on a phone, a Python with a runtime on a board.

    What is put there is tried before it counts. It can be repeated: what is there
    and works stays.

    Example: mnas devices setup pixel6
    """
    from devices.inventory.file import load
    from devices.setup.setting_up import set_up

    inventory = load(bench)
    entry = inventory.entry(name)
    board = {"--wheels": wheels, "--python": python}
    phone = {"--benchmark-model": benchmark_model, "--version": version}
    odd = [
        option for option, value in (board if entry.runner == "benchmark_model" else phone).items() if value
    ]
    if odd:
        raise BadInput(f"{odd[0]} means nothing to {entry.name}, where {entry.runner} measures")
    done = set_up(
        entry,
        inventory.path,
        program=benchmark_model,
        version=version,
        wheels=wheels,
        python=python,
        wait_s=wait,
        on_event=teller(quiet),
    )
    if as_json:
        print_json(
            {
                "name": entry.name,
                "address": entry.address,
                **asdict(done),
                "bench": done.bench and str(done.bench),
            }
        )
        return
    print_line(f"{entry.name} measures with {done.runtime} {done.version}: {done.path}")
    if done.sha256:
        print_line(f"sha256 {done.sha256}" + (f", noted in {done.bench}" if done.bench else ""))


def _from_folder(file: Path, folder: Path) -> str:
    """A file as the inventory in a folder names it: relative to the folder where it lies within."""
    if not file.is_file():
        raise BadInput(f"--library {file}: there is no such file")
    whole, base = file.absolute(), folder.absolute()
    return str(whole.relative_to(base) if whole.is_relative_to(base) else whole)


def _with_plugged_in(inventory: Inventory) -> list[Entry]:
    """The inventory's devices, then the phones that are plugged in without being in it."""
    from devices.adb import plugged_in
    from devices.errors import BadSettings
    from devices.inventory.entry import Entry

    entries = list(inventory.entries)
    known = {entry.address for entry in entries}
    for phone in plugged_in():
        try:
            entry = Entry.at(f"adb://{phone.serial}")
        except BadSettings:  # a serial number that no address can name
            continue
        entries += [] if entry.address in known else [entry]
    return entries
