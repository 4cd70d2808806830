"""A latency table of figures that were measured elsewhere. Reads no file and measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from tempfile import TemporaryDirectory

from devices.measurement import DeviceFacts, Settings
from latency_tables.errors import BadTable
from latency_tables.exchange.whole import refuse_taken, whole
from latency_tables.fitting.calibration import Calibration
from latency_tables.fitting.context import Sizes
from latency_tables.records import Given, Origin, Purpose
from latency_tables.storage.copying import copy
from latency_tables.storage.database import is_url
from latency_tables.store import LatencyTable

#: of a device of which a file says nothing
UNKNOWN = "unknown"


def unknown_origin(purpose: Purpose, device: str = UNKNOWN, threads: int = 1) -> Origin:
    """The origin of figures of which nobody says where they were measured.

    Args:
        device: what people call it.
        threads: of the runtime; a table has to have some, and public ones were measured with one.
    """
    facts = DeviceFacts(
        address=device,
        machine=UNKNOWN,
        cpu_model=UNKNOWN,
        cores=None,
        memory_bytes=None,
        operating_system=UNKNOWN,
        python_version=None,
        runtime=UNKNOWN,
        runtime_version=UNKNOWN,
    )
    return Origin(purpose, facts, Settings(threads=threads))


def import_table(
    output: str,
    origin: Origin,
    figures: Sequence[Given],
    calibration: tuple[Calibration, Sizes] | None = None,
    *,
    given_from: str | None = None,
    stale: str | None = None,
) -> None:
    """Make a table of given figures. It has no anchors.

    Args:
        calibration: of the table that they are from, and the sizes of its networks, so that the new one
            predicts as it did; None: predictions are sums, without error bars.
        given_from: what to note of where they are from, and since when they are.
        stale: why they are not to be trusted any more, if so.

    Raises:
        BadTable: something is there already, or it cannot be written: nothing is left then.
    """
    refuse_taken(output)
    if is_url(output):  # whole, in one transaction
        with TemporaryDirectory() as folder:
            import_table(
                f"{folder}/table.db", origin, figures, calibration, given_from=given_from, stale=stale
            )
            copy(f"{folder}/table.db", output)
        return
    with whole(output) as place, LatencyTable.create(place, origin, []) as table:
        try:
            table.add_given(figures)
        except OverflowError as error:
            raise BadTable(f"{table.address} cannot hold the figures: {error}") from error
        if calibration is not None:
            table.keep_calibration(*calibration)
        if given_from is not None:
            table.say_given_from(given_from)
        if stale is not None:
            table.mark_stale(stale)
