"""Masks of few pixels: what losses of the overlap change, on handwritten digits in noise.

Three digits that come with scikit-learn lie scattered, faint and noisy, in each image; a small
convolutional network tells which pixels are ink, one in fourteen. It is trained with cross-entropy
first. Then four copies of it go on: with cross-entropy, with the Dice loss, with a Tversky loss
for which a missed pixel is four times as bad as a false one, and with the Lovasz hinge.

    KERAS_BACKEND=jax python examples/segmentation.py --out out

It should print, after some seconds, a table in which cross-entropy misses the most ink: where it is
in doubt it says no, for most pixels are empty. The Dice and Lovasz losses find more and overlap
more, the Tversky loss finds most, and is wrong more often. It writes a picture of some
predicted masks to the output folder. The exit code is 1 if Dice or Lovasz do not overlap more than
cross-entropy does.
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

from keras_actloss import activations, losses

SIZE = 32  # of an image; a digit has 8 by 8 pixels
DIGITS, TRAINING, TEST = 3, 256, 128
PLAIN = "cross-entropy"


def losses_by_name():
    mask = {"from_logits": True, "encoding": "multilabel"}
    return {
        PLAIN: losses.BinaryCrossentropy(from_logits=True),
        "Dice": losses.Dice(**mask),
        "Tversky": losses.Tversky(**mask, alpha=0.2, beta=0.8),
        "Lovasz hinge": losses.LovaszHinge(),
    }


def load_data():
    """Images with their masks, as `(train, test)`; no digit is in both."""
    rng = np.random.default_rng(0)
    digits = rng.permutation(load_digits().images / 16)
    cells = np.array([(y, x) for y in range(4, SIZE, 9) for x in range(4, SIZE, 9)])
    ink = np.zeros((TRAINING + TEST, SIZE, SIZE, 1))
    for i, image in enumerate(ink):
        halves = digits[:1200] if i < TRAINING else digits[1200:]
        places = rng.permutation(cells[(cells < SIZE - 8).all(axis=-1)])[:DIGITS]
        for (y, x), digit in zip(places, rng.choice(halves, DIGITS), strict=True):
            y, x = y + rng.integers(-4, 1), x + rng.integers(-4, 1)
            image[y : y + 8, x : x + 8, 0] = digit
    images = ink + rng.normal(scale=0.7, size=ink.shape)
    masks = ink > 0.25
    images, masks = images.astype("float32"), masks.astype("float32")
    return (images[:TRAINING], masks[:TRAINING]), (images[TRAINING:], masks[TRAINING:])


def build_model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            *(
                keras.layers.Conv2D(
                    12, 3, padding="same", dilation_rate=rate, activation=activations.mish
                )
                for rate in (1, 2, 3)
            ),
            keras.layers.Conv2D(1, 1),
        ]
    )


def train(training, images, epochs):
    """Masks of the test images, by the name of the loss."""
    print(f"Training on {keras.backend.backend()} with {len(training[0])} images.")
    by_name = losses_by_name()
    start, progress = time.perf_counter(), Progress(1 + len(by_name), epochs)

    def fit(loss):
        model.compile(keras.optimizers.Adam(5e-3), loss=loss)
        model.fit(*training, batch_size=16, epochs=epochs, verbose=0, callbacks=[progress])

    model, masks = build_model(), {}
    fit(by_name[PLAIN])
    weights = model.get_weights()
    for name, loss in by_name.items():
        model.set_weights(weights)
        fit(loss)
        masks[name] = model.predict(images, verbose=0) > 0
    print(f"Trained {1 + len(by_name)} times in {time.perf_counter() - start:.1f} s.\n")
    return masks


def scores(mask, true):
    """Share of the ink that is found, share of what is found that is ink, and the overlap (IoU)."""
    both = np.sum(mask & true)
    return both / true.sum(), both / max(mask.sum(), 1), both / np.sum(mask | true)


def show(masks, true):
    """Print the table and return whether Dice and Lovasz overlap more than the plain one."""
    print(f"{'loss':16}{'ink found':>12}{'of it ink':>12}{'overlap':>12}")
    overlap = {}
    for name, mask in masks.items():
        found, right, overlap[name] = scores(mask, true)
        print(f"{name:16}{found:12.1%}{right:12.1%}{overlap[name]:12.1%}")
    return min(overlap["Dice"], overlap["Lovasz hinge"]) > overlap[PLAIN]


def draw(images, masks, true, path, rows=3):
    figure = Figure(figsize=(11, 6), layout="constrained")
    grid = figure.subplots(rows, 2 + len(masks))
    for row, axes in enumerate(grid):
        axes[0].imshow(images[row, ..., 0], cmap="gray")
        axes[1].imshow(true[row, ..., 0], cmap="gray")
        for panel, mask in zip(axes[2:], masks.values(), strict=True):
            found, wanted = mask[row, ..., 0], true[row, ..., 0]
            # White: found; orange: missed; blue: not ink. Color-blind readers tell these apart.
            colors = np.zeros((SIZE, SIZE, 3))
            colors[found & wanted] = 1
            colors[~found & wanted] = 0.84, 0.37, 0
            colors[found & ~wanted] = 0, 0.45, 0.7
            panel.imshow(colors)
    for axes, title in zip(grid[0], ("image", "ink", *masks), strict=True):
        axes.set_title(title)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    figure.supxlabel("white: found, orange: missed, blue: not ink")
    figure.savefig(path, dpi=150)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder to write to")
    parser.add_argument("--epochs", type=int, default=6, help="epochs of each training")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)

    training, (images, labels) = load_data()
    true = labels > 0
    masks = train(training, images, options.epochs)
    fine = show(masks, true)
    path = options.out / "segmentation.png"
    draw(images, masks, true, path)
    print(f"\nWrote {path}")
    if not fine:
        print("Failed: Dice and Lovasz do not both overlap more than cross-entropy.")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
