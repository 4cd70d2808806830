"""Every error this package raises.

MnasError
├── BadInput          what was given cannot be used: the message says what is allowed
│   ├── BadArchitecture   a text that is no architecture; quotes the offending token
│   ├── BadDataset        a dataset that is not there or not usable
│   ├── BadRun            a run directory that is missing, foreign, or in use by another process
│   └── Infeasible        no architecture of the space reaches the target; names the fastest
└── TrainingFailed    training ended without an accuracy (diverged, killed, out of time)
"""

from __future__ import annotations


class MnasError(Exception):
    """Root of everything this package raises on purpose."""


class BadInput(MnasError):
    """What was given cannot be used; the message says what is allowed."""


class BadArchitecture(BadInput):
    """A text that is no architecture; the message quotes the offending token."""


class BadDataset(BadInput):
    """A dataset that is not there or not usable."""


class BadRun(BadInput):
    """A run directory that is missing, foreign, or in use by another process."""


class Infeasible(BadInput):
    """No architecture of the space reaches the target; the message names the fastest."""


class TrainingFailed(MnasError):
    """Training ended without an accuracy: it diverged, was killed or ran out of time."""
