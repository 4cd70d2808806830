from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.errors import BadOpSpec
from latency_tables.ops import OpSpec
from latency_tables.units import Units, kind_of, parse_unit, print_unit

SPECS = [OpSpec(kind, "int8", ((1, size),), (1, size)) for kind in ("relu", "tanh") for size in range(1, 4)]
UNITS = st.lists(st.sampled_from(SPECS), min_size=1, max_size=4).map(tuple)


@given(UNITS)
def test_texts_read_back(unit: tuple[OpSpec, ...]) -> None:
    assert parse_unit(print_unit(unit)) == unit


@pytest.mark.parametrize("text", ["", "relu", "relu/int8/1x1/1x1 &", "relu/int8/1x1/1x1 & nothing"])
def test_what_is_no_unit_is_refused(text: str) -> None:
    with pytest.raises(BadOpSpec):
        parse_unit(text)


def test_the_kind_of_a_block_names_all() -> None:
    assert kind_of(str(SPECS[0])) == "relu"
    assert kind_of(print_unit((SPECS[0], SPECS[3]))) == "relu & tanh"


@given(st.sets(UNITS, max_size=6), st.lists(st.sampled_from(SPECS), max_size=12))
def test_a_network_is_split_into_its_operators_in_order(
    known: set[tuple[OpSpec, ...]], specs: list[OpSpec]
) -> None:
    units = Units(map(print_unit, known))
    found, missing = units.split(specs)
    assert all(parse_unit(text) in known and len(parse_unit(text)) == size for text, size in found)
    assert sum(size for _, size in found) + len(missing) == len(specs)
    if not missing:
        assert [spec for text, _ in found for spec in parse_unit(text)] == specs
    assert set(missing) <= {spec for spec in specs if (spec,) not in known}
    assert units.single == all(len(unit) == 1 for unit in known)
