"""Rare classes: what weights in a loss change, on a table as a survey left it.

The table comes with statsmodels: what 6366 married women told a magazine in 1974. From age, years
of marriage, children, education and the husband's occupation a small network tells a woman's own,
of six: 41 are students and 109 professionals with an advanced degree, 0.6 % and 1.7 %. It is
trained with five losses from the same start: plain cross-entropy, cross-entropy with class weights
from two helpers of keras_actloss, focal loss, and cross-entropy that adds the logarithm of each
class's share to the logits. A sixth row takes the plain network and subtracts those logarithms from
its logits, which costs no training.

    KERAS_BACKEND=jax python examples/imbalance.py --out out

It should print, after half a minute, a table in which the plain network finds few or none of the
two rare classes and the weighted and adjusted ones 40 to 60 % of them, at the price of the frequent
classes; focal loss, which looks at hard rows and not at rare classes, is close to the plain one. It
writes a picture of the recall of each class to the output folder. The exit code is 1 if no row
finds more of the rare classes than the plain one.
"""

import argparse
import sys
import time
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure
from progress import Progress
from sklearn.model_selection import train_test_split
from statsmodels.datasets import fair

from keras_actloss import activations, losses
from keras_actloss.testing import check_outputs

CLASSES = ("student", "worker", "white-collar", "teacher", "manager", "professional")
RARE = np.array([0, 5])
# Told apart by color-blind readers too.
COLORS = ("#999999", "#e69f00", "#0072b2", "#d55e00", "#cc79a7", "#009e73")


def load_data():
    """Features of mean 0 and deviation 1 with the classes, as `(train, test)`."""
    table = fair.load_pandas().data
    numbers = table[["age", "yrs_married", "children", "educ"]].to_numpy("float32")
    husband = table[["occupation_husb"]].to_numpy("int32") == np.arange(1, 7)
    x = np.concatenate([numbers, husband], axis=-1, dtype="float32")
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = table["occupation"].to_numpy("int32") - 1
    x, x_test, y, y_test = train_test_split(x, y, test_size=1 / 3, stratify=y, random_state=0)
    return (x, y), (x_test, y_test)


def build_model(loss):
    keras.utils.set_random_seed(0)  # the same start for every loss
    model = keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Dense(32, activation=activations.leaky_relu),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(len(CLASSES)),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-2), loss=loss)
    return model


def train(counts, training, rows, epochs):
    """Logits of the test rows, by the name of the loss."""
    effective = losses.effective_number_weights(counts, beta=0.999)
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
    print(f"Training on {keras.backend.backend()} with {sum(counts)} rows.")
    start, progress, logits = time.perf_counter(), Progress(len(trainings), epochs), {}
    for name, loss in trainings.items():
        model = build_model(loss)
        check_outputs(model, x=training[0], y=training[1])  # raises if they did not fit
        model.fit(*training, batch_size=256, epochs=epochs, verbose=0, callbacks=[progress])
        logits[name] = model.predict(rows, verbose=0)
    print(f"Trained {len(trainings)} networks in {time.perf_counter() - start:.1f} s.\n")
    logits["plain, prior subtracted"] = logits["plain"] - losses.logit_prior(counts)
    return logits


def recalls(logits, true):
    """Share of each class that is found."""
    found = logits.argmax(axis=-1) == true
    return np.array([found[true == i].mean() for i in range(len(CLASSES))])


def show(recall, counts):
    """Print the table and return whether a row finds more of the rare than the plain one."""
    print(f"{'mean recall with the loss':26}{'all':>8}{'four frequent':>16}{'two rare':>16}")
    for name, values in recall.items():
        parts = (np.delete(values, RARE).mean(), values[RARE].mean())
        print(f"{name:26}{values.mean():8.1%}{parts[0]:16.1%}{parts[1]:16.1%}")
    rare = sum(np.array(counts)[RARE])
    print(f"{'training rows':26}{sum(counts):8}{sum(counts) - rare:16}{rare:16}")
    plain, *others = (values[RARE].mean() for values in recall.values())
    return max(others) > plain


def draw(recall, counts, path):
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(recall)
    for i, ((name, values), color) in enumerate(zip(recall.items(), COLORS, strict=True)):
        middle = np.arange(len(CLASSES)) + (i - (len(recall) - 1) / 2) * width
        axes.bar(middle, values, width, label=name, color=color)
    axes.set(title="Recall of each class", xlabel="class, and how many the training has")
    ticks = [f"{name}\n{n}" for name, n in zip(CLASSES, counts, strict=True)]
    axes.set_xticks(range(len(CLASSES)), ticks)
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.legend()
    figure.savefig(path, dpi=150)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder to write to")
    parser.add_argument("--epochs", type=int, default=12, help="epochs of each training")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)

    training, (rows, true) = load_data()
    counts = losses.class_counts(training[1])
    logits = train(counts, training, rows, options.epochs)
    recall = {name: recalls(predicted, true) for name, predicted in logits.items()}
    fine = show(recall, counts)
    path = options.out / "imbalance.png"
    draw(recall, counts, path)
    print(f"\nWrote {path}")
    if not fine:
        print("Failed: no row finds more of the rare classes than the plain one.")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
