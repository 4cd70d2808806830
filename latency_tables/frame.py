"""A latency table as a pandas frame, one row per unit. Derives no figure of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from latency_tables.store import LatencyTable


def frame(table: LatencyTable) -> pd.DataFrame:
    """One row per unit, by its text form."""
    import pandas as pd

    return pd.DataFrame(
        [{"unit": unit, "latency_ms": one.latency_ms} for unit, one in table.figures().items()]
    )
