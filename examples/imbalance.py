"""Rare classes: what weights in a loss change, on handwritten digits of a long tail.

Of the digits that come with scikit-learn, the training keeps 120 zeros, fewer of each next digit
and 4 nines; the test has as many of each. One small network is trained with five losses from the
same start: plain cross-entropy, cross-entropy with class weights from two helpers of keras_actloss,
focal loss, and cross-entropy that adds the logarithm of each digit's share to the logits. A sixth
row takes the plain network and subtracts those logarithms from its logits, which costs no training.

    KERAS_BACKEND=jax python examples/imbalance.py --out out

It should print, after some seconds, a table in which the plain network knows the frequent digits
best, and the others find more of the rare ones, by ten points or more; focal loss, which looks at
hard images and not at rare digits, by a few. It writes a picture of the recall of each digit to the
output folder. The exit code is 1 if no row finds more of the rare
digits than the plain one.
"""

import argparse
import sys
import time
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure
from progress import Progress
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from keras_actloss import activations, losses
from keras_actloss.testing import check_outputs

CLASSES = 10
KEPT = np.round(120 * 30 ** (-np.arange(CLASSES) / (CLASSES - 1))).astype(int)  # 120 to 4
RARE = np.arange(5, CLASSES)
# Told apart by color-blind readers too.
COLORS = ("#999999", "#e69f00", "#0072b2", "#d55e00", "#cc79a7", "#009e73")


def load_data():
    """Pixels between 0 and 1 with their digits, as `(train, test)`; the training has the tail."""
    digits = load_digits()
    x, x_test, y, y_test = train_test_split(
        (digits.data / 16).astype("float32"),
        digits.target.astype("int32"),
        test_size=0.25,
        stratify=digits.target,
        random_state=0,
    )
    kept = np.concatenate([np.flatnonzero(y == digit)[:n] for digit, n in enumerate(KEPT)])
    return (x[kept], y[kept]), (x_test, y_test)


def build_model(loss):
    keras.utils.set_random_seed(0)  # the same start for every loss
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(64, activation=activations.leaky_relu),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(CLASSES),
        ]
    )
    model.compile(keras.optimizers.Adam(2e-3), loss=loss)
    return model


def train(counts, training, images, epochs):
    """Logits of the test images, by the name of the loss."""
    effective = losses.effective_number_weights(counts, beta=0.99)
    balanced = losses.balanced_weights(counts)
    cross_entropy = losses.SparseCategoricalCrossentropy
    trainings = {
        "plain": cross_entropy(from_logits=True),
        "effective numbers": cross_entropy(from_logits=True, class_weights=effective),
        "balanced": cross_entropy(from_logits=True, class_weights=balanced),
        "focal": losses.SparseCategoricalFocalCrossentropy(from_logits=True),
        "logit-adjusted": losses.SparseCategoricalLogitAdjustedCrossentropy(
            class_prior=counts, from_logits=True
        ),
    }
    print(f"Training on {keras.backend.backend()} with {sum(counts)} images.")
    start, progress, logits = time.perf_counter(), Progress(len(trainings), epochs), {}
    for name, loss in trainings.items():
        model = build_model(loss)
        check_outputs(model, x=training[0], y=training[1])  # raises if they did not fit
        model.fit(*training, batch_size=32, epochs=epochs, verbose=0, callbacks=[progress])
        logits[name] = model.predict(images, verbose=0)
    print(f"Trained {len(trainings)} networks in {time.perf_counter() - start:.1f} s.\n")
    logits["plain, prior subtracted"] = logits["plain"] - losses.logit_prior(counts)
    return logits


def recalls(logits, true):
    """Share of each digit's images that are found."""
    found = logits.argmax(axis=-1) == true
    return np.array([found[true == digit].mean() for digit in range(CLASSES)])


def show(recall, counts):
    """Print the table and return whether a row finds more rare digits than the plain one."""
    frequent, rare = f"digits 0 to {RARE[0] - 1}", f"digits {RARE[0]} to {RARE[-1]}"
    print(f"{'recall with the loss':26}{'all':>8}{frequent:>16}{rare:>16}")
    for name, values in recall.items():
        parts = (np.delete(values, RARE).mean(), values[RARE].mean())
        print(f"{name:26}{values.mean():8.1%}{parts[0]:16.1%}{parts[1]:16.1%}")
    kept = [sum(counts[: RARE[0]]), sum(counts[RARE[0] :])]
    print(f"{'training images':26}{sum(counts):8}{kept[0]:16}{kept[1]:16}")
    plain, *others = (values[RARE].mean() for values in recall.values())
    return max(others) > plain


def draw(recall, counts, path):
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(recall)
    for i, ((name, values), color) in enumerate(zip(recall.items(), COLORS, strict=True)):
        middle = np.arange(CLASSES) + (i - (len(recall) - 1) / 2) * width
        axes.bar(middle, values, width, label=name, color=color)
    axes.set(title="Recall of each digit", xlabel="digit, and how many the training has")
    axes.set_xticks(range(CLASSES), [f"{digit}\n{n}" for digit, n in enumerate(counts)])
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.legend(loc="lower left")
    figure.savefig(path, dpi=150)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder to write to")
    parser.add_argument("--epochs", type=int, default=40, help="epochs of each training")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)

    training, (images, true) = load_data()
    counts = losses.class_counts(training[1])
    logits = train(counts, training, images, options.epochs)
    recall = {name: recalls(predicted, true) for name, predicted in logits.items()}
    fine = show(recall, counts)
    path = options.out / "imbalance.png"
    draw(recall, counts, path)
    print(f"\nWrote {path}")
    if not fine:
        print("Failed: no row finds more of the rare digits than the plain one.")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
