"""The most accurate measured model below a latency, with its card. Trains and measures nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnas.architecture import Architecture
from mnas.errors import BadInput, BadRun
from mnas.finalists.ledger import read_model
from mnas.jsonl import write_whole
from mnas.reports.card import example
from mnas.reports.cards import card_name, write_card
from mnas.reports.summary import Network, summarise
from mnas.run import RunDirectory

#: fields that tell a card from other JSON files
CARD_FIELDS = frozenset({"schema", "file", "sha256", "architecture", "labels"})


@dataclass(frozen=True, slots=True)
class Pick:
    """A model to ship.

    Attributes:
        model: path of the `.tflite`: in the run, or where it was copied to.
        card: path of its card, beside it.
    """

    network: Network
    model: Path
    card: Path


def pick(run: RunDirectory, under_ms: float, dtype: str | None = None) -> Pick:
    """The most accurate measured model whose median latency is at most `under_ms`; the faster of equals.

    Where the search had targets for other costs, it keeps to them, too (`Network.missed`). Finalists and
    baselines both count. Accuracy is the mean over seeds, so that no seed is picked for its
    luck on the test split; the file is the first seed's, the one that was measured.

    Raises:
        BadInput: no latency, or none of the models is that fast, or keeps to the other targets; the message
            names the nearest.
        BadRun: nothing is measured yet.
    """
    if not (math.isfinite(under_ms) and under_ms > 0):
        raise BadInput(f"the limit is {under_ms:g} ms; it must be a number above 0")
    summary = summarise(run)
    found = [one for one in summary.networks if one.rated is not None and dtype in {None, one.final.dtype}]
    if not found:
        kind = "" if dtype is None else f"{dtype} "
        raise BadRun(f"{run.path} has no measured {kind}models yet: run mnas finalize {run.path}")
    fitting = [one for one in found if _latency(one) <= under_ms]
    if not fitting:
        raise BadInput(f"no model of {run.path} takes {under_ms:g} ms or less; {_nearest(found)}")
    if not (kept := [one for one in fitting if not one.missed]):
        costs = ", ".join(sorted({cost for one in fitting for cost in one.missed}))
        raise BadInput(
            f"of the models of {run.path} that take {under_ms:g} ms or less, none is known to keep to the "
            f"search's target of {costs}; ask for more time, or finalize more candidates with --finalists"
        )
    best = max(kept, key=lambda one: (_accuracy(one), -_latency(one)))
    model = run.models / best.final.model.file
    return Pick(best, model, model.with_name(card_name(model.name)))


def _nearest(found: Sequence[Network]) -> str:
    nearest = min(found, key=_latency)
    return (
        f"the nearest is {nearest.final.name} {nearest.final.dtype}: {_latency(nearest):.3g} ms, "
        f"{_accuracy(nearest):.2%} right. Ask for more time, or search with a lower --target-ms"
    )


def _latency(one: Network) -> float:
    assert one.latency_ms is not None
    return one.latency_ms.middle


def _accuracy(one: Network) -> float:
    assert one.accuracy is not None
    return one.accuracy.middle


def save(run: RunDirectory, picked: Pick, output: Path) -> Pick:
    """Copy a picked model to `output` and its card beside it; the card's example opens the copies.

    An earlier pick of that name is replaced, and nothing else.

    Raises:
        BadInput: `output` cannot be written, lies among a run's models, or something else is there.
        BadRun: the model or its card is gone or changed.
    """
    content = read_model(run, picked.network.final.model)
    document = read_card(picked.card)
    card = output.with_name(card_name(output.name))
    if card == output or output.is_dir():
        raise BadInput(f"cannot write the model to {output}; give a file name such as model.tflite")
    _refuse_others(output, card)
    final = picked.network.final
    lines = example(Architecture.parse(final.architecture), final.model.source, output.name, card.name)
    try:
        # the card first: a card alone can be replaced later, a model without one could be anyone's
        write_card(card, document | {"file": output.name, "example": lines.splitlines()})
        write_whole(output, content)
    except OSError as error:
        raise BadInput(f"cannot write {output}: {error.strerror}; choose another place with -o") from error
    return Pick(picked.network, output, card)


def _refuse_others(output: Path, card: Path) -> None:
    """Refuse to replace what no `pick` has written."""
    folder = output.resolve().parent
    if folder.name == "models" and (folder.parent / "config.toml").exists():
        raise BadInput(
            f"{output} is among the models of the run {folder.parent}; choose another place with -o"
        )
    taken = [path for path in (output, card) if path.exists() or path.is_symlink()]
    if not taken:
        return
    try:
        ours = (document := read_card(card)).keys() >= CARD_FIELDS and document["file"] == output.name
    except BadRun:
        ours = False
    if not ours:
        raise BadInput(
            f"{taken[0]} exists, and mnas pick did not write it; remove it, or choose another name with -o"
        )


def read_card(path: Path) -> dict[str, Any]:
    """A card beside a model.

    Raises:
        BadRun: it is gone or damaged.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadRun(f"cannot read the card {path}: {error}; mnas finalize writes it again") from error
    if not isinstance(document, dict) or "labels" not in document:
        raise BadRun(f"{path} is no card of a model; mnas finalize writes it again")
    return document
