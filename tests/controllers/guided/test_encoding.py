import numpy as np

from controllers.guided.encoding import Encoding, distances

CHOICES = {"word": ("a", "b", "c"), "number": (5, 3, 7), "pair": (1, 2), "single": (1,)}


def test_a_choice_of_words_is_apart_or_not_and_a_choice_of_numbers_by_steps_in_their_order() -> None:
    encoding = Encoding.of(CHOICES)
    assert len(encoding.groups) == 4
    points = np.array([[0, 0, 0, 0], [2, 0, 0, 0], [0, 1, 0, 0], [0, 2, 0, 0], [0, 0, 1, 0]])
    features = encoding.features(points)
    apart = np.array([distances(group, features, features) for group in encoding.groups])
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
