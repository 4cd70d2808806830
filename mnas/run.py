"""A run directory: what is kept of one search, where, and who may write to it. Trains nothing."""

from __future__ import annotations

import os
import platform
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from devices.lock import held
from mnas import __version__
from mnas.config import RunConfig, differences
from mnas.errors import BadRun
from mnas.jsonl import append_jsonl, mend, naming, read_jsonl, read_records, write_whole
from mnas.results import Result
from mnas.study_log import ended_trials, require_results
from mnas.wanted import label_of

__all__ = [
    "Result",
    "RunConfig",
    "RunDirectory",
    "append_jsonl",
    "make_run",
    "open_run",
    "read_jsonl",
    "read_run",
]

#: what a start that was killed before it wrote its configuration may leave behind
_DRAFT = re.compile(r"lock|config\.toml\.tmp|log\.txt|table(-[^/]+)?\.db(\.tmp)?(-journal|-wal|-shm)?")


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The files of one run. `open_run` gives one to write to, `read_run` one to read."""

    path: Path
    config: RunConfig

    @property
    def config_file(self) -> Path:
        """The frozen settings, TOML."""
        return self.path / "config.toml"

    @property
    def journal(self) -> Path:
        """The Optuna study's journal."""
        return self.path / "journal.log"

    @property
    def results_file(self) -> Path:
        """One JSON line per proposal, written before the study is told."""
        return self.path / "results.jsonl"

    @property
    def table(self) -> Path:
        """The run's own copy of the latency table."""
        return self.path / "table.db"

    def table_of(self, device: str | None) -> Path:
        """The run's own copy of the latency table of a device by name; None is the first one."""
        return self.table if device is None else self.path / f"table-{device}.db"

    @property
    def gaps(self) -> Path:
        """One JSON line per measurement of the front during the search, beside what was predicted."""
        return self.path / "gaps.jsonl"

    @property
    def reference_file(self) -> Path:
        """The hypervolume's reference point, JSON, by cost: written once, when the search begins."""
        return self.path / "reference.json"

    @property
    def models(self) -> Path:
        """Folder of the exported models and their cards."""
        return self.path / "models"

    @property
    def finalists(self) -> Path:
        """One JSON line per finalist or baseline, seed and element type."""
        return self.path / "finalists.jsonl"

    @property
    def log_file(self) -> Path:
        """What happened, for people."""
        return self.path / "log.txt"

    def log(self, message: str) -> None:
        """Add a line with the time to the log."""
        stamp = datetime.now(tz=UTC).isoformat(timespec="seconds")
        with naming(self.log_file), self.log_file.open("a", encoding="utf-8") as file:
            file.write(f"{stamp} {message}\n")

    def record(self, result: Result) -> None:
        """Add a result; it is on the disk when this returns."""
        append_jsonl(self.results_file, asdict(result))

    def results(self) -> list[Result]:
        """Every result so far, in the order they came.

        Raises:
            BadRun: the file holds something else, or two results of one trial, which no crash leaves behind;
                the message names file and line.
        """
        lines: dict[int, int] = {}

        def read(record: Mapping[str, Any]) -> Result:
            result = Result.from_record(record)
            if result.number in lines:
                raise BadRun(
                    f"trial {result.number} has a result in line {lines[result.number]} already; "
                    "remove the wrong one of them"
                )
            lines[result.number] = len(lines) + 1
            return result

        return read_records(self.results_file, read)

    @property
    def begun(self) -> bool:
        """Whether there is any result that the settings led to, or was before its file went lost.

        Raises:
            BadRun: the journal is damaged.
        """
        files = (self.results_file, self.finalists)
        return any(file.exists() and file.stat().st_size > 0 for file in files) or bool(
            ended_trials(self.journal)
        )

    def trained(self) -> list[Result]:
        """The trained candidates, each architecture once."""
        return [result for result in self.results() if result.counts]


