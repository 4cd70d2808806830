import pytest

from mnas.errors import TrainingFailed
from mnas.evaluations import Inline, failure, share


def test_what_was_submitted_first_is_evaluated_first() -> None:
    seen: list[str] = []

    def evaluator(architecture: str) -> float:
        seen.append(architecture)
        return len(architecture) / 10

    inline = Inline(evaluator)
    inline.submit(3, "ab")
    inline.submit(5, "abc")
    assert not seen
    first, second = inline.next(), inline.next()
    assert (first.number, first.accuracy, first.error) == (3, 0.2, None)
    assert (second.number, second.accuracy) == (5, 0.3)
    assert seen == ["ab", "abc"]
    with inline.paused():
        inline.close()
    assert inline.slots == 1


def test_a_failure_is_a_value_with_its_trace() -> None:
    def evaluator(_: str) -> float:
        raise TrainingFailed("the loss is not a number")

    inline = Inline(evaluator)
    inline.submit(1, "a")
    finished = inline.next()
    assert finished.accuracy is None
    assert finished.error == "TrainingFailed: the loss is not a number"
    assert "in evaluator" in finished.trace
    assert finished.trace.endswith("the loss is not a number")
    assert finished.seconds >= 0


def test_ctrl_c_is_no_failure() -> None:
    def evaluator(_: str) -> float:
        raise KeyboardInterrupt

    inline = Inline(evaluator)
    inline.submit(1, "a")
    with pytest.raises(KeyboardInterrupt):
        inline.next()


def test_only_shares_are_accuracies() -> None:
    assert share(0) == 0.0
    assert share(1.0) == 1.0
    for wrong in (87.5, -0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="accuracy is a share between 0 and 1"):
            share(wrong)
    with pytest.raises(ValueError, match="could not convert"):
        share("high")  # type: ignore[arg-type]  # what an evaluator of one's own may return


def test_an_error_without_a_traceback_is_told_too() -> None:
    assert failure(4, ValueError("as told"), 0.5).trace == "ValueError: as told"
