"""Texts of options that become values."""

from __future__ import annotations

import pytest
import typer

from mnas.cli.options import duration_s


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("20m", 1200), ("1h30m", 5400), ("1.5h", 5400), ("0.5s", 0.5)]
)
def test_a_duration(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "0s", "-1m", "m", "1 h", "1d", "1h30", "x20m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="90s, 20m, 1h30m"):
        duration_s(text)
