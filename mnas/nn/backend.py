"""TensorFlow and Keras, imported with this project's settings. Knows no network.

Everywhere else it is `from mnas.nn.backend import keras, tf`, so that the settings come first:

- `KERAS_BACKEND=tensorflow`, whatever `~/.keras/keras.json` says: training and export need this backend;
- `TF_CPP_MIN_LOG_LEVEL=2` unless set, and TensorFlow's Python logger at ERROR: its notes on this machine's
  CPU, a missing GPU and retracing are not for users. What it prints before it reads that variable is
  discarded;
- operations are deterministic where TensorFlow knows how; on a CPU this costs nothing.

`TF_ENABLE_ONEDNN_OPTS` stays as TensorFlow has it, on: without oneDNN a training step takes a quarter longer.
"""

from __future__ import annotations

import os

from mnas.nn.quiet import quiet

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

with quiet():
    import keras
    import tensorflow as tf

    tf.config.list_physical_devices()  # looks for a GPU and says so when there is none
    tf.config.experimental.enable_op_determinism()
tf.get_logger().setLevel("ERROR")

__all__ = ["keras", "tf"]
