"""Every error this package raises.

ControllersError
├── UnknownController   a name that is not in the registry; lists those that are
├── BadSetting          a setting that a strategy does not have, or does not take
└── MissingExtra        a strategy needs a package that is not installed; says which
"""

from __future__ import annotations


class ControllersError(Exception):
    """Root of everything this package raises on purpose."""


class UnknownController(ControllersError):
    """A name that is not in the registry; the message lists those that are."""


class BadSetting(ControllersError):
    """A setting that a strategy does not have, or a value that it does not take; says what is allowed."""


class MissingExtra(ControllersError):
    """A strategy needs a package that is not installed; the message says how to get it."""
