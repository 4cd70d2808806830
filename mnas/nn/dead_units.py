"""Gives dead squeeze-excites a range, so that int8 runtimes take them. Trains nothing and converts nothing.

Training sometimes leaves a squeeze convolution whose activation is zero for every image; its gate is then a
constant. Its quantised output would have a scale of almost zero, and XNNPACK refuses a convolution whose
rescaling factor is 256 or more ("failed to create XNNPACK runtime").
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas.nn.backend import keras

#: a squeeze whose outputs stay below this on every image counts as dead
DEAD = 0.01
#: what one of its units gives instead; the excitation's bias takes it back
CONSTANT = 1.0


def revive(model: Any, images: NDArray[np.float32]) -> tuple[str, ...]:
    """Make one unit of each dead squeeze give `CONSTANT`, and subtract what that adds to the gate.

    The network computes the same as before on images that leave the squeeze dead.

    Args:
        model: a keras.Model by `mnas.nn.keras_model.build`; changed in place.
        images: as the model takes them, [n, height, width, channels].

    Returns:
        The names of the squeeze convolutions that were changed.
    """
    layers = {layer.name: layer for layer in model.layers}
    squeezes = [name for name in layers if name.endswith("_squeeze")]
    if not squeezes:
        return ()
    ends = {name: layers.get(f"{name}_relu6") or layers[f"{name}_relu"] for name in squeezes}
    # by name: of a list of one output Keras gives the output itself
    given = keras.Model(model.input, {name: end.output for name, end in ends.items()})(images, training=False)
    revived = []
    for name in squeezes:
        if float(np.max(given[name])) >= DEAD:
            continue
        kernel, bias = layers[name].get_weights()
        kernel[..., 0] = 0
        bias[0] = CONSTANT
        layers[name].set_weights([kernel, bias])
        excite = layers[name.removesuffix("squeeze") + "excite"]
        kernel, bias = excite.get_weights()
        excite.set_weights([kernel, bias - CONSTANT * kernel[0, 0, 0]])
        revived.append(name)
    return tuple(revived)
