"""Linear algebra in one thread, for products too small for several. Knows nothing else.

Several threads wait for each other longer than such a product takes, by far on a busy machine; and the order
in which they add up is not always the same, so that results would differ in their last bits.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """While this is entered, NumPy's linear algebra takes one thread in this process."""
    limit: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limit


@cache
def _controller() -> ThreadpoolController:
    """Finding the libraries takes milliseconds: once per process."""
    return ThreadpoolController()
