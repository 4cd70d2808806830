"""Every error the device layer raises, and which of them may be tried again.

DevicesError
├── BadSettings           the caller asked for something that cannot be (an address, a thread count, a plan)
├── ModelRejected         the runtime refuses the model: truncated, corrupted, empty, an unknown operator
├── DeviceTrouble         the device, not the question, is at fault
│   ├── RuntimeMissing        no TFLite runtime can be imported there
│   ├── ProfilerUnavailable   per-operator times cannot be had there
│   ├── WorkerCrashed         the runtime ended the worker while it ran a model
│   ├── DeadlineExceeded      no answer within the time allowed
│   └── TransientError        the only one that may be retried: the link, not the measurement, broke
"""

from __future__ import annotations


class DevicesError(Exception):
    """Root of everything this package raises on purpose."""


class BadSettings(DevicesError):  # noqa: N818 - reads as what it is where it is raised
    """The caller asked for something that cannot be: an address, a thread count, a plan."""


class ModelRejected(DevicesError):  # noqa: N818
    """The runtime refuses the model: truncated, corrupted, empty, or with an unknown operator."""


class DeviceTrouble(DevicesError):  # noqa: N818
    """The device, not the question, is at fault."""


class RuntimeMissing(DeviceTrouble):
    """No TFLite runtime can be imported on the device."""


class ProfilerUnavailable(DeviceTrouble):
    """Per-operator times cannot be had on this device; the message says why."""


class WorkerCrashed(DeviceTrouble):
    """The runtime ended the worker (a signal, an abort) while it ran a model."""


class DeadlineExceeded(DeviceTrouble):
    """No answer came within the time allowed."""


class TransientError(DeviceTrouble):
    """The link broke, not the measurement: the only error that may be retried."""