def read_run(path: Path | str) -> RunDirectory:
    """A run directory to read from, also while a search is writing to it.

    Raises:
        BadRun: there is none, or its configuration cannot be used.
    """
    path = Path(path)
    file = path / "config.toml"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadRun(
            f"{path} is not a run directory: it has no config.toml; start one with mnas search"
        ) from None
    except NotADirectoryError:
        raise BadRun(f"{path} is not a run directory: it is a file, or lies below one") from None
    except OSError as error:
        raise BadRun(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadRun(f"cannot read {file}: {error}") from error
    try:
        return RunDirectory(path, RunConfig.from_toml(text))
    except BadRun as error:
        raise BadRun(f"{file}: {error}") from error


@contextmanager
def open_run(path: Path | str) -> Iterator[RunDirectory]:
    """A run directory to write to, for this process alone; files that a kill tore are mended.

    Raises:
        BadRun: there is none, its configuration cannot be used, it cannot be written, or another process
            holds it.
    """
    run = read_run(path)
    with _held(run.path):
        yield _mended(read_run(path))


def check_place(path: Path | str) -> None:
    """See that there is a run directory at a path, or can be.

    Raises:
        BadRun: something else is there, or it cannot be reached.
    """
    path = Path(path)
    with _usable(path):
        whole = path.absolute()
        there = next(one for one in (whole, *whole.parents) if one.exists())
        if not there.is_dir():
            raise BadRun(f"{there} is a file; choose another path for the run directory")
        foreign = sorted(_foreign(path)) if path.is_dir() else []
        if foreign and not (path / "config.toml").exists():
            raise BadRun(
                f"{path} is not a run directory, and not empty: it holds {foreign[0]}; choose another path"
            )


def _foreign(path: Path) -> list[str]:
    return [entry.name for entry in path.iterdir() if not _DRAFT.fullmatch(entry.name)]


@contextmanager
def make_run(path: Path | str, config: RunConfig, table: Path | str | None = None) -> Iterator[RunDirectory]:
    """Like `open_run`, made if it is not there; an existing one must have the same configuration.

    More trials than before are taken over. While there is no result yet, the configuration is replaced by
    another one, so that settings that no search could start with can be corrected; the study that was begun
    with them goes. A latency table is copied into a new run, or one whose configuration is replaced, and with
    it those that the configuration names for other costs.

    Raises:
        BadRun: the directory holds something else, was made with another configuration (the message names the
            fields), another process holds it, or it cannot be written.
    """
    path = Path(path)
    check_place(path)
    with _usable(path):
        path.mkdir(parents=True, exist_ok=True)
    with _held(path):
        with _usable(path):
            config = _settled(path, config, table)
        yield _mended(RunDirectory(path, config))


def _settled(path: Path, config: RunConfig, table: Path | str | None) -> RunConfig:
    """The configuration of the run at `path`, which is on the disk when this returns."""
    wanted = RunDirectory(path, config)
    if wanted.config_file.exists():
        there = read_run(path)
        found = differences(there.config, config)
        if found and there.begun:
            require_results(there)
            raise BadRun(
                f"{path} was made with other settings: {'; '.join(found)}. "
                f"Go on with its own by mnas search -o {shlex.quote(str(path))}, or choose another path"
            )
        if not found:
            config = replace(there.config, trials=config.trials)
            if config != there.config:
                write_whole(wanted.config_file, config.to_toml().encode())
            return config
        there.log(f"the settings are replaced, there being no result yet: {'; '.join(found)}")
        for begun in (there.journal, there.reference_file, there.gaps):
            begun.unlink(missing_ok=True)
    if table is not None:
        _copy_table(str(table), wanted.table)
        for cost, one in config.also.items():
            if one.table is not None:
                _copy_table(one.table, wanted.table_of(label_of(cost)))
    write_whole(wanted.config_file, config.to_toml().encode())
    return config


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    """Turn the system's errors into BadRun: rights that lack, names too long, full disks."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise BadRun(f"cannot use {path} as a run directory: {where}: {error.strerror}") from error


def _mended(run: RunDirectory) -> RunDirectory:
    with _usable(run.path):
        run.models.mkdir(exist_ok=True)
        for file in (run.journal, run.results_file, run.finalists, run.gaps):
            if file.exists():
                mend(file)
        run.log(f"opened by process {os.getpid()} on {platform.node()}, mnas {__version__}")
    return run


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold the directory for this process; the system lets go when the process dies, however it dies."""
    with ExitStack() as stack:
        with _usable(path):
            try:
                stack.enter_context(held(path / "lock", str(os.getpid())))
            except BlockingIOError as error:
                raise BadRun(
                    f"{path} is in use by process {error.strerror}; wait for it, or choose another path"
                ) from None
        yield


def _copy_table(source: str, target: Path) -> None:
    from latency_tables.errors import BadTable
    from latency_tables.storage.copying import copy
    from latency_tables.storage.database import shown

    draft = target.with_name(target.name + ".tmp")
    draft.unlink(missing_ok=True)
    try:
        copy(source, draft)
    except BadTable as error:
        raise BadRun(f"cannot copy the latency table {shown(source)}: {error}") from error
    draft.replace(target)
