"""Results are filed as they come, and what a device still holds when the job ends is filed too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devices.errors import LinkLost
from devices.streaming import drain


def holding(rows: int = 6) -> Iterator[int]:
    """Rows in pairs: told to end, it hands over what it has of the pair."""
    for first in range(0, rows, 2):
        held = [first, first + 1]
        try:
            while held:
                yield held[0]
                held.pop(0)
        except KeyboardInterrupt:
            yield from held[1:]
            raise


def test_a_whole_stream_is_filed() -> None:
    filed: list[int] = []
    assert drain(holding(), filed.append)
    assert filed == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("after", "expected"), [(1, [0, 1]), (2, [0, 1]), (3, [0, 1, 2, 3])])
def test_told_to_stop_it_files_what_is_held_and_no_more(after: int, expected: list[int]) -> None:
    filed: list[int] = []
    assert not drain(holding(), filed.append, lambda: len(filed) >= after)
    assert filed == expected


def test_ctrl_c_while_filing_loses_nothing_that_is_held() -> None:
    filed: list[int] = []

    def file(row: int) -> None:
        filed.append(row)
        if row == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drain(holding(), file)
    assert filed == [0, 1, 2, 3]


def test_trouble_comes_after_what_was_told_before() -> None:
    def breaking() -> Iterator[int]:
        yield 1
        raise LinkLost("unplugged")

    filed: list[int] = []
    with pytest.raises(LinkLost):
        drain(breaking(), filed.append)
    assert filed == [1]


def test_a_device_is_not_left_in_the_middle_when_a_result_cannot_be_filed() -> None:
    def file(row: int) -> None:
        raise OSError(f"no room for {row}")

    stream = holding()
    with pytest.raises(OSError, match="no room for 0"):
        drain(stream, file)
    assert list(stream) == []


def test_what_is_no_generator_holds_nothing() -> None:
    filed: list[int] = []
    assert not drain(iter([1, 2, 3]), filed.append, lambda: True)
    assert filed == [1]
