"""Command line of the stand-in: the flags of Google's `benchmark_model`, and how that tool reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


class BadFlag(Exception):
    """A known flag with a value that is none of its type."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: its name, type as the help has it, default, what the log calls it, and its help.

    `since` is the first console (see `console.py`) that has it.
    """

    name: str
    kind: str
    default: str
    label: str
    usage: str
    since: str = "2019"


FLAGS = (
    Flag("num_runs", "int32", "50", "Min num runs", "expected number of runs, see also min_secs, max_secs"),
    Flag("min_secs", "float", "1", "Min runs duration (seconds)", "minimum number of seconds to rerun for"),
    Flag(
        "max_secs",
        "float",
        "150",
        "Max runs duration (seconds)",
        "maximum number of seconds to rerun for",
        "2.x",
    ),
    Flag("run_delay", "float", "-1", "Inter-run delay (seconds)", "delay between runs in seconds"),
    Flag("num_threads", "int32", "-1", "Num threads", "number of threads"),
    Flag(
        "warmup_runs", "int32", "1", "Min warmup runs", "minimum number of runs performed on initialization"
    ),
    Flag(
        "warmup_min_secs",
        "float",
        "0.5",
        "Min warmup runs duration (seconds)",
        "minimum number of seconds to rerun for",
    ),
    Flag("verbose", "bool", "false", "", "Whether to log parameters whose values are not set.", "2.x"),
    Flag("dry_run", "bool", "false", "Run w/o invoking kernels", "Whether to only load the model", "2.x"),
    Flag(
        "report_peak_memory_footprint",
        "bool",
        "false",
        "Report the peak memory footprint",
        "Report the peak memory footprint by periodically checking the memory footprint.",
        "2.x",
    ),
    Flag("graph", "string", "", "Graph", "graph file name"),
    Flag("signature_to_run_for", "string", "", "Signature to run", "signature to run", "2.x"),
    Flag("enable_op_profiling", "bool", "false", "Enable op profiling", "enable op profiling"),
    Flag(
        "max_profiling_buffer_entries",
        "int32",
        "1024",
        "Max initial profiling buffer entries",
        "max initial profiling buffer entries",
        "2.x",
    ),
    Flag(
        "result_file_path",
        "string",
        "",
        "Result file path",
        "File path to save benchmark result as proto to.",
        "2.x",
    ),
    Flag("use_xnnpack", "bool", "false", "Use xnnpack", "use XNNPack; on by default unless set to false"),
    Flag("use_gpu", "bool", "false", "Use gpu", "use GPU"),
    Flag(
        "gpu_backend", "string", "", "GPU backend", "Force the GPU delegate to use a backend: cl, gl", "2.x"
    ),
    Flag("use_nnapi", "bool", "false", "Use NNAPI", "use nnapi delegate api"),
    Flag(
        "nnapi_accelerator_name", "string", "", "NNAPI accelerator name", "the accelerator to use with NNAPI"
    ),
    Flag(
        "external_delegate_path",
        "string",
        "",
        "External delegate path",
        "The library path for the underlying external.",
        "2.x",
    ),
    Flag(
        "external_delegate_options",
        "string",
        "",
        "External delegate options",
        "A list of comma-separated options to be passed to the external delegate",
        "2.x",
    ),
    Flag("help", "bool", "false", "", "Print out all supported flags if true.", "2.x"),
)
_TRUE, _FALSE = ("true", "1"), ("false", "0")


@dataclass(frozen=True, slots=True)
class Given:
    """What a command line says: values as text, by flag; and what nobody asked about."""

    values: dict[str, str]
    unknown: tuple[str, ...] = field(default=())

    def text(self, name: str) -> str:
        """A flag's value, or its default."""
        default = next(flag.default for flag in FLAGS if flag.name == name)
        return self.values.get(name, default)

    def number(self, name: str) -> float:
        """A number's value."""
        return float(self.text(name))

    def switch(self, name: str) -> bool:
        """A switch's value."""
        return self.text(name) in _TRUE

    @property
    def wants_help(self) -> bool:
        """Whether it asks for help, in one of the two ways that the tool understands."""
        return self.switch("help") or self.unknown[:1] == ("--help",)


def offered(console: str, lacks: frozenset[str] = frozenset()) -> tuple[Flag, ...]:
    """The flags that a tool of that age has, but those that its build lacks."""
    return tuple(flag for flag in FLAGS if console in ("2.x", flag.since) and flag.name not in lacks)


def parse(arguments: Sequence[str], console: str, lacks: frozenset[str] = frozenset()) -> Given:
    """Read a command line: only `--name=value` counts, the first of two wins, the rest is unknown.

    Raises:
        BadFlag: a value is not of its flag's type.
    """
    known = {flag.name: flag for flag in offered(console, lacks)}
    values: dict[str, str] = {}
    unknown = []
    for argument in arguments:
        name, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not equals or name not in known:
            unknown.append(argument)
        elif not _is_a(value, known[name].kind):
            raise BadFlag(name)
        else:
            values.setdefault(name, value)
    return Given(values, tuple(unknown))


def usage(program: str, console: str, lacks: frozenset[str] = frozenset()) -> str:
    """The help."""
    flags = offered(console, lacks)
    heads = [f"--{flag.name}={flag.default}" for flag in flags]
    width = max(map(len, heads))
    lines = [
        f"\t{head:<{width}}\t{flag.kind}\toptional\t{flag.usage}"
        for head, flag in zip(heads, flags, strict=True)
    ]
    return "\n".join([f"usage: {program} <flags>", "Flags:", *lines, ""])


def _is_a(value: str, kind: str) -> bool:
    if kind == "bool":
        return value in _TRUE + _FALSE
    if kind == "string":
        return True
    try:
        number = float(value)
    except ValueError:
        return False
    return kind == "float" or number == int(number)
