from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import struct
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from mnas.data import (
    PIXEL_OFFSET,
    PIXEL_SCALE,
    Dataset,
    Images,
    model_input,
    names,
    open_dataset,
    resized,
    split,
)
from mnas.datasets import cifar10, fashion_mnist, sources
from mnas.errors import BadDataset, BadInput

CLOSED = "http://127.0.0.1:9"  # the discard port: nothing listens there


@pytest.fixture(autouse=True)
def _nothing_on_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No dataset is found and no download leaves this machine, unless a test says so."""
    monkeypatch.setenv("MNAS_DATA_MIRROR", CLOSED)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("MNAS_DATA_DIR", raising=False)
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "debian")


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that an HTTP server on the loopback interface serves as the datasets' mirror."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("MNAS_DATA_MIRROR", f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()
        thread.join()


def idx(values: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def write_fashion(folder: Path, *, zipped: bool = True) -> NDArray[np.uint8]:
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (30, 28, 28), dtype=np.uint8)
    for name in fashion_mnist.SHA256:
        content = idx(pixels if "images" in name else np.arange(30, dtype=np.uint8) % 10)
        path = folder / (f"{name}.gz" if zipped else name)
        path.write_bytes(gzip.compress(content) if zipped else content)
    return pixels


class Python2Pickler(pickle._Pickler):
    """Pickles as Python 2 did, which wrote the official files: bytes and text are one type."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_string(self, value: bytes | str) -> None:
        content = value.encode() if isinstance(value, str) else value
        self.write(b"T" + struct.pack("<i", len(content)) + content)

    dispatch[bytes] = dispatch[str] = save_string


