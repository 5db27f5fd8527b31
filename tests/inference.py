"""What golden files compute on a backend of Keras that cannot train.

    KERAS_BACKEND=numpy python inference.py expected.npz

Prints, by name, how far each result is off the expected one, or why there is none.
"""

import functools
import json
import sys

import numpy as np
import openvino

# The default is bfloat16 on processors that have it, and Keras leaves no choice.
_PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}
openvino.compile_model = functools.partial(openvino.compile_model, config=_PRECISION)

import golden  # noqa: E402 - before, Keras would take the function as it was
import keras  # noqa: E402


def measure(release, expected):
    model = keras.models.load_model(release / "jax.keras")
    inputs, labels = golden.read_example(release)

    def predicted(name):
        return keras.Model(model.input["x"], model.output[name]).predict(inputs["x"], verbose=0)

    def loss(name):
        return model.loss[name](labels[name], inputs[name])

    found = {}
    for name in model.output:
        title, compute = f"predicted {name}", predicted
        if name in inputs:
            title, compute = f"{name}_loss of a batch", loss
        try:
            found[title] = golden.off(keras.ops.convert_to_numpy(compute(name)), expected[title])
        except Exception as error:
            found[title] = f"{type(error).__name__}: {error}"
    return found


if __name__ == "__main__":
    expected = np.load(sys.argv[1])
    print(json.dumps({k: v for r in golden.releases() for k, v in measure(r, expected).items()}))
