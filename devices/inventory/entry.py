"""One device of an inventory as a value: what can be said of it and what cannot be. Opens no file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from devices.bench.limits import TEMPERATURE_C
from devices.errors import BadSettings
from devices.inventory.address import Address
from devices.measurement import Settings

#: what measures -> the schemes of addresses where it can
RUNNERS = {"litert": ("local", "ssh"), "benchmark_model": ("adb", "ssh")}
#: what measures where nothing is said
RUNNER_OF = {"local": "litert", "ssh": "litert", "adb": "benchmark_model"}
#: what only phones and boards have
_FOR_OTHERS = ("governor", "frequency_khz", "temperature_limit_c", "cooldown_s", "work", "libraries")
WORK_OF = {"adb": "/data/local/tmp/mnas", "ssh": "~/.cache/mnas", "local": "~/.cache/mnas"}
#: core numbers that an entry may have: from 0 to one less
CORES = 1024
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PATH = re.compile(r"~?(?:/[A-Za-z0-9_+.-]+)+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One device of a bench. Values are checked when it is made.

    Attributes:
        name: letters, digits, dots, - and _.
        address: one that `Address` reads.
        runner: what measures there: `benchmark_model`, or `litert` (a board's or this machine's Python).
        threads: threads of the runtime, unless a command says otherwise.
        cpus: cores the runtime may use; None: the fastest ones, as many as there are threads.
        delegate: see `Settings.delegate`.
        governor: frequency governor to set while measuring, where the device allows; None leaves it.
        frequency_khz: frequency to hold the measuring cores at, likewise.
        stay_awake: keep a phone's screen from changing while measuring.
        temperature_limit_c: measure only below it, degrees Celsius; None: the default for the kind of device.
        cooldown_s: longest wait for that, each time.
        work: folder on the device in which everything is put; None: see `work_folder`.
        tags: words to choose devices by.
        libraries: files on this host that the delegate needs there; relative to the inventory's folder.
        python: the Python there that has NumPy and a TFLite runtime; None: the one `mnas devices setup` made.
        benchmark_model_sha256: of the program that `mnas devices setup` put there.
        delegate_options: see `Settings.delegate_options`.
    """

    name: str
    address: str
    runner: str = ""
    threads: int = 1
    cpus: tuple[int, ...] | None = None
    delegate: str = "xnnpack"
    governor: str | None = None
    frequency_khz: int | None = None
    stay_awake: bool = True
    temperature_limit_c: float | None = None
    cooldown_s: float | None = None
    work: str | None = None
    tags: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    python: str | None = None
    benchmark_model_sha256: str | None = None
    delegate_options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            scheme = self.place.scheme
        except BadSettings as error:
            raise BadSettings(f"address: {error}") from error
        if not self.runner:
            object.__setattr__(self, "runner", RUNNER_OF[scheme])
        for name in _CHECKS:
            if name == "name" and self.name == self.address:
                continue
            if (problem := _CHECKS[name](getattr(self, name))) is not None:
                raise BadSettings(f"{name}: {problem}")
        if scheme not in RUNNERS[self.runner]:
            can = next(name for name, schemes in RUNNERS.items() if scheme in schemes)
            raise BadSettings(f"runner: {self.runner} cannot run at {self.address}; {can} can")
        if self.runner == "litert" and self.delegate != "xnnpack":
            raise BadSettings(
                f"delegate: the runner litert runs xnnpack alone, not {self.delegate!r}; "
                'runner = "benchmark_model" can run others'
            )
        if scheme == "local":
            for name in _FOR_OTHERS:
                if getattr(self, name):
                    raise BadSettings(f"{name}: means nothing here: this machine is measured as it is")
        if self.name == "local" != self.address:
            raise BadSettings("name: local is this machine; another device needs another name")
        try:
            Settings(delegate=self.delegate)
        except BadSettings as error:
            raise BadSettings(f"delegate: {error}") from error
        try:
            Settings(delegate=self.delegate, delegate_options=self.delegate_options)
        except BadSettings as error:
            raise BadSettings(f"delegate_options: {error}") from error
        self.settings()

    @property
    def place(self) -> Address:
        """The address, taken apart."""
        return Address.parse(self.address)

    @property
    def work_folder(self) -> str:
        """The folder on the device in which everything is put; `~` is the user's home there."""
        return self.work or WORK_OF[self.place.scheme]

    def settings(
        self,
        threads: int | None = None,
        cpus: tuple[int, ...] | None = None,
        delegate: str | None = None,
        *,
        delegate_options: tuple[str, ...] | None = None,
    ) -> Settings:
        """How models are run on it; what is given here replaces what the entry says.

        The options of the entry's delegate are not those of another one that is given here.

        Raises:
            BadSettings: no settings.
        """
        threads = self.threads if threads is None else threads
        cpus = self.cpus if cpus is None else cpus
        if cpus is not None and len(cpus) < threads:
            raise BadSettings(f"cpus: {threads} threads on {len(cpus)} core(s); name one for each thread")
        delegate = delegate or self.delegate
        if delegate_options is None:
            delegate_options = self.delegate_options if delegate == self.delegate else ()
        return Settings(threads, cpus, delegate, delegate_options)

    @classmethod
    def at(cls, address: str) -> Self:
        """The entry of a device that no inventory has: its name is the address."""
        place = str(Address.parse(address))
        return cls(place, place)


def shown(value: object) -> str:
    """A value in a message: short, on one line, without what a terminal would obey."""
    text = value if isinstance(value, str) and NAME.fullmatch(value) else repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


