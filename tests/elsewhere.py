"""A model with every activation and every loss, and the process that loads it on another backend.

KERAS_BACKEND=jax python elsewhere.py model.keras results.npz
"""

import sys

import keras
import numpy as np

from keras_actloss import layers, testing


def build_model(activations, losses):
    """Activations on one common input, and each loss on an input of its own."""
    inputs = {"x": keras.Input((4, 6), name="x")}
    # Not rounded otherwise elsewhere: a sine of high frequency would tell it.
    hidden = keras.layers.Dense(6, kernel_initializer="identity")(inputs["x"])
    outputs = {
        f"activation_{i}": type(layer).from_config({**layer.get_config(), "name": f"layer_{i}"})(
            hidden
        )
        for i, layer in enumerate(activations)
    }
    for i, loss in enumerate(losses):
        name, shape = f"predictions_{i}", testing.example_inputs(loss)[1].shape[1:]
        inputs[name] = keras.Input(shape, name=name)
        outputs[f"loss_{i}"] = layers.Linear()(inputs[name])
    model = keras.Model(inputs, outputs)
    if not losses:
        return model
    # Compiling so much at once takes minutes, and what one backend would save for another to do.
    loss = {f"loss_{i}": loss for i, loss in enumerate(losses)}
    model.compile("sgd", loss=loss, run_eagerly=True)
    return model


def data(losses):
    """Inputs and labels for `build_model`; the batch is that of the examples of the losses."""
    examples = [testing.example_inputs(loss) for loss in losses]
    x = np.random.default_rng(0).normal(size=(len(examples[0][1]), 4, 6)).astype("float32")
    inputs = {f"predictions_{i}": y_pred for i, (_, y_pred) in enumerate(examples)}
    labels = {f"loss_{i}": y_true for i, (y_true, _) in enumerate(examples)}
    return {"x": x, **inputs}, labels


def results(model, losses):
    """Predictions and loss values by name."""
    inputs, labels = data(losses)
    predictions = model.predict(inputs, verbose=0)
    values = model.evaluate(inputs, labels, verbose=0, return_dict=True)
    found = {name: y for name, y in predictions.items() if name.startswith("activation")}
    return found | {name: np.float32(v) for name, v in values.items()}


if __name__ == "__main__":
    from catalogue import LOSSES

    loaded = keras.models.load_model(sys.argv[1])
    np.savez(sys.argv[2], **results(loaded, LOSSES))
