"""Every error the device layer raises, and which of them may be tried again.

DevicesError
├── BadSettings           the caller asked for something that cannot be (an address, a thread count, a plan)
│   └── BadInventory          bench.toml says something that cannot be; the message names line and device
├── ModelRejected         the runtime refuses the model: truncated, corrupted, empty, an unknown operator
├── DeviceTrouble         the device, not the question, is at fault
│   ├── RuntimeMissing        no TFLite runtime can be used there
│   ├── ProfilerUnavailable   per-operator times cannot be had there
│   ├── WorkerCrashed         the runtime ended while it ran a model
│   ├── OutOfMemory           the device's memory did not suffice
│   ├── NoSpace               the device's storage is full
│   ├── WrongAbi              a program there is built for another processor
│   ├── LinkError             a program there lacks a library or a symbol
│   ├── DelegateFallback      the delegate that was asked for did not run the model, or not all of it
│   ├── TooHot                the device did not cool down within the time allowed
│   ├── UnreadableOutput      what a program there printed cannot be understood
│   ├── DeadlineExceeded      no answer within the time allowed
│   ├── Unauthorized          the phone waits until somebody accepts this host's key on its screen
│   ├── KeyRefused            the device knows none of this host's keys
│   ├── HostKeyRejected       the device's own key is unknown or not the one known
│   ├── DeviceBusy            another job holds the device
│   ├── LeaseLost             the job held the device for too long without a word, and lost it
│   └── TransientError        the only one that may be retried: the link, not the measurement, broke
│       ├── DeviceNotFound        nothing answers at the address
│       ├── DeviceOffline         the address is known, the device does not answer
│       └── LinkLost              the connection was there and broke
"""

from __future__ import annotations

from typing import ClassVar


class DevicesError(Exception):
    """Root of everything this package raises on purpose.

    `code` is the kind of failure, one word for scripts; `docs/bench.md` lists them.
    """

    code: ClassVar[str] = "ERROR"


class BadSettings(DevicesError):
    """The caller asked for something that cannot be: an address, a thread count, a plan."""

    code = "BAD_SETTINGS"


class BadInventory(BadSettings):
    """The inventory of devices says something that cannot be."""


class ModelRejected(DevicesError):
    """The runtime refuses the model: truncated, corrupted, empty, or with an unknown operator."""

    code = "MODEL_REJECTED"


class DeviceTrouble(DevicesError):
    """The device, not the question, is at fault."""

    code = "DEVICE_TROUBLE"


class RuntimeMissing(DeviceTrouble):
    """No TFLite runtime can be used on the device."""

    code = "RUNTIME_MISSING"


class ProfilerUnavailable(DeviceTrouble):
    """Per-operator times cannot be had on this device; the message says why."""

    code = "NO_PROFILER"


class WorkerCrashed(DeviceTrouble):
    """The runtime ended (a signal, an abort) while it ran a model."""

    code = "CRASH"


class OutOfMemory(DeviceTrouble):
    """The device's memory did not suffice."""

    code = "OUT_OF_MEMORY"


class NoSpace(DeviceTrouble):
    """The device's storage is full."""

    code = "NO_SPACE"


class WrongAbi(DeviceTrouble):
    """A program on the device is built for another processor."""

    code = "WRONG_ABI"


class LinkError(DeviceTrouble):
    """A program on the device lacks a library or a symbol."""

    code = "LINK_ERROR"


class DelegateFallback(DeviceTrouble):
    """The delegate that was asked for did not run the model, or not all of it: no result of that delegate.

    `delegated_operators` of `total_operators` are what it took, as far as that is known.
    """

    def __init__(
        self,
        message: str = "",
        delegated_operators: int | None = None,
        total_operators: int | None = None,
    ) -> None:
        super().__init__(message)
        self.delegated_operators = delegated_operators
        self.total_operators = total_operators

    code = "DELEGATE_FALLBACK"


class TooHot(DeviceTrouble):
    """The device did not cool down within the time allowed."""

    code = "THERMAL"


class UnreadableOutput(DeviceTrouble):
    """What a program on the device printed cannot be understood."""

    code = "PARSE"


class DeadlineExceeded(DeviceTrouble):
    """No answer came within the time allowed."""

    code = "TIMEOUT"


class Unauthorized(DeviceTrouble):
    """The phone waits until somebody accepts this host's key on its screen."""

    code = "UNAUTHORIZED"


class KeyRefused(DeviceTrouble):
    """The device knows none of this host's keys."""

    code = "KEY_REFUSED"


class HostKeyRejected(DeviceTrouble):
    """The device's own key is unknown, or not the one known for its address."""

    code = "HOST_KEY"


class DeviceBusy(DeviceTrouble):
    """Another job holds the device; the message says whose and since when."""

    code = "BUSY"


class LeaseLost(DeviceTrouble):
    """The job held the device for too long without a word, and lost it: what it measures counts no more."""

    code = "BUSY"


class TransientError(DeviceTrouble):
    """The link broke, not the measurement: the only error that may be retried."""

    code = "OFFLINE"


class DeviceNotFound(TransientError):
    """Nothing answers at the address."""

    code = "NOT_FOUND"


class DeviceOffline(TransientError):
    """The address is known, but the device behind it does not answer."""


class LinkLost(TransientError):
    """The connection was there and broke."""


def by_name(name: str) -> type[DevicesError]:
    """The class of an error by its name, as `Failure.error` has it; `DeviceTrouble` for an unknown name."""
    found = globals().get(name)
    return found if isinstance(found, type) and issubclass(found, DevicesError) else DeviceTrouble