def write_cifar(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate((*cifar10.TRAIN, *cifar10.TEST)):
        data = np.full((10, 3072), number, dtype=np.uint8)
        data[:, :1024] = 200  # the first third is the red plane
        with (folder / name).open("wb") as file:
            Python2Pickler(file, protocol=2).dump({"data": data, "labels": list(range(10))})


def write_image(path: Path, *, size: tuple[int, int] = (12, 10), mode: str = "RGB", value: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = value if mode in ("L", "I;16") else (value, 0, 50, 255)[: len(mode)]
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of two classes, two training images and one test image each."""
    for part, count in (("train", 2), ("test", 1)):
        for label in ("cat", "ant"):
            for number in range(count):
                write_image(tmp_path / "pets" / part / label / f"{number}.png")
    return tmp_path / "pets"


def grey(n: int, classes: int = 3) -> Images:
    pixels = np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), dtype=np.uint8)
    return Images(pixels, np.arange(n, dtype=np.int64) % classes)


class TestValues:
    @pytest.mark.parametrize(
        ("pixels", "labels", "words"),
        [
            (np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int64), r"\[n, height, width, channels\]"),
            (np.zeros((2, 4, 4, 1), np.float32), np.zeros(2, np.int64), "float32"),
            (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, np.int32), "int32"),
            (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(3, np.int64), "2 images have 3 labels"),
            (np.zeros((0, 4, 4, 1), np.uint8), np.zeros(0, np.int64), "no image"),
        ],
    )
    def test_images_refuse_what_they_are_not(self, pixels: Any, labels: Any, words: str) -> None:
        with pytest.raises(BadDataset, match=words):
            Images(pixels, labels)

    def test_dataset_refuses_images_that_contradict_it(self) -> None:
        def dataset(**changes: Any) -> Dataset:
            whole = {"name": "x", "labels": ("a", "b", "c"), "channels": 1, "read_train": lambda: grey(6)}
            return Dataset(**{**whole, "read_test": lambda: grey(6), **changes})

        assert len(dataset().train()) == 6
        with pytest.raises(BadDataset, match=r"0\.\.2; with 2 classes"):
            dataset(labels=("a", "b")).train()
        with pytest.raises(BadDataset, match="1 channels; the dataset says 3"):
            dataset(channels=3).test()
        with pytest.raises(BadDataset, match="tuple; mnas"):
            dataset(read_train=lambda: (1, 2)).train()
        with pytest.raises(BadDataset, match="at least two"):
            dataset(labels=("a",))
        with pytest.raises(BadDataset, match="4 channels"):
            dataset(channels=4)

    def test_model_input_covers_minus_one_to_one(self) -> None:
        values = model_input(Images(np.array([0, 255], np.uint8).reshape(1, 1, 2, 1), np.zeros(1, np.int64)))
        assert values.dtype == np.float32
        assert values.ravel() == pytest.approx([-1, 1], abs=1e-6)
        assert (PIXEL_SCALE, PIXEL_OFFSET) == (1 / 127.5, -1.0)


class TestDigits:
    def test_shapes_and_split(self) -> None:
        dataset = open_dataset("digits")
        train, test = dataset.train(), dataset.test()
        assert (len(train), len(test)) == (1437, 360)
        assert train.pixels.shape[1:] == (8, 8, 1)
        assert (train.pixels.min(), train.pixels.max()) == (0, 255)
        assert np.bincount(test.labels).tolist() == [36] * 10
        assert dataset.labels == tuple("0123456789")

    def test_test_images_are_not_training_images(self) -> None:
        from sklearn.datasets import load_digits

        train, test = open_dataset("digits").train(), open_dataset("digits").test()
        together = np.concatenate([train.pixels, test.pixels]).reshape(1797, -1)
        original = np.rint(load_digits().data * (255 / 16)).astype(np.uint8)
        assert sorted(map(bytes, together)) == sorted(map(bytes, original))


class TestFashionMnist:
    @pytest.mark.parametrize("zipped", [True, False])
    @pytest.mark.parametrize(
        "place", ["data/fashion-mnist", "data", "keras/datasets/fashion-mnist", "debian"]
    )
    def test_finds_its_files(
        self, place: str, zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "data").mkdir()
        monkeypatch.setenv("MNAS_DATA_DIR", str(tmp_path / "data"))
        pixels = write_fashion(tmp_path / place, zipped=zipped)
        dataset = open_dataset("fashion_mnist")
        assert (dataset.train().pixels[..., 0] == pixels).all()
        assert dataset.test().labels[:11].tolist() == [*range(10), 0]

    def test_reads_the_test_split_only_when_asked(self, tmp_path: Path) -> None:
        folder = tmp_path / "debian"
        write_fashion(folder)
        (folder / "t10k-images-idx3-ubyte.gz").write_bytes(b"damaged")
        dataset = open_dataset("fashion_mnist")
        assert len(dataset.train()) == 30
        with pytest.raises(BadDataset, match="t10k-images-idx3-ubyte"):
            dataset.test()

    def test_names_four_ways_when_it_is_nowhere(self, tmp_path: Path) -> None:
        with pytest.raises(BadDataset) as error:
            open_dataset("fashion_mnist")
        for way in (
            "MNAS_DATA_DIR",
            str(tmp_path / "keras"),
            "dataset-fashion-mnist",
            f"{CLOSED}/train-images",
        ):
            assert way in str(error.value)
        assert not list((tmp_path / "keras/datasets").iterdir())  # no half download is left

    def test_downloads_and_keeps(self, served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_fashion(served)
        monkeypatch.setattr(
            fashion_mnist,
            "SHA256",
            {
                name: hashlib.sha256(gzip.decompress((served / f"{name}.gz").read_bytes())).hexdigest()
                for name in fashion_mnist.SHA256
            },
        )
        monkeypatch.setenv("MNAS_DATA_DIR", str(tmp_path / "mine"))
        (tmp_path / "mine").mkdir()
        assert len(open_dataset("fashion_mnist").train()) == 30
        monkeypatch.setenv("MNAS_DATA_MIRROR", CLOSED)
        assert len(open_dataset("fashion_mnist").train()) == 30
        assert sorted(entry.name for entry in (tmp_path / "mine").iterdir()) == ["fashion-mnist"]

    def test_refuses_a_download_with_other_content(self, served: Path, tmp_path: Path) -> None:
        write_fashion(served)  # not the real one
        with pytest.raises(BadDataset, match=r"SHA-256 differs.*Four ways"):
            open_dataset("fashion_mnist")
        assert not list((tmp_path / "keras/datasets").iterdir())

    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (lambda good: good[:-1], "cannot read"),
            (lambda good: good[:20], "cannot read"),
            (lambda good: b"", "no IDX file"),
            (lambda good: gzip.decompress(good)[:-5], "235 values, its header says 240"),
            (lambda good: gzip.compress(b"\0\0\x0d\1" + bytes(8)), "no IDX file"),
            (lambda good: gzip.compress(b"\0\0\x08\7"), "no IDX file"),
        ],
    )
    def test_damaged_files_are_named(self, damage: Any, words: str, tmp_path: Path) -> None:
        path = tmp_path / "x-ubyte.gz"
        path.write_bytes(damage(gzip.compress(idx(np.ones((10, 6, 4), np.uint8)))))
        with pytest.raises(BadDataset, match=words) as error:
            fashion_mnist.read_idx(path)
        assert f"remove {path}" in str(error.value)

    def test_data_dir_must_be_a_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MNAS_DATA_DIR", str(tmp_path / "missing"))
        with pytest.raises(BadDataset, match="is no folder"):
            open_dataset("fashion_mnist")


class TestCifar10:
    @pytest.mark.parametrize("place", ["data", "data/cifar10", "keras/datasets/cifar-10-batches-py-target"])
    def test_finds_its_files(self, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "data").mkdir()
        monkeypatch.setenv("MNAS_DATA_DIR", str(tmp_path / "data"))
        write_cifar(tmp_path / place / "cifar-10-batches-py")
        dataset = open_dataset("cifar10")
        train, test = dataset.train(), dataset.test()
        assert train.pixels.shape == (50, 32, 32, 3)
        assert train.pixels[::10, 5, 7].tolist() == [[200, n, n] for n in range(5)]
        assert test.pixels[0, 0, 0].tolist() == [200, 5, 5]

    def test_says_what_to_do_when_it_is_nowhere(self, tmp_path: Path) -> None:
        with pytest.raises(BadDataset, match=r"Three ways.*MNAS_DATA_DIR.*cache.*MNAS_DATA_MIRROR"):
            open_dataset("cifar10")

    def test_refuses_a_download_with_other_content(self, served: Path, tmp_path: Path) -> None:
        (served / "cifar-10-python.tar.gz").write_bytes(b"something else")
        with pytest.raises(BadDataset, match="SHA-256 differs"):
            open_dataset("cifar10")

    def test_a_forged_batch_runs_no_code(self, tmp_path: Path) -> None:
        class Forged:
            def __reduce__(self) -> Any:
                return os.mkdir, (str(tmp_path / "ran"),)

        path = tmp_path / "data_batch_1"
        path.write_bytes(pickle.dumps({b"data": Forged()}))
        with pytest.raises(BadDataset, match=r"data_batch_1.*mkdir"):
            cifar10.read_batch(path)
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize(
        "content", [b"", b"\x80\x02}", b"no pickle", pickle.dumps({b"data": [1], b"labels": [1]})]
    )
    def test_damaged_batches_are_named(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "test_batch"
        path.write_bytes(content)
        with pytest.raises(BadDataset, match=r"test_batch.*remove"):
            cifar10.read_batch(path)


class TestDownload:
    def test_whole_content(self, served: Path) -> None:
        (served / "file").write_bytes(b"abc" * 1000)
        assert sources.download("http://unused.invalid/file", "file") == b"abc" * 1000

    def test_missing_file_names_the_url(self, served: Path) -> None:
        with pytest.raises(BadDataset, match=r"http://127\.0\.0\.1:\d+/nothing failed: .*404"):
            sources.download("http://unused.invalid/nothing", "nothing")

    def test_a_failed_block_leaves_nothing(self, tmp_path: Path) -> None:
        def download_half() -> None:
            with sources.new_folder(tmp_path / "a" / "target") as folder:
                (folder / "file").write_text("half")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            download_half()
        assert list((tmp_path / "a").iterdir()) == []


class TestFolder:
    def test_reads_classes_and_pixels(self, pictures: Path) -> None:
        write_image(pictures / "train/cat/0.png", value=7)
        dataset = open_dataset(f"folder:{pictures}")
        train = dataset.train()
        assert (dataset.name, dataset.labels, dataset.channels) == ("pets", ("ant", "cat"), 3)
        assert train.labels.tolist() == [0, 0, 1, 1]
        assert train.pixels.shape == (4, 10, 12, 3)
        assert train.pixels[:, 0, 0].tolist() == [[100, 0, 50], [100, 0, 50], [7, 0, 50], [100, 0, 50]]
        assert len(dataset.test()) == 2

    def test_grey_images_have_one_channel(self, tmp_path: Path) -> None:
        for part in ("train", "test"):
            for label in "ab":
                write_image(tmp_path / part / label / "x.jpg", mode="L")
        dataset = open_dataset(f"folder:{tmp_path}")
        assert dataset.channels == 1
        assert dataset.train().pixels.shape == (2, 10, 12, 1)

    def test_mixed_sizes_become_64_pixels(self, pictures: Path) -> None:
        write_image(pictures / "train/cat/0.png", size=(30, 20))
        assert open_dataset(f"folder:{pictures}").train().pixels.shape == (4, 64, 64, 3)

    def test_pixels_option(self, pictures: Path) -> None:
        dataset = open_dataset(f"folder:{pictures}?pixels=16")
        assert dataset.train().pixels.shape == (4, 16, 16, 3)
        for option in ("pixels=0", "pixels=x", "size=3"):
            with pytest.raises(BadDataset, match="allowed: pixels=N"):
                open_dataset(f"folder:{pictures}?{option}")

    def test_test_images_take_the_training_images_size(self, pictures: Path) -> None:
        write_image(pictures / "test/cat/0.png", size=(99, 3), mode="RGBA")
        assert open_dataset(f"folder:{pictures}").test().pixels.shape == (2, 10, 12, 3)

    def test_missing_folders(self, pictures: Path, tmp_path: Path) -> None:
        with pytest.raises(BadDataset, match=r"no folder .*nowhere/train; needed are PATH/train/CLASS"):
            open_dataset(f"folder:{tmp_path / 'nowhere'}")
        (pictures / "test").rename(pictures / "other")
        with pytest.raises(BadDataset, match=r"no folder .*pets/test"):
            open_dataset(f"folder:{pictures}")

    def test_empty_and_unequal_classes(self, pictures: Path) -> None:
        (pictures / "train/dog").mkdir()
        with pytest.raises(BadDataset, match="classes of train are ant, cat, dog, those of test ant, cat"):
            open_dataset(f"folder:{pictures}")
        (pictures / "test/dog").mkdir()
        with pytest.raises(BadDataset, match=r"class .*train/dog has no image"):
            open_dataset(f"folder:{pictures}")

    def test_unreadable_images_are_named(self, pictures: Path) -> None:
        good = (pictures / "train/cat/0.png").read_bytes()
        (pictures / "train/cat/0.png").write_bytes(b"no image")
        with pytest.raises(BadDataset, match=r"train/cat/0\.png cannot be read"):
            open_dataset(f"folder:{pictures}")
        (pictures / "train/cat/0.png").write_bytes(good[:-30])  # its header is sound
        with pytest.raises(BadDataset, match=r"train/cat/0\.png cannot be read"):
            open_dataset(f"folder:{pictures}").train()

    def test_more_than_8_bits_are_refused(self, pictures: Path) -> None:
        write_image(pictures / "train/cat/0.png", mode="I;16")
        with pytest.raises(BadDataset, match="convert it to 8 bits"):
            open_dataset(f"folder:{pictures}").train()


class TestFunction:
    @pytest.fixture(autouse=True)
    def _module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        (tmp_path / "own_dataset.py").write_text(
            "import numpy as np\n"
            "from mnas.data import Dataset, Images\n"
            "def ones():\n"
            "    return Images(np.ones((4, 8, 8, 1), np.uint8), np.arange(4) % 2)\n"
            "def good():\n"
            "    return Dataset('own', ('a', 'b'), 1, ones, ones)\n"
            "def broken():\n"
            "    raise RuntimeError('no disk')\n"
            "value = 3\n"
        )
        monkeypatch.chdir(tmp_path)
        yield
        sys.modules.pop("own_dataset", None)

    def test_calls_it(self) -> None:
        path = list(sys.path)
        assert open_dataset("own_dataset:good").train().labels.tolist() == [0, 1, 0, 1]
        assert sys.path == path

    @pytest.mark.parametrize(
        ("spec", "words"),
        [
            ("own_dataset:missing", "no function 'missing'"),
            ("own_dataset:value", "no function 'value'"),
            ("own_dataset:broken", "RuntimeError: no disk"),
            ("own_dataset:ones", "returned a Images"),
            ("not_there.at_all:good", "cannot import not_there.at_all"),
        ],
    )
    def test_says_what_is_wrong(self, spec: str, words: str) -> None:
        with pytest.raises(BadDataset, match=words):
            open_dataset(spec)


@pytest.mark.parametrize("spec", ["", "mnist", "digits:", ":x", "Folder:/tmp"])
def test_unknown_datasets_are_refused_with_the_list(spec: str) -> None:
    with pytest.raises(BadDataset) as error:
        open_dataset(spec)
    if spec != "digits:":
        assert all(name in str(error.value) for name in names()) or "cannot import" in str(error.value)


class TestSplit:
    @given(st.lists(st.integers(0, 4), min_size=2, max_size=120), st.integers(0, 3), st.data())
    def test_cuts_exactly_and_by_class(self, labels: list[int], seed: int, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, len(labels) - 1))
        pixels = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
        images = Images(pixels, np.array(labels, dtype=np.int64))
        train, validation = split(images, validation_count=count, seed=seed)
        assert len(validation) == count
        both = np.concatenate([train.pixels, validation.pixels]).ravel()
        assert sorted(both) == list(range(len(labels)))
        for label in set(labels):
            exact = labels.count(label) * count / len(labels)
            assert abs(int((validation.labels == label).sum()) - exact) < 1
        assert (np.diff(train.pixels.ravel().astype(int)) > 0).all()

    def test_same_seed_same_split(self) -> None:
        first, again, other = (
            split(grey(90), validation_share=0.2, seed=seed)[1].pixels for seed in (1, 1, 2)
        )
        assert (first == again).all()
        assert not (first == other).all()

    @pytest.mark.parametrize(
        "arguments",
        [{}, {"validation_share": 0.1, "validation_count": 3}]
        + [{"validation_share": share} for share in (0.0, 1.0, -0.5, float("nan"), 0.01)]
        + [{"validation_count": count} for count in (0, -1, 10, 11)],
    )
    def test_refuses_impossible_splits(self, arguments: dict[str, Any]) -> None:
        with pytest.raises(BadInput):
            split(grey(10), seed=0, **arguments)


class TestResized:
    def test_size_type_and_range(self) -> None:
        images = open_dataset("digits").train()
        larger = resized(images, 32)
        assert larger.pixels.shape == (1437, 32, 32, 1)
        assert larger.pixels.dtype == np.uint8
        assert (larger.labels == images.labels).all()
        # bilinear: the mean stays, nearly
        assert larger.pixels.mean() == pytest.approx(images.pixels.mean(), rel=0.02)
        assert (resized(images, 32).pixels == larger.pixels).all()

    def test_a_ramp_stays_a_ramp_in_each_channel(self) -> None:
        ramp = np.zeros((1, 4, 4, 3), np.uint8)
        ramp[0, :, :, 0] = [0, 60, 120, 180]
        ramp[0, :, :, 2] = 9
        larger = resized(Images(ramp, np.zeros(1, np.int64)), 8).pixels[0]
        assert larger[3, :, 0].tolist() == [0, 15, 45, 75, 105, 135, 165, 180]
        assert (larger[..., 1] == 0).all()
        assert (larger[..., 2] == 9).all()

    def test_same_size_is_unchanged(self) -> None:
        images = grey(3)
        assert resized(images, 2) is images
        with pytest.raises(BadInput, match="resolution 0"):
            resized(images, 0)
