"""Every error this package raises.

ControllersError
└── UnknownController   a name that is not in the registry; lists those that are
"""

from __future__ import annotations


class ControllersError(Exception):
    """Root of everything this package raises on purpose."""


class UnknownController(ControllersError):
    """A name that is not in the registry; the message lists those that are."""
