"""YAML tables of blocks: public ones read with their uncertainty, our own written and read back."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.errors import BadTable
from latency_tables.exchange.block_keys import DIALECTS, BlockKey, operators
from latency_tables.exchange.block_yaml import read, write
from latency_tables.exchange.provenance import Provenance
from latency_tables.records import Given
from latency_tables.units import print_unit

PROXYLESS = """
Conv-input:224x224x3-output:112x112x32: {count: 4, mean: 2.0, var: 0.04}
expanded_conv-input:112x112x16-output:56x56x24-expand:3-kernel:5-stride:2-idskip:0:
  count: 9
  mean: 3.5
  var: 0.36
Logits-input:7x7x1280-output:1000: {mean: 0.5}
"""
OFA = """
Conv-input:160x160x3-output:80x80x24: {mean: 1.0, std: 0.1, count: 25}
expanded_conv-input:40x40x32-output:20x20x48-expand:96-kernel:5-stride:2-idskip:0-se:1-hs:0:
  mean: 2.0
  std: 0.2
"""


def unit(text: str, dialect: str, dtype: str = "float32") -> str:
    return print_unit(operators(BlockKey.parse(text), DIALECTS[dialect], dtype))


def test_a_table_of_proxylessnas_has_means_with_variances() -> None:
    found = read(PROXYLESS, "mobile.yaml")
    assert (found.dialect.name, found.dtype, found.unread) == ("proxylessnas", "float32", ())
    stem, block, logits = found.figures
    assert (stem.latency_ms, stem.std_ms, stem.count) == (2.0, pytest.approx(0.2 / 2), 4)
    assert (block.latency_ms, block.std_ms, block.count) == (3.5, pytest.approx(0.6 / 3), 9)
    assert (logits.latency_ms, logits.std_ms, logits.count) == (0.5, None, None)
    assert stem.unit == "conv_2d/float32/1x224x224x3/1x112x112x32/k3x3/s2x2/same/relu6"
    assert block.unit.count(" & ") == 2
    assert {one.method for one in found.figures} == {"imported"}


def test_a_table_of_once_for_all_has_means_with_deviations() -> None:
    found = read(OFA, "160.yaml")
    assert found.dialect.name == "once-for-all"
    stem, block = found.figures
    # an activation that the runtime runs by itself is in the row, too
    assert stem.unit == (
        "conv_2d/float32/1x160x160x3/1x80x80x24/k3x3/s2x2/same & hard_swish/float32/1x80x80x24/1x80x80x24"
    )
    assert (stem.latency_ms, stem.std_ms, stem.count) == (1.0, pytest.approx(0.1 / 5), 25)
    assert (block.latency_ms, block.std_ms, block.count) == (2.0, 0.2, None)


def test_what_keys_do_not_say_can_be_said() -> None:
    found = read(OFA, "f", activation="relu6", dtype="int8", unit="us")
    assert found.figures[0].unit == "conv_2d/int8/1x160x160x3/1x80x80x24/k3x3/s2x2/same/relu6"
    assert found.figures[0].latency_ms == pytest.approx(0.001)
    assert found.figures[0].std_ms == pytest.approx(0.1 / 5 / 1000)
    assert "/relu6" in found.figures[1].unit
    assert "logistic" in read(OFA, "f", dialect="mnasnet").figures[1].unit
    assert read("Conv_1-input:7x7x8-output:7x7x8: {mean: 2}", "f", unit="s").figures[0].latency_ms == 2000


def test_rows_that_cannot_be_read_are_listed_with_their_reasons() -> None:
    text = OFA + "moon: {mean: 1.0}\nConv_1-input:5x5x8-output:5x5x8: {median: 1}\n7: {mean: 1.0}\n"
    found = read(text, "f")
    assert len(found.figures) == 2
    assert [key for key, _ in found.unread] == ["moon", "Conv_1-input:5x5x8-output:5x5x8", "7"]
    assert "the form is" in found.unread[0][1]
    assert "has no mean" in found.unread[1][1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{mean: 0}", "mean of .*above 0"),
        ("{mean: -1}", "mean of .*above 0"),
        ("{mean: .nan}", "mean of .*above 0"),
        ("{mean: .inf}", "mean of .*above 0"),
        ("{mean: yes}", "mean of .*above 0"),
        ("{mean: '2'}", "mean of .*above 0"),
        ("{mean: 2, std: -1}", "std of"),
        ("{mean: 2, var: x}", "var of"),
        ("{mean: 2, count: 0}", "count of"),
        ("{mean: 2, count: 1" + "0" * 30 + "}", "count of .*up to 2147483647"),
        ("{mean: 1" + "0" * 400 + "}", "mean of .*above 0"),
        ("{mean: 2, std: 1" + "0" * 400 + "}", "std of"),
        ("{mean: 2, var: .inf}", "var of"),
        ("[1, 2]", "has no mean"),
    ],
)
def test_rows_whose_figures_are_none_are_refused(row: str, message: str) -> None:
    with pytest.raises(BadTable, match=message):
        read(f"Conv_1-input:7x7x8-output:7x7x8: {row}", "f")


@pytest.mark.parametrize(
    "text", ["", "7", "- a\n- b", "a: [", "a: &x {b: *x}", "!!python/object:os.system {}"]
)
def test_files_that_are_no_table_of_blocks(text: str) -> None:
    with pytest.raises(BadTable, match=r"f\.yaml"):
        read(text, "f.yaml")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dialect": "moon"}, "mnasnet, once-for-all, proxylessnas"),
        ({"activation": "moon"}, "hard_swish, relu, relu6"),
        ({"dtype": "moon"}, "float32"),
        ({"unit": "h"}, "ms, s, us"),
    ],
)
def test_options_that_are_none_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(BadTable, match=message):
        read(OFA, "f", **options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OFA + OFA, r"f\.yaml has 'Conv-input:160x160x3-output:80x80x24' twice, in lines 2 and 7"),
        ("Conv_1-input:7x7x8-output:7x7x8: {mean: 2, mean: 3}", "has 'mean' twice"),
    ],
)
def test_a_key_that_stands_twice_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadTable, match=message):
        read(text, "f.yaml")


def test_rows_of_one_size_that_no_device_has_are_unread() -> None:
    large = "Conv_1-input:99999x99999x999999-output:99999x99999x999999: {mean: 1}\n"
    found = read(OFA + large, "f", dialect="once-for-all")
    assert len(found.figures) == 2
    assert "larger than any device" in found.unread[0][1]


def test_what_was_known_against_a_table_is_read_back() -> None:
    figure = Given(unit(KEYS["mnasnet"][0], "mnasnet"), 1.0, None, None, "imported")
    said = Provenance("2026-01-02T03:04:05+00:00", None, "9 % slower", "a lab")
    assert read(write([figure], "mnasnet", said)[0], "f").provenance == said
    assert read(write([figure])[0], "f").provenance == Provenance()
    with pytest.raises(BadTable, match="stale is 7"):
        read('# blocks: {"stale": 7}\n' + OFA, "f")


def test_two_rows_of_the_same_operators_are_not_both_taken() -> None:
    # by the same meaning an expansion by 1 and its absence are one
    text = "Conv_1-input:9x9x8-output:9x9x8: {mean: 1}\nConv_2-input:9x9x8-output:9x9x8: {mean: 2}\n"
    found = read(text, "f", dialect="proxylessnas")
    assert [one.latency_ms for one in found.figures] == [1.0]
    assert "a row before it" in found.unread[0][1]


KEYS = {
    "proxylessnas": [
        "Conv-input:224x224x3-output:112x112x32",
        "expanded_conv-input:56x56x24-output:56x56x24-expand:6-kernel:7-stride:1-idskip:1",
        "Logits-input:7x7x1280-output:1000",
    ],
    "once-for-all": [
        "Conv-input:160x160x3-output:80x80x24",
        "expanded_conv-input:40x40x32-output:20x20x48-expand:96-kernel:5-stride:2-idskip:0-se:1-hs:0",
        "expanded_conv-input:20x20x48-output:10x10x96-expand:192-kernel:7-stride:2-idskip:0-se:0-hs:1",
    ],
    "mnasnet": [
        "Conv-input:224x224x3-output:112x112x32",
        "expanded_conv-input:40x40x32-output:20x20x48-expand:96-kernel:5-stride:2-idskip:0-se:1-hs:0",
        "Logits-input:7x7x1280-output:1000",
    ],
}
MS = st.floats(1e-4, 1e4)


@given(
    dialect=st.sampled_from(sorted(KEYS)),
    dtype=st.sampled_from(("float32", "int8")),
    rows=st.lists(st.tuples(MS, st.none() | MS, st.none() | st.integers(1, 1000)), min_size=3, max_size=3),
)
def test_what_is_written_is_read_back(
    dialect: str, dtype: str, rows: list[tuple[float, float | None, int | None]]
) -> None:
    figures = [
        Given(unit(key, dialect, dtype), ms, error, count, "imported")
        for key, (ms, error, count) in zip(KEYS[dialect], rows, strict=True)
    ]
    text, left_out = write(figures, dialect)
    assert left_out == []
    assert list(yaml.safe_load(text)) == KEYS[dialect]  # others read the keys as they know them
    found = read(text, "f")
    assert (found.dialect.name, found.dtype, found.unread) == (dialect, dtype, ())
    for before, after in zip(figures, found.figures, strict=True):
        assert (after.unit, after.latency_ms, after.count) == (before.unit, before.latency_ms, before.count)
        assert (after.std_ms is None) == (before.std_ms is None)
        assert after.std_ms is None or math.isclose(after.std_ms, before.std_ms or 0, rel_tol=1e-9)


def test_what_no_key_says_is_left_out_by_name() -> None:
    known = Given(unit(KEYS["mnasnet"][0], "mnasnet"), 1.0, None, None, "imported")
    foreign = Given("softmax/float32/1x10/1x10", 1.0, None, None, "imported")
    other = Given(unit(KEYS["mnasnet"][0], "mnasnet", "int8"), 1.0, None, None, "imported")
    text, left_out = write([known, foreign, other])
    assert left_out == [foreign.unit, other.unit]
    assert len(read(text, "f").figures) == 1
    with pytest.raises(BadTable, match="none of 1 layers"):
        write([foreign])
    with pytest.raises(BadTable, match="allowed: "):
        write([known], "moon")
