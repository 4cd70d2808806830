"""A dataset that a user's own function returns, named `package.module:function`. Finds and calls it."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from mnas.datasets.base import Dataset
from mnas.errors import BadDataset


def from_function(spec: str) -> Dataset:
    """Call `package.module:function` without arguments; the module may lie in the working directory.

    Raises:
        BadDataset: the module or function is not there, fails, or returns something else than a Dataset.
    """
    module_name, _, function_name = spec.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        module = import_module(module_name)
    except Exception as error:  # it is the user's code
        raise BadDataset(f"dataset {spec}: cannot import {module_name} ({_told(error)})") from error
    finally:
        sys.path.remove(here)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise BadDataset(f"dataset {spec}: {module_name} has no function {function_name!r}")
    try:
        dataset = function()
    except Exception as error:  # it is the user's code
        raise BadDataset(f"dataset {spec}: {function_name}() failed ({_told(error)})") from error
    if not isinstance(dataset, Dataset):
        raise BadDataset(
            f"dataset {spec}: {function_name}() returned a {type(dataset).__name__}; "
            "mnas.data.Dataset is needed"
        )
    return dataset


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
