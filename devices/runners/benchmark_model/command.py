"""Command lines for `benchmark_model`: asks the binary at hand what it offers, and assumes nothing.

Knows the flags of two families of the tool, TFLite's and LiteRT's, since 2018. Starts nothing.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from devices.errors import BadSettings, ProfilerUnavailable
from devices.measurement import Settings
from devices.plan import Plan

#: folders of the system: loaders know when to look there
_SYSTEM = re.compile(r"/(apex|lib\d*|odm|product|system|system_ext|usr|vendor)(/|$)")
_FLAG = re.compile(r"(?:^|[\s|])--([A-Za-z]\w{0,63})=")


@dataclass(frozen=True, slots=True)
class Offers:
    """The flags that a binary knows."""

    flags: frozenset[str]

    @classmethod
    def of_help(cls, text: str) -> Offers:
        """Read what `benchmark_model --help` printed.

        Raises:
            BadSettings: that is not its help.
        """
        flags = frozenset(_FLAG.findall(text))
        if "graph" not in flags:
            raise BadSettings("what --help prints there is not the help of benchmark_model: no flag --graph")
        return cls(flags)

    def __contains__(self, flag: str) -> bool:
        return flag in self.flags


def command(
    binary: str,
    model_path: str,
    settings: Settings,
    plan: Plan,
    offers: Offers,
    *,
    result_path: str | None = None,
    libraries: Sequence[str] = (),
) -> list[str]:
    """The argument list that measures a model; cores are the caller's to choose (`taskset`).

    Args:
        binary: path of the tool on the device.
        model_path: path of the model there.
        settings: threads and delegate.
        plan: runs, and whether to profile operators, which makes runs slower.
        offers: what the binary knows.
        result_path: where to write the result file, if the binary can.
        libraries: paths there of the files that the delegate needs, in one folder; its own library is among
            them unless its name is a path there.

    Raises:
        BadSettings: the binary cannot run the delegate, or cannot be told its options.
        ProfilerUnavailable: it cannot profile operators.
    """
    flags = [
        f"--graph={model_path}",
        f"--num_threads={settings.threads}",
        f"--num_runs={plan.min_runs}",
        # without a first run the tool prints no first inference
        f"--warmup_runs={max(1, plan.warmup_runs)}",
    ]
    if "min_secs" in offers:
        flags.append(f"--min_secs={plan.min_time_s:g}")
    if "warmup_min_secs" in offers:
        flags.append("--warmup_min_secs=0")
    if "max_secs" in offers:
        flags.append(f"--max_secs={plan.deadline_s:g}")
    flags += _delegate(settings, offers, libraries)
    if plan.per_operator:
        flags.append(f"--{_profiler(offers)}=true")
    if result_path is not None and "result_file_path" in offers:
        flags.append(f"--result_file_path={result_path}")
    return [*_environment(settings, libraries), binary, *flags]


def _profiler(offers: Offers) -> str:
    for flag in ("enable_op_profiling", "use_profiler"):
        if flag in offers:
            return flag
    raise ProfilerUnavailable("the benchmark_model there knows no flag that profiles operators")


def _environment(settings: Settings, libraries: Sequence[str]) -> list[str]:
    """Where loaders look for the libraries: the processor's and that of Qualcomm's signal processor."""
    there = on_device(settings, libraries)
    paths = [*libraries, *([there] if there and not _SYSTEM.match(there) else [])]
    folders = list(dict.fromkeys(posixpath.dirname(path) or "." for path in paths))
    if not folders:
        return []
    return ["env", f"LD_LIBRARY_PATH={':'.join(folders)}", f"ADSP_LIBRARY_PATH={';'.join(folders)}"]


def _external(settings: Settings) -> str:
    """The library of an external delegate as it was asked for, or nothing."""
    name, _, library = settings.delegate.partition(":")
    return library if name == "external" else ""


def on_device(settings: Settings, libraries: Iterable[str]) -> str | None:
    """The path of an external delegate that lies on the device without our doing, where it is one.

    Args:
        settings: which delegate is asked for.
        libraries: names or paths of the files that were put there for it.
    """
    library = _external(settings)
    return library if library.startswith("/") and _own(library, libraries) is None else None


def _own(library: str, libraries: Iterable[str]) -> str | None:
    """Where the delegate's own library was put, if it was."""
    name = posixpath.basename(library)
    return next((path for path in libraries if posixpath.basename(path) == name), None)


def _options(settings: Settings, path: str, libraries: Sequence[str]) -> str:
    """What the delegate is told, as the flag has it; `path` is that of its library there."""
    folder = posixpath.dirname(libraries[0] if libraries else path)
    asked = settings.delegate_options
    needing = next((option for option in asked if "{lib}" in option), None)
    if needing is not None and not folder.startswith("/"):
        raise BadSettings(
            f"the delegate's option {needing} needs the folder of its libraries on the device, and none is "
            "known: name them in the inventory's libraries, or the delegate by its whole path there"
        )
    if needing is not None and (":" in folder or ";" in folder):
        raise BadSettings(f"the delegate cannot be told the folder {folder!r}: it has a colon or a semicolon")
    return ";".join(option.replace("{lib}", folder) for option in asked)


def _delegate(settings: Settings, offers: Offers, libraries: Sequence[str]) -> list[str]:
    asked = settings.delegate
    litert = "use_cpu" in offers
    if asked == "xnnpack":
        if "use_xnnpack" in offers:
            return ["--use_xnnpack=true"]
        return ["--use_cpu=true"] if litert else _lacking(settings, "use_xnnpack", offers)
    if asked == "cpu":
        if "use_xnnpack" in offers:
            return ["--use_xnnpack=false"]
        return _lacking(settings, "use_xnnpack", offers) if litert else []
    if library := _external(settings):
        _need(settings, offers, "external_delegate_path")
        path = _own(library, libraries) or library
        flags = [f"--external_delegate_path={path}"]
        if settings.delegate_options:
            _need(settings, offers, "external_delegate_options")
            flags.append(f"--external_delegate_options={_options(settings, path, libraries)}")
        return flags
    if asked == "nnapi":
        _need(settings, offers, "use_nnapi")
        return ["--use_nnapi=true", *(["--disable_nnapi_cpu=true"] if "disable_nnapi_cpu" in offers else [])]
    if asked == "npu":
        _need(settings, offers, "use_npu")
        folder = posixpath.dirname(libraries[0]) or "." if libraries else ""
        paths = ("dispatch_library_path", "compiler_plugin_library_path")
        return ["--use_npu=true", *(f"--{flag}={folder}" for flag in paths if folder and flag in offers)]
    _need(settings, offers, "use_gpu")
    if asked == "gpu":
        return ["--use_gpu=true"]
    _need(settings, offers, "gpu_backend")
    return ["--use_gpu=true", f"--gpu_backend={'cl' if asked == 'gpu-opencl' else 'gl'}"]


def _need(settings: Settings, offers: Offers, flag: str) -> None:
    if flag not in offers:
        _lacking(settings, flag, offers)


def _lacking(settings: Settings, flag: str, offers: Offers) -> list[str]:
    known = sorted(
        one for one in offers.flags if one.startswith("use_") or one.startswith("external_delegate")
    )
    raise BadSettings(
        f"the benchmark_model there cannot run the delegate {settings.delegate}: "
        f"it has no flag --{flag}; it has "
        + (", ".join(f"--{one}" for one in known) or "no flag for any delegate")
    )
