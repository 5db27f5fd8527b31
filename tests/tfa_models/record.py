"""Makes the models of this folder that begin with `more_`, where TensorFlow Addons is installed.

    python3.11 -m venv v
    v/bin/pip install "tensorflow==2.15.*" tensorflow-addons==0.23.0
    v/bin/python record.py

Each is saved as .h5 and as .keras, and beside it as .npz what TFA computed: `x`, the predictions
`pred` (`pred_0`, ... of several outputs) and, where it is compiled, `y` and the `loss` of all.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

HERE = Path(__file__).parent
RNG = np.random.default_rng(0)
keras, layers = tf.keras, tf.keras.layers


def save(name, model, x, y=None, loss=None):
    """Write the model, and what it computes; `loss` is for what TFA cannot evaluate itself."""
    model.save(HERE / f"{name}.h5")
    model.save(HERE / f"{name}.keras")
    values = {"x": x}
    predictions = model.predict(x, verbose=0)
    if isinstance(predictions, list):
        values |= {f"pred_{i}": p for i, p in enumerate(predictions)}
    else:
        values["pred"] = predictions
    if y is not None:
        labels = y if isinstance(y, dict) else {"y": y}
        values |= {f"y_{name}" if isinstance(y, dict) else "y": v for name, v in labels.items()}
        if loss is None:
            evaluated = model.evaluate(x, y, batch_size=len(x), verbose=0, return_dict=True)
            loss = evaluated["loss"]
        values["loss"] = np.float32(loss)
    np.savez(HERE / f"{name}.npz", **values)


def shifted(model):
    """Weights that are not those a model begins with."""
    model.set_weights([w + RNG.normal(scale=0.2, size=w.shape) for w in model.get_weights()])
    return model


def nested():
    """Wrappers, a model in a model, two outputs with a loss and a weight each."""
    x = layers.Input((4, 6))
    y = layers.TimeDistributed(layers.Dense(5, activation=tfa.activations.softshrink))(x)
    y = layers.Bidirectional(
        layers.LSTM(3, activation=tfa.activations.lisht, return_sequences=True)
    )(y)
    y = layers.TimeDistributed(tfa.layers.Snake())(y)
    inner = keras.Sequential(
        [
            layers.Input((4, 6)),
            layers.Dense(6, activation=tfa.activations.tanhshrink),
            tfa.layers.TLU(affine=True),
            tfa.layers.Snake(),
        ],
        name="inner",
    )
    y = layers.GlobalAveragePooling1D()(inner(y))
    outputs = [
        layers.Dense(1, name="amount")(y),
        layers.Dense(3, activation="sigmoid", name="labels")(y),
    ]
    model = shifted(keras.Model(x, outputs))
    model.compile(
        "sgd",
        loss={
            "amount": tfa.losses.PinballLoss(tau=0.2),
            # Without a reduction, their default, TFA's losses do not add up to one of two outputs.
            "labels": tfa.losses.SigmoidFocalCrossEntropy(alpha=0.4, reduction="auto"),
        },
        loss_weights={"amount": 0.5, "labels": 2.0},
        metrics={"labels": [tf.keras.metrics.AUC(name="auc"), "accuracy"]},
    )
    x = RNG.normal(size=(8, 4, 6)).astype("float32")
    y = {
        "amount": RNG.normal(size=(8, 1)).astype("float32"),
        "labels": RNG.integers(0, 2, (8, 3)).astype("float32"),
    }
    save("more_nested", model, x, y)


def calls():
    """Models that are called twice, and one as an output."""
    x = layers.Input((3,))
    inner = keras.Model(x, layers.Dense(3, activation=tfa.activations.lisht)(x))
    last = keras.Sequential([layers.Input((3,)), tfa.layers.Maxout(1)])
    x = layers.Input((3,))
    model = keras.Model(x, [last(inner(inner(x))), inner(x)])
    save("more_calls", model, RNG.normal(size=(8, 3)).astype("float32"))


def boxes():
    """Boxes with their corners in order, which an untrained network does not give."""
    low, size = RNG.uniform(0, 4, (12, 2)), RNG.uniform(0.5, 4, (12, 2))
    y = np.concatenate([low, low + size], -1).astype("float32")
    x = y + RNG.uniform(-0.2, 0.2, y.shape).astype("float32")
    for mode in ("giou", "iou"):
        dense = layers.Dense(4, kernel_initializer="identity", bias_initializer="ones")
        model = keras.Sequential([layers.Input((4,)), dense])
        model.compile(keras.optimizers.SGD(0.01), tfa.losses.GIoULoss(mode=mode))
        save(f"more_boxes_{mode}", model, x, y)


def pairs():
    """Labels in a vector; in `fit` and `evaluate` TFA gets a column, and gives NaN."""
    model = keras.Sequential([layers.Input((6,)), layers.Dense(12)])
    model.compile("adam", tfa.losses.NpairsLoss())
    x, y = RNG.normal(size=(12, 6)).astype("float32"), np.arange(12) % 5
    save("more_pairs", model, x, y, tfa.losses.npairs_loss(y, model.predict(x, verbose=0)).numpy())


def triplets():
    """Losses of the hardest triplets, of which one group has three, and of several labels."""
    rng, groups = np.random.default_rng(1), np.arange(12) % 5
    x = rng.normal(size=(12, 6)).astype("float32")
    cosine = tfa.losses.TripletSemiHardLoss(margin=0.4, distance_metric="angular")
    squared = tfa.losses.TripletHardLoss(margin=0.7, distance_metric="squared-L2")
    labels = (groups[:, None] == np.arange(5)) | (rng.random((12, 5)) < 0.3)
    for name, units, loss, y in (
        ("cosine", 4, cosine, groups),
        ("hard", 4, squared, groups),
        ("soft", 4, tfa.losses.TripletHardLoss(soft=True), groups),
        ("multilabel", 12, tfa.losses.NpairsMultilabelLoss(), labels.astype("int64")),
    ):
        model = keras.Sequential([layers.Input((6,)), layers.Dense(units)])
        model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
        model.compile("adam", loss)
        save(f"more_{name}", model, x, y)


def quantiles():
    """Three quantiles of one target, labels with a column."""
    model = keras.Sequential([layers.Input((6,)), layers.Dense(3)])
    model.compile("adam", tfa.losses.PinballLoss(tau=tf.constant([0.1, 0.5, 0.9])))
    x, y = RNG.normal(size=(12, 6)).astype("float32"), RNG.normal(size=(12, 1)).astype("float32")
    save("more_quantiles", model, x, y)


def others_of_tfa():
    """A metric and an optimizer of TFA, beside a loss of Keras."""
    model = keras.Sequential([layers.Input((6,)), layers.Dense(3, activation="sigmoid")])
    model.compile(
        tfa.optimizers.LAMB(0.01),
        keras.losses.BinaryCrossentropy(label_smoothing=0.1),
        metrics=[tfa.metrics.F1Score(3), keras.metrics.Precision(name="precision")],
    )
    x = RNG.normal(size=(12, 6)).astype("float32")
    save("more_compiled", model, x, RNG.integers(0, 2, (12, 3)).astype("float32"))


def others():
    """Of layers: one that draws in training, and one that is not of this package."""
    x = RNG.normal(size=(12, 6)).astype("float32")
    inputs = layers.Input((6,))
    hidden = layers.Dense(6, activation=tfa.activations.rrelu)(inputs)
    save("more_rrelu", keras.Model(inputs, layers.Dense(2)(hidden)), x)
    norm = tfa.layers.GroupNormalization(groups=3)
    save("more_group_norm", shifted(keras.Sequential([layers.Input((6,)), norm])), x)


if __name__ == "__main__":
    for make in (nested, calls, boxes, pairs, triplets, quantiles, others_of_tfa, others):
        make()