class Unfit(Exception):
    """A value of a kind that its key cannot have; says which it must be."""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unfit("it must be a text in quotes")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unfit("it must be a whole number")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit("it must be a number")
    return float(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unfit("it must be true or false")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Unfit("it must be a list of texts in quotes")
    return tuple(value)


def read_cpus(value: Any) -> tuple[int, ...]:
    """Core numbers from a list, from text such as `4-7` or `0,2`, or from a mask such as `0xf0`.

    Raises:
        Unfit: they are none.
    """
    problem = 'it must be core numbers from 0: [4, 5], "4-7", or a mask such as "0xf0"'
    if isinstance(value, list):
        if not all(isinstance(one, int) and not isinstance(one, bool) for one in value):
            raise Unfit(problem)
        return tuple(value)
    if not isinstance(value, str):
        raise Unfit(problem)
    if re.fullmatch(r"0x[0-9A-Fa-f]{1,32}", value):
        mask = int(value, 16)
        return tuple(core for core in range(mask.bit_length()) if mask >> core & 1)
    cores: list[int] = []
    for part in value.split(","):
        bounds = re.fullmatch(r"\s*([0-9]{1,9})(?:\s*-\s*([0-9]{1,9}))?\s*", part)
        if bounds is None or not int(bounds[1]) <= int(bounds[2] or bounds[1]):
            raise Unfit(problem)
        if int(bounds[2] or bounds[1]) >= CORES:
            raise Unfit(f"cores have numbers from 0 to {CORES - 1}")
        cores += range(int(bounds[1]), int(bounds[2] or bounds[1]) + 1)
    return tuple(cores)


def check_cores(cpus: tuple[int, ...] | None, existing: int | None) -> None:
    """See that a device has the cores that are to be used.

    Args:
        existing: how many it has; None where that is not known.

    Raises:
        BadSettings: it lacks one.
    """
    if cpus and existing and max(cpus) >= existing:
        raise BadSettings(f"cpus: core {max(cpus)} does not exist: this device has cores 0 to {existing - 1}")


READERS: Mapping[str, Callable[[Any], Any]] = {
    "address": _text,
    "runner": _text,
    "threads": _whole,
    "cpus": read_cpus,
    "delegate": _text,
    "governor": _text,
    "frequency_khz": _whole,
    "stay_awake": _truth,
    "temperature_limit_c": _number,
    "cooldown_s": _number,
    "work": _text,
    "tags": _texts,
    "libraries": _texts,
    "python": _text,
    "benchmark_model_sha256": _text,
    "delegate_options": _texts,
}


def _check_path(value: str | None) -> str | None:
    if value is None or (_PATH.fullmatch(value) and not {".", ".."} & set(value.split("/"))):
        return None
    return (
        f"{shown(value)} is no folder or file to use there: it begins with / or ~/, and has letters, digits "
        "and . _ + - in its names, none of which is .."
    )


def _check_range(low: float, high: float, unit: str) -> Callable[[float | None], str | None]:
    def check(value: float | None) -> str | None:
        if value is None or (math.isfinite(value) and low <= value <= high):
            return None
        return f"{value:g} must lie between {low:g} and {high:g} {unit}".rstrip()

    return check


def _check_temperature(value: float | None) -> str | None:
    low, high = TEMPERATURE_C
    if value is None or low < value < high:
        return None
    return f"{value:g} must lie between {low:g} and {high:g} degrees Celsius, and be neither of them"


def _check_words(pattern: str, words: str) -> Callable[[str | tuple[str, ...] | None], str | None]:
    def check(value: str | tuple[str, ...] | None) -> str | None:
        parts = () if value is None else (value,) if isinstance(value, str) else value
        wrong = next((one for one in parts if not re.fullmatch(pattern, one)), None)
        return None if wrong is None else f"{shown(wrong)} must be {words}"

    return check


def _check_cpus(value: tuple[int, ...] | None) -> str | None:
    if value is None:
        return None
    if (wrong := next((one for one in value if not 0 <= one < CORES), None)) is not None:
        return f"there is no core {shown(wrong)}: cores have numbers from 0 to {CORES - 1}"
    if value and len(set(value)) == len(value):
        return None
    return f"{shown(list(value))} must name at least one core, each once, by numbers from 0 to {CORES - 1}"


def _check_printable(value: str | tuple[str, ...]) -> str | None:
    parts = (value,) if isinstance(value, str) else value
    wrong = next((one for one in parts if not one.strip() or not one.isprintable()), None)
    return None if wrong is None else f"{shown(wrong)} must be of characters that can be printed"


#: what each value of an entry must be; the problem in words, or None
_CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    "name": _check_words(NAME.pattern, "letters, digits, dots, - and _, at most 64, a letter or digit first"),
    "runner": lambda value: (
        None
        if value in RUNNERS
        else f"there is no runner {shown(value)}; these can be used: {', '.join(RUNNERS)}"
    ),
    "threads": _check_range(1, 64, ""),
    "cpus": _check_cpus,
    "delegate": _check_printable,
    "governor": _check_words(r"[a-z][a-z0-9_]{0,31}", "a governor such as performance"),
    "frequency_khz": _check_range(1_000, 20_000_000, "kHz"),
    "temperature_limit_c": _check_temperature,
    "cooldown_s": _check_range(0, 86_400, "seconds"),
    "work": _check_path,
    "tags": _check_words(NAME.pattern, "letters, digits, dots, - and _, a letter or digit first"),
    "libraries": _check_printable,
    "python": _check_path,
    "benchmark_model_sha256": _check_words(r"[0-9a-f]{64}", "64 hexadecimal digits"),
}
