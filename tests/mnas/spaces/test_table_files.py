from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mnas.errors import BadInput
from mnas.spaces import table_files
from mnas.spaces.table_files import read_table


def written(path: Path, content: str | bytes) -> Path:
    file = path / "t.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def test_words_that_pandas_takes_for_nothing_are_options(tmp_path: Path) -> None:
    file = written(tmp_path, "skip,pool,acc,ms\nNone,NA,0.5,nan\nnull,nan,N/A,3\n")
    frame = read_table(file, figures=["acc", "ms"])
    assert frame["skip"].tolist() == ["None", "null"]
    assert frame["pool"].tolist() == ["NA", "nan"]
    assert frame["acc"].isna().tolist() == [False, True]
    assert frame["ms"].isna().tolist() == [True, False]


def test_a_frames_index_is_left_out_and_types_are_kept(tmp_path: Path) -> None:
    frame = pd.DataFrame({"k": [3, 5], "se": [True, False], "op": ["a,b", "c"], "acc": [0.25, 0.5]})
    frame.to_csv(tmp_path / "t.csv", encoding="utf-8-sig")
    found = read_table(tmp_path / "t.csv", ["acc"])
    assert found.to_dict("list") == frame.to_dict("list")


def test_an_empty_cell_is_empty(tmp_path: Path) -> None:
    found = read_table(written(tmp_path, "\n op,k\na,\n,2\n\n"))
    assert list(found.columns) == ["op", "k"]
    assert found.isna().to_numpy().tolist() == [[False, True], [True, False]]


def test_parquet_is_read_by_its_suffix(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    frame = pd.DataFrame({"k": [3, 5], "acc": [0.25, 0.5]})
    frame.to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").equals(frame)
    (tmp_path / "t.parquet").write_bytes(b"no parquet")
    with pytest.raises(BadInput, match="is no Parquet file"):
        read_table(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("a;b;acc\n1;2;3\n", "not separated by commas: 'a;b;acc'"),
        ("a\tb\n1\t2\n", "not separated by commas"),
        ("a,b,a\n1,2,3\n", "more than one column 'a'"),
        ("a,b\n1,2,3\n", "is no CSV file"),
        ("a,b\n1,2\n1,2,3,4\n", "is no CSV file"),
        ('a,b\n"1,2\n', "is no CSV file"),
        (b"\xff\xfea,b\n1,2\n", "is no CSV file"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_table(written(tmp_path, content))


def test_files_that_cannot_be_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match=r"there is no file .*none.csv"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(BadInput, match="is a folder"):
        read_table(tmp_path)
    with pytest.raises(BadInput, match=r"https://example\.org/t\.csv is a URL; .* download it first"):
        read_table("https://example.org/t.csv")
    file = written(tmp_path, "a,b\n1,2\n")
    with pytest.raises(BadInput, match=r"cannot read .*: Not a directory"):
        read_table(file / "t.csv")
    monkeypatch.setattr(table_files, "LARGEST_BYTES", 4)
    with pytest.raises(BadInput, match=r"may have .*: keep the columns and rows"):
        read_table(file)


def test_numbers_are_read_as_they_were_written(tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(size=100)
    pd.DataFrame({"acc": values}).to_csv(tmp_path / "t.csv", index=False)
    assert np.allclose(read_table(tmp_path / "t.csv")["acc"], values, rtol=1e-15)
