"""Writes the cards of a run's exported models beside them. Knows no figure of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mnas.data import Dataset
from mnas.jsonl import write_whole
from mnas.reports.card import card
from mnas.reports.summary import Network, Summary, summarise
from mnas.run import RunDirectory


def write_cards(run: RunDirectory, dataset: Dataset) -> list[Path]:
    """Write a card beside the first seed's file of every network and element type; returns their paths."""
    summary = summarise(run)
    paths = []
    for one in summary.networks:
        path = run.models / card_name(one.final.model.file)
        write_card(path, card_of(summary, one, dataset.labels, one.final.model.file, path.name))
        paths.append(path)
    return paths


def card_of(
    summary: Summary, one: Network, labels: tuple[str, ...], file: str, card_file: str
) -> dict[str, Any]:
    """The card of one network of a summary, for a model file of that name."""
    return card(
        one,
        dataset=summary.run.config.dataset,
        labels=labels,
        test_images=summary.records.test_images,
        training=summary.records.settings,
        file=file,
        card_file=card_file,
    )


def write_card(path: Path, document: dict[str, Any]) -> None:
    """Write a card whole or not at all."""
    write_whole(path, (json.dumps(document, indent=2, allow_nan=False) + "\n").encode())


def card_name(file: str) -> str:
    """The name of the card beside a model file."""
    return f"{file.removesuffix('.tflite')}.json"
