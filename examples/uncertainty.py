"""Intervals in place of numbers: several quantiles of one network, and how often they hold.

A small network reads the ten measurements of each of the 442 patients in scikit-learn's diabetes
data, and predicts five quantiles of how far the disease goes in a year. All come from one head and
one loss. Each patient is predicted by a network that has not seen them: there are five, each
trained on four fifths of the data.

    KERAS_BACKEND=jax python examples/uncertainty.py --out out

It should print, after some seconds, that close to 10 % of the patients lie below the quantile of
10 %, and so on, that about 80 % lie between the outer two, and that this interval is narrower than
the one that knows nothing of a patient. It writes a picture of the intervals and of their coverage
to the output folder. The exit code is 1 if the interval holds for less than 70 % or more than 90 %.
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
from sklearn.model_selection import KFold

from keras_actloss import activations, losses

QUANTILES = [0.1, 0.3, 0.5, 0.7, 0.9]
FOLDS = 5
LEAST, MOST = 0.7, 0.9  # of the patients between the outer quantiles, of which 0.8 should be
ORANGE, BLUE = "#d55e00", "#0072b2"  # told apart by color-blind readers too


def load_data():
    """Measurements of unit scale, and targets."""
    data = load_diabetes()
    x = data.data / data.data.std(axis=0)
    return x.astype("float32"), data.target.astype("float32")


def build_model():
    model = keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Dense(16, activation=activations.mish, kernel_regularizer="l2"),
            keras.layers.Dense(len(QUANTILES)),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), loss=losses.Quantile(quantiles=QUANTILES))
    return model


def predict_unseen(x, y, epochs):
    """Quantiles of each patient and, beside them, those of all patients of the same training."""
    print(f"Training on {keras.backend.backend()}.")
    start, progress = time.perf_counter(), Progress(FOLDS, epochs)
    predicted, constant = np.empty((2, len(y), len(QUANTILES)))
    for seen, unseen in KFold(FOLDS, shuffle=True, random_state=0).split(x):
        keras.utils.set_random_seed(0)
        center, scale = y[seen].mean(), y[seen].std()
        model = build_model()
        model.fit(
            x[seen],
            (y[seen] - center) / scale,
            batch_size=64,
            epochs=epochs,
            verbose=0,
            callbacks=[progress],
        )
        predicted[unseen] = model.predict(x[unseen], verbose=0) * scale + center
        constant[unseen] = np.quantile(y[seen], QUANTILES)
    print(f"Trained {FOLDS} networks in {time.perf_counter() - start:.1f} s.\n")
    return predicted, constant


def below(y, quantiles):
    """Share of the targets below each quantile."""
    return np.mean(y[:, None] < quantiles, axis=0)


def inside(y, quantiles):
    """Which targets lie between the outer quantiles."""
    return (quantiles[:, 0] <= y) & (y <= quantiles[:, -1])


def show(y, rows):
    """Print the table and return the share of targets inside the network's interval."""
    levels = "".join(f"{level:8.0%}" for level in QUANTILES)
    print(f"{'targets below':20}{levels}{'inside':>10}{'width':>8}")
    for name, quantiles in rows.items():
        shares = "".join(f"{share:8.1%}" for share in below(y, quantiles))
        width = np.mean(quantiles[:, -1] - quantiles[:, 0])
        print(f"{name:20}{shares}{inside(y, quantiles).mean():10.1%}{width:8.0f}")
    return inside(y, rows["the network"]).mean()


def draw(y, predicted, path):
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    middle = len(QUANTILES) // 2
    order = np.argsort(predicted[:, middle])
    place, within = np.arange(len(y)), inside(y, predicted)[order]
    left.fill_between(
        place, predicted[order, 0], predicted[order, -1], color=BLUE, alpha=0.2, label="80 %"
    )
    left.fill_between(
        place, predicted[order, 1], predicted[order, -2], color=BLUE, alpha=0.3, label="40 %"
    )
    left.plot(place, predicted[order, middle], color=BLUE, label="median")
    for kept, color, label in ((within, "black", "inside"), (~within, ORANGE, "outside")):
        left.plot(place[kept], y[order][kept], ".", color=color, markersize=4, label=label)
    left.set(title="Intervals", xlabel="patients, by their median", ylabel="progression")
    right.plot([0, 1], [0, 1], "--", color="gray")
    right.plot(QUANTILES, below(y, predicted), "o-", color=BLUE)
    right.set(title="Coverage", xlabel="quantile", ylabel="patients below it", aspect="equal")
    for axis in (right.xaxis, right.yaxis):
        axis.set_major_formatter("{x:.0%}")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    left.legend(loc="upper left")
    figure.savefig(path, dpi=150)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder to write to")
    parser.add_argument("--epochs", type=int, default=30, help="epochs of each training")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)

    x, y = load_data()
    predicted, constant = predict_unseen(x, y, options.epochs)
    share = show(y, {"the network": predicted, "the same for all": constant})
    path = options.out / "uncertainty.png"
    draw(y, predicted, path)
    print(f"\nWrote {path}")
    fine = LEAST <= share <= MOST
    if not fine:
        print(f"Failed: {share:.0%} of the targets are inside, not {LEAST:.0%} to {MOST:.0%}.")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
