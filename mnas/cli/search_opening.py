"""Opens the run that `mnas search` names: a new one, or one that goes on. Searches nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnas.cli.output import warn
from mnas.errors import BadInput

if TYPE_CHECKING:
    from mnas.config import RunConfig
    from mnas.run import RunDirectory
    from mnas.search_tables import Conditions


@dataclass(frozen=True, slots=True)
class Words:
    """What is asked for of costs, as the options say it."""

    tables: Sequence[str]
    targets: Sequence[str]
    caps: Sequence[str]
    objectives: Sequence[str]

    def fields(self, run: RunConfig | None = None) -> dict[str, Any]:
        """As fields of `RunConfig`; names of a run's devices are known."""
        from mnas.wanted import read

        return read(self.tables, self.targets, self.caps, self.objectives, run)


def place(output: Path | None, resume: Path | None) -> Path:
    """The run's directory, by either option."""
    if resume is None:
        if output is None:
            raise BadInput("a search needs -o, a directory to keep it in; --resume RUN goes on with one")
        return output
    from mnas.run import read_run

    if output is not None and output.absolute() != resume.absolute():
        raise BadInput(f"--resume {resume} goes on in its own directory; leave -o {output} out")
    return read_run(resume).path


@contextmanager
def opened_run(
    path: Path,
    given: dict[str, Any],
    training: dict[str, Any],
    words: Words,
    conditions: Conditions,
    *,
    quiet: bool,
) -> Iterator[RunDirectory]:
    """The run to search in; refused if what is asked for cannot be, or is not what the run was made for."""
    from mnas.config import differences
    from mnas.run import make_run, read_run
    from mnas.search_settings import begin, resume

    config, new = None, True
    if (path / "config.toml").exists():
        run = read_run(path)
        wanted = {**given, **words.fields(run.config)}
        config = resume(run.config, wanted, training)
        new = not run.begun and bool(differences(run.config, config))
        if new:
            amended = _amended_training(run.config, training)
            config = begin(_amended(run.config, wanted), amended, conditions=conditions)
        elif words.tables and not quiet:
            _warn_of_changed_tables(run)
    else:
        config = begin({**given, **words.fields()}, training, conditions=conditions)
    with make_run(path, config, config.table if new else None) as run:
        yield run


def _warn_of_changed_tables(run: RunDirectory) -> None:
    from latency_tables.storage.database import shown
    from latency_tables.store import LatencyTable
    from mnas.search_tables import placed, sha256

    for one in placed(run.config):
        if LatencyTable.exists(one.table) and sha256(one.table) != one.table_sha256:
            warn(
                f"{shown(one.table)} has changed since {run.path} was begun; "
                "the run goes on with its own copy"
            )


def _amended(config: RunConfig, given: dict[str, Any]) -> dict[str, Any]:
    """Settings of a search without a result, and those asked for now; what its table says is left out."""
    names = ["dataset", "target_ms", "cap_ms", "controller", "trials", "validation_share", "seed"]
    names += ["label", "also", "reward", "alpha", "beta", "settings", "measure_every", "across"]
    kept = asked({name: getattr(config, name) for name in names})
    if given.get("controller", config.controller) == config.controller:
        given = {**given, "settings": _amended_settings(config, given)}
    else:
        del kept["settings"]  # they are the other strategy's
    if "latency" not in given and (config.latency == "table" or "table" in given):
        return {"table": config.table, **kept, **given}
    measured = ["space", "resolution", "width", "device", "threads", "dtype"]
    return {
        "latency": "device",
        **asked({name: getattr(config, name) for name in measured}),
        **kept,
        **given,
    }


def _amended_settings(config: RunConfig, given: dict[str, Any]) -> dict[str, Any]:
    """The same for the strategy's; one that plans for all trials plans for those that are asked for now."""
    planned = {"trials"} if config.settings.get("trials") == config.trials else set()
    kept = {name: value for name, value in config.settings.items() if name not in planned}
    return {**kept, **given.get("settings", {})}


def _amended_training(config: RunConfig, training: dict[str, Any]) -> dict[str, Any]:
    """The same for the training, which takes either steps or epochs."""
    apart = {"steps": "epochs", "epochs": "steps"}
    gone = {apart[name] for name in training if name in apart}
    return {name: value for name, value in config.training.items() if name not in gone} | training


def controller_settings(texts: Sequence[str]) -> dict[str, str]:
    """A controller's settings from KEY=VALUE."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals and value) or key in found:
            raise BadInput(f"--controller-option {text!r}; give KEY=VALUE, each key once")
        found[key] = value
    return found


def asked(options: dict[str, Any]) -> dict[str, Any]:
    """Those options that were given."""
    return {name: value for name, value in options.items() if value is not None}
