"""How precisely a table knows its operators, and which networks to measure again. Measures nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from devices.errors import BadSettings
from latency_tables.figures import Figure
from latency_tables.shares import shares_of_time
from latency_tables.store import LatencyTable

#: a standard error that no more passes are spent on: half of what the profiler's clock can tell apart
FLOOR_MS = 0.0005
#: one operator's standard error counts as at most so many times too large when networks are chosen
MOST = 2.0


@dataclass(frozen=True, slots=True)
class Adaptive:
    """When a network is measured more often than the plan says: while one of its operators is not settled.

    Attributes:
        precision_percent: an operator is settled once the standard error of its figure, by the differences
            between passes, is at most so many percent of it, or at most `FLOOR_MS`. One whose passes spread
            by more than so many percent has to be known twice as well: what few passes say of its error is
            an estimate itself.
        max_passes: the most passes over a network.
    """

    precision_percent: float = 2.0
    max_passes: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.precision_percent <= 100:
            raise BadSettings(
                f"a precision of {self.precision_percent} %; it must be more than 0 and at most 100"
            )
        if self.max_passes < 1:
            raise BadSettings(f"max_passes is {self.max_passes}; it must be 1 or more")


def unsettled(
    figures: Mapping[str, Figure], precision_percent: float, *, spread: bool = False
) -> dict[str, float]:
    """How many times too large each unit's standard error is, of those where it is too large.

    Args:
        spread: a unit whose passes spread by more than the precision has half of it as its goal.

    Of the error that more passes make smaller: given figures are not in it, and of operators measured alone
    the error of their kind's ratio is not. A unit that was seen in one pass only counts as `MOST` times.
    """
    found = {}
    for unit, one in figures.items():
        if one.method not in {"in context", "alone"}:
            continue
        error_ms = _between_passes_ms(one)
        doubtful = spread and (one.between_pass_percent or 0.0) > precision_percent
        percent = precision_percent / 2 if doubtful else precision_percent
        goal_ms = max(percent / 100 * one.latency_ms, FLOOR_MS)
        if error_ms is None:
            found[unit] = MOST
        elif error_ms > goal_ms:
            found[unit] = error_ms / goal_ms
    return found


def _between_passes_ms(one: Figure) -> float | None:
    if one.method == "in context":
        return one.std_error_ms
    if one.between_pass_percent is None:
        return None
    return float(one.between_pass_percent / 100 * one.latency_ms / one.passes**0.5)


def choose(
    networks: Mapping[str, Collection[str]], wants: Mapping[str, float], costs: Mapping[str, float]
) -> list[str]:
    """Few and cheap networks that together contain every unit not settled: the greedy weighted cover.

    Each step takes the network of most weight for its cost; a unit that no network has is left out. The cover
    costs at most `1 + ln(n)` times the least (Chvatal 1979).

    Args:
        networks: by name, the units in each.
        wants: by unit, how many times too large its standard error is: what it weighs.
        costs: by name, what one pass over a network costs, in any measure.
    """
    left = {unit: min(ratio, MOST) ** 2 for unit, ratio in wants.items()}
    inside = {name: left.keys() & set(units) for name, units in networks.items()}
    chosen: list[str] = []
    while True:
        gains = {
            name: sum(left[unit] for unit in units if unit in left) / costs[name]
            for name, units in inside.items()
        }
        best = max(sorted(gains), key=lambda name: gains[name], default=None)
        if best is None or not gains[best]:
            return chosen
        chosen.append(best)
        for unit in inside.pop(best):
            left.pop(unit, None)


def weighted_standard_error_percent(
    table: LatencyTable, shares: Mapping[str, float] | None = None
) -> float | None:
    """The mean standard error of a table's figures in percent, each weighted by its share of the time.

    Args:
        shares: by unit, its share of the time of networks; by default that of the anchors, which are random
            networks of the space.

    Returns:
        None while no figure's standard error is known, as after a single pass. Figures of which it is not
        known count for nothing (`known_share_percent`), nor do those that are in none of the networks.
    """
    figures = table.figures()
    if shares is None:
        shares = shares_of_time(figures, table.networks())
    known = [
        (shares[unit], one.std_error_ms / one.latency_ms)
        for unit, one in figures.items()
        if one.std_error_ms is not None and shares.get(unit)
    ]
    total = sum(share for share, _ in known)
    return 100 * sum(share * error for share, error in known) / total if total else None


def known_share_percent(figures: Mapping[str, Figure], shares: Mapping[str, float]) -> float | None:
    """Of which share of the time of networks the standard error is known; None where nothing has a share.

    Args:
        shares: by unit, its share of the time, with all units of the networks in them.
    """
    total = sum(shares.values())
    known = sum(share for unit, share in shares.items() if figures[unit].std_error_ms is not None)
    return 100 * known / total if total else None
