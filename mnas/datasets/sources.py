"""Where dataset files lie on a machine, and how they are downloaded. Knows no dataset's format.

`MNAS_DATA_DIR` names a folder of datasets; it is looked at first, and downloads go there. Without it they go
to Keras' cache (`KERAS_HOME` or `~/.keras`, folder `datasets`). `MNAS_DATA_MIRROR` is a URL that replaces the
public servers, for a laboratory without the internet.
"""

from __future__ import annotations

import http.client
import logging
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mnas.errors import BadDataset

TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 20


def data_dir() -> Path | None:
    """The folder that `MNAS_DATA_DIR` names, or None; raises BadDataset when it is no folder."""
    value = os.environ.get("MNAS_DATA_DIR")
    if not value:
        return None
    path = Path(value).expanduser()
    if not path.is_dir():
        raise BadDataset(f"MNAS_DATA_DIR is {value!r}, which is no folder: make it, or unset the variable")
    return path


def keras_cache() -> Path:
    """Keras' folder of datasets, whether or not it exists."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"


def download(url: str, file_name: str) -> bytes:
    """Read `url` (or `MNAS_DATA_MIRROR`/`file_name`, where that is set) into memory.

    Raises:
        BadDataset: the server cannot be reached, answers an error or stops half-way; the message has the URL.
    """
    mirror = os.environ.get("MNAS_DATA_MIRROR")
    source = f"{mirror.rstrip('/')}/{file_name}" if mirror else url
    logging.getLogger(__name__).warning("downloading %s", source)
    try:
        with urllib.request.urlopen(source, timeout=TIMEOUT_S) as answer:
            expected = answer.headers.get("Content-Length")
            content = b"".join(iter(lambda: answer.read(_CHUNK_BYTES), b""))
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise BadDataset(f"download of {source} failed: {error}") from error
    if expected is not None and len(content) != int(expected):
        raise BadDataset(f"download of {source} stopped after {len(content)} of {expected} bytes; try again")
    return content


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A fresh folder that takes `target`'s place when the block ends well, and vanishes when it does not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        folder = Path(scratch) / target.name
        folder.mkdir()
        yield folder
        if target.is_dir():  # an older, incomplete copy: replace it file by file
            for file in folder.iterdir():
                file.replace(target / file.name)
        else:
            folder.rename(target)
