"""Parts of documents and texts that several commands of `mnas table` print. Prints nothing itself."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latency_tables.fitting.calibration import Calibration
    from latency_tables.fitting.resources import Resources
    from latency_tables.records import StoredFailure
    from latency_tables.store import LatencyTable


def calibration_document(calibration: Calibration | None) -> dict[str, Any] | None:
    """From sums to latencies; None where nothing can be predicted yet."""
    if calibration is None:
        return None
    return {
        "shape": calibration.shape,
        "scale": calibration.scale,
        "intercept_ms": calibration.intercept_ms,
        "anchors": calibration.anchors,
        "left_out_percent": calibration.left_out_percent,
    }


def calibration_text(calibration: Calibration | None) -> str:
    """The same for people, on one line."""
    if calibration is None:
        return "none yet"
    if not calibration.anchors:
        return "none: predictions are sums, without error bars"
    text = f"{calibration.shape} {calibration.scale:.4f} by {calibration.anchors} anchors"
    if calibration.left_out_percent is None:
        return text
    return f"{text}; each, predicted from the others, is {calibration.left_out_percent:.2f} % off"


def with_password_told(text: str) -> str:
    """A text with a command in it; that a URL's password was left out is said, so that the command works."""
    return f"{text} (for *** put the password)" if ":***@" in text or "password=***" in text else text


def anchor_command(table: LatencyTable) -> str:
    """The command that calibrates a table again on its device."""
    return f"mnas table anchor {shlex.quote(table.address)} -d {shlex.quote(table.origin.facts.address)}"


def blocks_text(blocks: Sequence[int]) -> str:
    """How many figures are of several operators at once, on one line."""
    if not blocks:
        return "none: each figure is of one operator"
    count = "1 figure is of a block" if len(blocks) == 1 else f"{len(blocks)} figures are of blocks"
    sizes = f"{blocks[0]}" if blocks[0] == blocks[-1] else f"{blocks[0]} to {blocks[-1]}"
    return f"{count} of {sizes} operators"


def resources_document(known: Resources) -> dict[str, Any]:
    """What a table knows of memory and energy; figures that it does not know are None."""
    memory, energy = known.memory, known.energy
    names = ("fixed_bytes", "per_parameter_byte", "per_live_byte", "left_out_percent")
    return {
        "memory": {
            **{name: memory and getattr(memory, name) for name in names},
            "networks": memory.networks if memory else 0,
        },
        "energy": {
            "common_mw": energy and energy.common_mw,
            "powers": [{"kind": kind, "mw": mw} for kind, mw in energy.power_mw.items()] if energy else [],
            "left_out_percent": energy and energy.left_out_percent,
            "networks": energy.networks if energy else 0,
        },
    }


def failure_documents(failures: Iterable[StoredFailure]) -> list[dict[str, str]]:
    """Networks that could not be measured."""
    return [{"network": one.network, "error": one.error, "message": one.message} for one in failures]
