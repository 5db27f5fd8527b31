"""A process where `tf.keras` is tf_keras, on two devices: what it finds goes to a file.

TF_USE_LEGACY_KERAS=1 KERAS_BACKEND=tensorflow python legacy.py results.npz
"""

import sys
import tempfile

import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from keras_actloss.tf_keras import layers, losses  # noqa: E402

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(16, 5)).astype("float32"), RNG.integers(0, 4, size=16)
WEIGHT = np.linspace(0, 2, 16).astype("float32")

LOSSES = {
    "crossentropy": losses.SparseCategoricalCrossentropy(from_logits=True),
    "sum": losses.Dice(from_logits=True, encoding="ids", reduction="sum"),
}


def fitted(strategy, loss):
    """A trained model, and what tells of the training."""
    tf.keras.utils.set_random_seed(0)
    with strategy.scope():
        model = tf.keras.Sequential(
            [
                tf.keras.Input((5,)),
                tf.keras.layers.Dense(4),
                layers.PReLU(alpha_initializer=0.25, alpha_regularizer="l2"),
                layers.SwiGLU(units=4),
            ]
        )
        model.compile("sgd", loss)
    # Random numbers drawn in a strategy are others.
    model.set_weights([np.random.default_rng(7).normal(size=w.shape) for w in model.get_weights()])
    fit = model.fit(X, Y, 8, 2, verbose=0, shuffle=False, sample_weight=WEIGHT)
    return model, np.concatenate([w.ravel() for w in model.get_weights()]), fit.history["loss"]


def gradient(strategy, loss):
    """The sum of the gradients of the replicas, in a loop without `fit`."""

    def replica(y_true, y_pred):
        return tf.gradients(loss(y_true, y_pred), y_pred)[0]

    inputs = tf.data.Dataset.from_tensor_slices((Y, X[:, :4])).batch(16)
    batch = next(iter(strategy.experimental_distribute_dataset(inputs)))
    return strategy.gather(tf.function(strategy.run)(replica, args=batch), axis=0)


def main(path):
    results = {}
    for devices in (["CPU:0"], ["CPU:0", "CPU:1"]):
        strategy = tf.distribute.MirroredStrategy(devices)
        for name, loss in LOSSES.items():
            model, weights, history = fitted(strategy, loss)
            results[f"{name}/weights/{len(devices)}"] = weights
            results[f"{name}/history/{len(devices)}"] = history
        loss = losses.SparseCategoricalCrossentropy(from_logits=True)
        results[f"loop/gradient/{len(devices)}"] = gradient(strategy, loss)
    results["saved/here"] = model.predict(X, verbose=0)
    for format in ("model.h5", "model.keras", "model"):
        with tempfile.TemporaryDirectory() as folder:
            model.save(f"{folder}/{format}")
            again = tf.keras.models.load_model(f"{folder}/{format}")
        results[f"saved/{format}"] = again.predict(X, verbose=0)
    np.savez(path, module=tf.keras.layers.Dense.__module__, **results)


if __name__ == "__main__":
    main(sys.argv[1])
