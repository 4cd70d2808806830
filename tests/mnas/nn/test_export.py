from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from mnas.architecture import Architecture
from mnas.data import Images, model_input, open_dataset
from mnas.errors import BadInput, MnasError, TrainingFailed
from mnas.nn.backend import keras
from mnas.nn.export import convert, quantised, tflite_accuracy
from mnas.nn.training import TrainingPlan, accuracy, train

SMALL = Architecture.parse("in_8x8x1,cv_r1_k3_s2_c16,ir_r2_k3_s1_e3_c16_se0.25,cv_r1_k1_s1_c64,fc_10")


@pytest.fixture(scope="module")
def trained() -> Any:
    return train(SMALL, open_dataset("digits").train(), TrainingPlan(steps=60), 0)


@pytest.fixture(scope="module")
def test_images() -> Images:
    return open_dataset("digits").test()


@pytest.fixture(scope="module")
def examples() -> Any:
    return model_input(open_dataset("digits").train())


class TestConvert:
    def test_float32_is_as_accurate_as_the_model(
        self, trained: Any, test_images: Images, examples: Any
    ) -> None:
        found = tflite_accuracy(convert(trained, "float32", examples), test_images)
        assert found > 0.75
        assert found == pytest.approx(accuracy(trained, test_images), abs=1.5 / len(test_images))

    def test_int8_is_integer_throughout_and_nearly_as_accurate(
        self, trained: Any, test_images: Images, examples: Any
    ) -> None:
        content = convert(trained, "int8", examples)
        assert tflite_accuracy(content, test_images) == pytest.approx(
            accuracy(trained, test_images), abs=0.04
        )
        interpreter = Interpreter(model_content=content)
        (source,), (sink,) = interpreter.get_input_details(), interpreter.get_output_details()
        assert (source["dtype"], sink["dtype"]) == (np.int8, np.int8)
        assert source["quantization"][0] == pytest.approx(1 / 127.5, rel=0.01)
        details = interpreter.get_tensor_details()
        assert {detail["dtype"] for detail in details} <= {np.int8, np.int32}
        kernels = [detail for detail in details if detail["shape"].tolist() == [16, 3, 3, 1]]
        assert [len(kernel["quantization_parameters"]["scales"]) for kernel in kernels] == [16]

    @pytest.mark.parametrize("dtype", ["float32", "int8"])
    def test_takes_one_image_and_names_it(self, dtype: str, trained: Any, examples: Any) -> None:
        (source,) = Interpreter(model_content=convert(trained, dtype, examples)).get_input_details()
        assert source["shape_signature"].tolist() == [1, 8, 8, 1]
        assert source["name"] == "image"

    def test_prints_nothing_and_leaves_nothing(
        self, trained: Any, examples: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        convert(trained, "int8", examples)
        assert capfd.readouterr() == ("", "")
        assert list(tmp_path.iterdir()) == []

    def test_refuses_what_it_cannot_do(self, trained: Any, examples: Any) -> None:
        with pytest.raises(BadInput, match="float32, int8"):
            convert(trained, "float16", examples)
        with pytest.raises(BadInput, match="representative"):
            convert(trained, "int8", examples[:, :4])
        with pytest.raises(BadInput, match="representative"):
            convert(trained, "int8", examples[:0])

    def test_a_failing_converter_is_an_error_of_ours(self, examples: Any) -> None:
        image = keras.Input((8, 8, 1))
        sorts = keras.layers.Lambda(lambda tensor: keras.ops.svd(tensor[..., 0])[1])(image)
        with pytest.raises(MnasError, match="cannot convert the model to float32"):
            convert(keras.Model(image, sorts), "float32", examples)


class TestTfliteAccuracy:
    def test_refuses_other_models(self, trained: Any, examples: Any, test_images: Images) -> None:
        with pytest.raises(BadInput, match="LiteRT cannot run"):
            tflite_accuracy(b"no model", test_images)
        content = convert(trained, "float32", examples)
        with pytest.raises(BadInput, match=r"needed: input \(1, 4, 8, 1\)"):
            tflite_accuracy(content, Images(test_images.pixels[:, :4], test_images.labels))

    def test_outputs_that_are_not_finite_have_no_accuracy(self, examples: Any, test_images: Images) -> None:
        image = keras.Input((8, 8, 1))
        dense = keras.layers.Dense(10)
        model = keras.Model(image, dense(keras.layers.GlobalAveragePooling2D()(image)))
        dense.bias.assign(np.full(10, np.nan, np.float32))
        with pytest.raises(TrainingFailed, match="not finite"):
            tflite_accuracy(convert(model, "float32", examples), test_images)

    def test_quantises_by_scale_and_zero_point(self) -> None:
        values = np.array([-2.0, -1.0, 0.0, 0.26, 9.0], np.float32)
        tensor = {"dtype": np.uint8, "quantization": (0.5, 3)}
        assert quantised(values, tensor).tolist() == [0, 1, 3, 4, 21]
        assert quantised(values, {**tensor, "dtype": np.int8}).dtype == np.int8
        assert quantised(values * 100, {**tensor, "dtype": np.int8}).tolist() == [-128, -128, 3, 55, 127]
        assert quantised(values, {**tensor, "dtype": np.float32}) is values
        with pytest.raises(BadInput, match="int16"):
            quantised(values, {**tensor, "dtype": np.int16})


def test_importing_tensorflow_is_quiet() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import mnas.nn.backend; print('ready')"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("ready\n", "", 0)
