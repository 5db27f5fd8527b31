"""Ordered classes: what losses that know the order change, on how far a disease goes.

The progression of the disease of each of the 442 patients in scikit-learn's diabetes data is put
into one of seven grades, from the mildest seventh to the gravest. Small networks read the ten
measurements of a patient and predict the grade, with four losses: cross-entropy, for which all
wrong grades are alike, the squared earth mover's distance behind the same softmax, and CORAL and
CORN, which ask at each level whether the grade lies above it. Each patient is predicted by networks
that have not seen them: each loss trains two, on one half of the data each.

    KERAS_BACKEND=jax python examples/ordinal.py --out out

It should print, after some seconds, by how many grades the predictions are off, of the most
probable grade and of the median of the probabilities. For the median all four are close, and
closer than the most probable grade under cross-entropy. It writes a picture of the predicted
grades to the output folder. The exit code is 1 if no loss that knows the order is off by less
than the most probable grade under cross-entropy.
"""

import argparse
import sys
import time
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure
from progress import Progress
from sklearn.datasets import load_diabetes
from sklearn.model_selection import StratifiedKFold

from keras_actloss import activations, layers, losses
from keras_actloss.testing import check_outputs

GRADES = 7
FOLDS = 2
ORDERED = ("squared EMD", "CORAL", "CORN")


def load_data():
    """Measurements of unit scale, and grades from 0."""
    data = load_diabetes()
    x = data.data / data.data.std(axis=0)
    limits = np.quantile(data.target, np.arange(1, GRADES) / GRADES)
    return x.astype("float32"), np.searchsorted(limits, data.target).astype("int32")


def heads():
    """Output layer, loss, and what makes probabilities of the outputs, by name."""
    return {
        "cross-entropy": (
            keras.layers.Dense(GRADES),
            losses.SparseCategoricalCrossentropy(from_logits=True),
            activations.softmax,
        ),
        "squared EMD": (
            keras.layers.Dense(GRADES),
            losses.SparseCategoricalSquaredEMD(from_logits=True),
            activations.softmax,
        ),
        "CORAL": (layers.OrdinalDense(GRADES), losses.CORAL(), activations.ordinal_softmax),
        "CORN": (keras.layers.Dense(GRADES - 1), losses.CORN(), activations.conditional_softmax),
    }


def build_model(head, loss):
    hidden = keras.layers.Dense(16, activation=activations.mish, kernel_regularizer="l2")
    model = keras.Sequential([keras.Input((10,)), hidden, head])
    model.compile(keras.optimizers.Adam(0.02), loss=loss)
    return model


def predict_unseen(x, grades, epochs):
    """Probabilities of the grades of each patient, by the name of the loss."""
    print(f"Training on {keras.backend.backend()}.")
    names = list(heads())
    start, progress = time.perf_counter(), Progress(FOLDS * len(names), epochs)
    predicted = {name: np.empty((len(x), GRADES)) for name in names}
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for seen, unseen in folds.split(x, grades):
        for name in names:
            keras.utils.set_random_seed(0)
            head, loss, probabilities = heads()[name]
            model = build_model(head, loss)
            check_outputs(model, x=x[seen], y=grades[seen])  # raises if they did not fit
            model.fit(
                x[seen],
                grades[seen],
                batch_size=64,
                epochs=epochs,
                verbose=0,
                callbacks=[progress],
            )
            outputs = model.predict(x[unseen], verbose=0)
            predicted[name][unseen] = keras.ops.convert_to_numpy(probabilities(outputs))
    seconds = time.perf_counter() - start
    print(f"Trained {FOLDS * len(names)} networks in {seconds:.1f} s.\n")
    return predicted


def medians(probabilities):
    return keras.ops.convert_to_numpy(losses.median_class(probabilities))


def show(predicted, grades):
    """Print the table and return whether a loss that knows the order is off by less."""
    print(f"{'grades off, on average':26}{'most probable':>16}{'median':>10}")
    off = {}
    for name, probabilities in predicted.items():
        decoded = probabilities.argmax(-1), medians(probabilities)
        off[name] = [np.abs(grade - grades).mean() for grade in decoded]
        print(f"{name:26}{off[name][0]:16.2f}{off[name][1]:10.2f}")
    print(f"{'the middle one for all':26}{np.abs(grades - GRADES // 2).mean():26.2f}")
    return min(off[name][1] for name in ORDERED) < off["cross-entropy"][0]


def draw(predicted, grades, path):
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    rows = {"cross-entropy, most probable": predicted["cross-entropy"].argmax(-1)}
    rows |= {f"{name}, median": medians(predicted[name]) for name in ORDERED}
    for axes, (name, decoded) in zip(figure.subplots(1, len(rows)), rows.items(), strict=True):
        counts = np.zeros((GRADES, GRADES), int)
        np.add.at(counts, (grades, decoded), 1)
        axes.imshow(counts, cmap="Blues", vmin=0, vmax=40)
        for (true, guess), count in np.ndenumerate(counts):
            color = "white" if count > 25 else "black"
            axes.text(guess, true, count or "", ha="center", va="center", color=color, fontsize=8)
        off = np.abs(decoded - grades)
        axes.set(title=f"{name}\noff by {off.mean():.2f}", xlabel="predicted", ylabel="true")
        axes.set(xticks=range(GRADES), yticks=range(GRADES))
    figure.savefig(path, dpi=150)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder to write to")
    parser.add_argument("--epochs", type=int, default=20, help="epochs of each training")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)

    x, grades = load_data()
    predicted = predict_unseen(x, grades, options.epochs)
    fine = show(predicted, grades)
    path = options.out / "ordinal.png"
    draw(predicted, grades, path)
    print(f"\nWrote {path}")
    if not fine:
        print("Failed: no loss that knows the order is off by less than cross-entropy.")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
