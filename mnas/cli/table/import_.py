"""`mnas table import`: a table from figures in a file. Opens, calls and prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnas.cli.app import Exit
from mnas.cli.options import Json, Quiet
from mnas.cli.output import print_json, print_line, warn
from mnas.cli.table.group import group
from mnas.errors import BadInput

if TYPE_CHECKING:
    from latency_tables.exchange.provenance import Provenance
    from latency_tables.fitting.calibration import Calibration
    from latency_tables.fitting.context import Sizes
    from latency_tables.records import Given, Origin
    from mnas.tables import TableRequest

YAML = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class _Found:
    """What a file says, whichever it is."""

    figures: Sequence[Given]
    provenance: Provenance
    origin: Origin | None = None
    calibration: tuple[Calibration, Sizes] | None = None
    unread: Sequence[tuple[str, str]] = ()
    dtype: str | None = None


@group.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A .csv, .parquet or .yaml file.")],
    *,
    output: Annotated[str, typer.Option("--output", "-o", help="The new table's file or URL.")],
    space: Annotated[
        str | None, typer.Option(help="The space that it is to be a table of, where the file does not say.")
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(min=1, help="Image size, pixels; else the space's own.")
    ] = None,
    width: Annotated[float | None, typer.Option(help="Filter multiplier; else the space's own.")] = None,
    channels: Annotated[
        int | None, typer.Option(min=1, help="Channels of the space's image; else 3.")
    ] = None,
    classes: Annotated[int | None, typer.Option(min=1, help="Classes to tell apart; else 1000.")] = None,
    device: Annotated[
        str | None, typer.Option(help="What to call the device, where the file does not say.")
    ] = None,
    blocks: Annotated[
        str | None,
        typer.Option(help="Whose keys a .yaml file has: mnasnet, once-for-all or proxylessnas."),
    ] = None,
    activation: Annotated[
        str | None, typer.Option(help="Of .yaml rows that do not say: relu, relu6 or hard_swish.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Element type of a .yaml file's or a space's networks; else float32.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="Of a .yaml file's means, which do not say: ms (default), us or s.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Make a table of figures that were measured elsewhere.

    From a file of `mnas table export` the table predicts as the first one did. A file made elsewhere has the
    columns operator and latency_ms, or is a YAML table of once-for-all or ProxylessNAS: a key for each layer,
    its mean, std or var, and count. Then predictions are sums, without calibration and without error bars.
    Operators that the file lacks stay missing: a network with them is refused by their names. With --space,
    the layers of that space that the table lacks are listed, and the exit code is 4. What the file says of
    its table's age is kept: `mnas table show` tells it, and figures of a stale table are stale. Options that
    say what the file says itself are refused.

    Example: mnas table import note10-224.yaml --activation relu6 -o note10-224.db
    """
    from latency_tables.exchange.importing import UNKNOWN, import_table, unknown_origin
    from latency_tables.storage.database import shown
    from latency_tables.store import LatencyTable
    from mnas.table_blocks import lacking_layers

    found = _read(file, blocks, activation, dtype, unit)
    image = {"resolution": resolution, "width": width, "channels": channels, "classes": classes}
    own = {"space": space, **image, "device": device, "dtype": dtype}
    if found.origin is not None and (odd := _named(own)):
        raise BadInput(f"{file} says of what space, device and type its table was: leave {odd} out")
    needless = {**image, "dtype": None if file.suffix in YAML else dtype}
    if space is None and (odd := _named(needless)):
        raise BadInput(f"{odd} without --space: name the space that the table is to be of, or leave it out")
    request = _request(
        space,
        found.dtype or dtype or "float32",
        **{name: value for name, value in image.items() if value is not None},
    )
    origin = found.origin or unknown_origin({} if request is None else asdict(request), device or UNKNOWN)
    said, stale = found.provenance.said(file.name), found.provenance.stale
    import_table(output, origin, found.figures, found.calibration, given_from=said, stale=stale)
    lacking: list[str] = []
    if request is not None:
        with LatencyTable.open(output) as table:
            lacking = lacking_layers(table.predictor(), request)
    document = import_document(shown(output), file, found, lacking)
    if as_json:
        print_json(document)
    elif not quiet:
        print_line(f"{document['table']}: {len(found.figures)} figures from {file}")
    if found.calibration is None and not quiet:
        warn("the file says nothing of a calibration: predictions are sums, without error bars")
    if stale is not None:
        warn(f"the figures are stale: {stale}")
    if found.unread:
        key, reason = found.unread[0]
        warn(f"{len(found.unread)} row(s) could not be read, the first is {key!r}: {reason}")
    if lacking:
        warn(f"{len(lacking)} layer(s) of the space {space} are missing, the first is {lacking[0]}")
    return Exit.FAILURES if found.unread or lacking else Exit.DONE


def _named(options: Mapping[str, object]) -> str:
    """Those of some options that were given, as they are written; empty for none."""
    return ", ".join(f"--{name}" for name, value in options.items() if value is not None)


def _read(
    file: Path, blocks: str | None, activation: str | None, dtype: str | None, unit: str | None
) -> _Found:
    from latency_tables.exchange import block_yaml, figures_file

    if file.suffix in YAML:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise BadInput(f"{file} is no text: {error}") from error
        read = block_yaml.read(
            text, str(file), dialect=blocks, activation=activation, dtype=dtype, unit=unit or "ms"
        )
        return _Found(read.figures, read.provenance, unread=read.unread, dtype=read.dtype)
    if file.suffix not in (".csv", ".parquet"):
        raise BadInput(f"{file}: figures are read from .csv, .parquet or .yaml files, not {file.suffix!r}")
    if odd := _named({"blocks": blocks, "activation": activation, "unit": unit}):
        raise BadInput(f"{file} says itself what {odd} would: leave it out, it is for .yaml files")
    found = figures_file.read(file)
    return _Found(found.figures, found.provenance, found.origin, found.calibration)


def _request(space: str | None, dtype: str, **named: Any) -> TableRequest | None:
    from mnas.tables import TableRequest

    if space is None:
        return None
    return TableRequest.for_space(space, dtype=dtype, **named)


def import_document(address: str, file: Path, found: _Found, lacking: Sequence[str]) -> dict[str, Any]:
    """The fields that `docs/json.md` lists under `mnas table import`."""
    return {
        "table": address,
        "file": str(file),
        "figures": len(found.figures),
        "calibrated": found.calibration is not None,
        "given_from": found.provenance.said(file.name),
        "stale": found.provenance.stale,
        "unread": [{"key": key, "reason": reason} for key, reason in found.unread],
        "missing_layers": list(lacking),
    }
