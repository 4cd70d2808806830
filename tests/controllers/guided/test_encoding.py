import time
import tracemalloc

import numpy as np
import pytest

from controllers.guided.encoding import BINARY, Encoding

CHOICES = {"word": ("a", "b", "c"), "number": (5, 3, 7), "pair": (1, 2), "single": (1,)}


def test_a_choice_of_words_is_apart_or_not_and_a_choice_of_numbers_by_steps_in_their_order() -> None:
    encoding = Encoding.of(CHOICES)
    assert len(encoding.groups) == 4
    points = np.array([[0, 0, 0, 0], [2, 0, 0, 0], [0, 1, 0, 0], [0, 2, 0, 0], [0, 0, 1, 0]])
    features = encoding.features(points)
    apart = np.array([encoding.groups.distances(one, features, features) for one in encoding.groups.weights])
    word, number, steps, pair = apart
    assert word[0].tolist() == [0, 1, 0, 0, 0]
    assert number[0].tolist() == [0, 0, 1, 1, 0]
    assert steps[0].tolist() == [0, 0, 0.5, 0.5, 0]
    assert steps[2, 3] == 1.0, "3 and 7 are two steps apart, with 5 between them"
    assert pair[0].tolist() == [0, 0, 0, 0, 1]


def test_without_order_numbers_are_words_and_a_space_of_one_point_has_no_feature() -> None:
    assert len(Encoding.of(CHOICES, ordinal=False).groups) == 3
    assert Encoding.of({"single": (1,)}).features(np.array([[0]])).shape == (1, 0)
    assert len(Encoding.of({"odd": (1.0, float("nan"), float("inf"))}).groups) == 1
    assert len(Encoding.of({"flags": (True, False, True)}).groups) == 1


def test_with_many_options_distances_are_the_same_as_with_few() -> None:
    many, few = BINARY + 1, BINARY
    rng = np.random.default_rng(0)
    points = np.stack([rng.integers(few, size=30), rng.integers(few, size=30), rng.integers(3, size=30)], 1)
    numbers = rng.permutation(few).tolist()
    words = [f"w{number}" for number in range(few)]
    small = Encoding.of({"number": numbers, "word": words, "little": (1, 2, 3)})
    large = Encoding.of({"number": [*numbers, few], "word": [*words, "another"], "little": (1, 2, 3)})
    assert small.groups.binary == small.groups.weights.shape[1]
    assert large.groups.weights.shape[1] == 3 + 2 + 1 + 1 + 1
    for kind in (np.float64, np.float32):

        def apart(encoding: Encoding, group: int, kind: type = kind) -> np.ndarray:
            features = encoding.features(points, kind)
            weights = encoding.groups.weights[group].astype(kind)
            found = encoding.groups.distances(weights, features, features[:20])
            assert found.dtype == kind
            return found

        # groups of the first: number, its order, word, little, its order; of the second: little, its order,
        # number, word, number's order, which has one step more
        pairs = {0: (2, 1), 1: (4, (many - 1) / (few - 1)), 2: (3, 1), 3: (0, 1), 4: (1, 1)}
        for ours, (theirs, scale) in pairs.items():
            assert apart(small, ours) == pytest.approx(scale * apart(large, theirs), abs=1e-5)


@pytest.mark.parametrize("kind", [int, str])
def test_any_number_of_options_takes_memory_and_time_for_the_points_only(kind: type) -> None:
    """Of 20000 options, a feature for each would take 3 GB."""
    began = time.process_time()
    tracemalloc.start()
    encoding = Encoding.of({"id": [kind(number) for number in range(20_000)], "other": (1, 2, 3)})
    features = encoding.features(np.stack([np.arange(500), np.arange(500) % 3], axis=1))
    apart = encoding.groups.distances(encoding.groups.weights.sum(axis=0), features, features)
    assert tracemalloc.get_traced_memory()[1] < 30e6
    tracemalloc.stop()
    assert time.process_time() - began < 5
    assert features.shape[1] <= 8
    assert apart.shape == (500, 500)


def test_whole_numbers_of_any_size_are_numbers() -> None:
    numbers = (10**400, 2**64, 7, -(10**400))
    encoding = Encoding.of({"number": numbers})
    features = encoding.features(np.arange(4)[:, None])
    steps = encoding.groups.distances(encoding.groups.weights[1], features, features)
    assert 3 * steps[3] == pytest.approx([3, 2, 1, 0])
    assert len(Encoding.of({"odd": (10**400, 1, float("inf"))}).groups) == 1
