from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.errors import TablesError
from latency_tables.measuring.covering import cover

NETWORKS = st.lists(st.frozensets(st.integers(0, 30), max_size=8), min_size=1, max_size=25)


@given(NETWORKS, st.integers(1, 3))
def test_every_key_is_covered_as_often_as_wanted(networks, times):
    wanted = {
        key for key in frozenset().union(*networks) if sum(key in network for network in networks) >= times
    }
    chosen = cover(networks, wanted, times)
    assert len(set(chosen)) == len(chosen)
    for key in wanted:
        assert sum(key in networks[index] for index in chosen) >= times


@given(NETWORKS, st.integers(1, 3))
def test_no_chosen_network_is_superfluous(networks, times):
    wanted = {
        key for key in frozenset().union(*networks) if sum(key in network for network in networks) >= times
    }
    chosen = cover(networks, wanted, times)
    for left_out in chosen:
        rest = [index for index in chosen if index != left_out]
        assert any(sum(key in networks[index] for index in rest) < times for key in wanted)


def test_takes_the_network_with_most_new_keys():
    assert cover(["ab", "abcd", "cd", "e"], set("abcde")) == [1, 3]


def test_leaves_out_what_later_networks_made_superfluous():
    # greedy takes the middle one first; the two others then contain all of it
    assert sorted(cover(["abx", "abcd", "cdy"], set("abcdxy"))) == [0, 2]


def test_nothing_wanted_needs_no_network():
    assert cover(["ab"], set()) == []


def test_a_key_in_too_few_networks_is_named():
    with pytest.raises(
        TablesError, match=r"1 operator\(s\) occur in fewer networks than wanted: b in 1 of 2"
    ):
        cover(["ab", "a"], set("ab"), times=2)


def test_keys_may_be_wanted_in_different_numbers():
    assert sorted(cover(["ab", "ac", "a"], set("abc"), {"a": 3, "b": 1, "c": 1})) == [0, 1, 2]
    assert sorted(cover(["ab", "ac", "a"], set("abc"), {"a": 2, "b": 1, "c": 1})) == [0, 1]


def test_a_key_that_is_wanted_in_no_network_is_not_looked_for():
    assert cover(["a", "ab"], set("abc"), {"a": 1, "b": 0, "c": 0}) == [0]
