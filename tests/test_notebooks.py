"""Every notebook runs in a kernel of its own, in order, and is committed as it ran."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
#: an absolute path of a machine
PATHS = re.compile(r"(?<![\w.<])/(?:home|root|tmp|work|var|usr|opt|mnt|Users|private)/")
#: of processor time, its kernel's and of all that it starts: the wall's depends on who else is there
LONGEST_S = 60
#: of a cell, by the wall's clock
TIMEOUT_S = 240


def children_s() -> float:
    """Processor time of all processes that were started from here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def printed(notebook: nbformat.NotebookNode, stream: str | None = None) -> str:
    """What the cells have put out as text, of one stream only if it is named; without pictures."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "stream" and stream in (None, output.name):
                found.append(output.text)
            elif stream is None and "data" in output:
                found += [text for kind, text in output.data.items() if not kind.startswith("image/")]
    return "\n".join(map(str, found))


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))  # no start-up files of this user's, no history
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=TIMEOUT_S, resources={"metadata": {"path": str(path.parent)}})
    before = children_s()
    client.execute()
    assert 0 < children_s() - before < LONGEST_S
    assert printed(notebook, "stderr") == ""  # no warnings


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_as_it_ran(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    assert printed(notebook, "stderr") == ""
    assert "image/png" in {
        kind for cell in code for output in cell.outputs for kind in output.get("data", ())
    }
    assert PATHS.findall(path.read_text(encoding="utf-8")) == []
