from __future__ import annotations

import numpy as np
import pytest

from mnas.architecture import Architecture
from mnas.data import model_input, open_dataset, resized
from mnas.errors import BadInput
from mnas.nn.backend import keras
from mnas.nn.dead_units import revive
from mnas.nn.export import convert, tflite_accuracy
from mnas.nn.keras_model import build

TEXT = "in_16x16x1,cv_r1_k3_s2_c64_noskip,ir_r2_k3_s1_e1_c64_se0.25,fc_10"
ONE = "in_16x16x1,cv_r1_k3_s2_c64_noskip,ir_r1_k3_s1_e1_c64_se0.25,fc_10"


@pytest.mark.parametrize(("text", "block"), [(TEXT, "stage1_layer1"), (ONE, "stage1_layer0")])
def test_a_dead_squeeze_gets_a_range_and_the_network_stays_the_same(text: str, block: str) -> None:
    keras.utils.set_random_seed(0)
    images = resized(open_dataset("digits").test(), 16)
    examples = model_input(images)[:40]
    model = build(Architecture.parse(text))
    assert revive(model, examples) == ()
    squeeze = model.get_layer(f"{block}_squeeze")
    kernel, bias = squeeze.get_weights()
    squeeze.set_weights([kernel, bias - 1000])
    excite = model.get_layer(f"{block}_excite")
    kernel, bias = excite.get_weights()
    excite.set_weights([kernel, np.random.default_rng(0).normal(size=bias.shape)])
    with pytest.raises(BadInput, match="XNNPACK"):
        tflite_accuracy(convert(model, "int8", examples), images)
    before = np.asarray(model(examples, training=False))
    assert revive(model, examples) == (f"{block}_squeeze",)
    np.testing.assert_allclose(np.asarray(model(examples, training=False)), before, atol=1e-5)
    tflite_accuracy(convert(model, "int8", examples), images)
    assert revive(model, examples) == ()
