"""Train once, load everywhere: keras_actloss from `compile` to a server without it.

A small network reads the handwritten digits that come with scikit-learn and answers two questions:
which digit it is, and whether the digit is odd. Its activations and both of its losses are those
of keras_actloss. The trained model is saved, then loaded in a fresh process on every backend that
is installed, and exported as a SavedModel that TensorFlow serves without Keras and keras_actloss.

    KERAS_BACKEND=jax python examples/quickstart.py --out out

It should print an accuracy of about 98 % on both questions, after some seconds of training, and a
table in which no prediction differs by more than 1e-5 from those of the process that trained. It
writes the saved model, the export and a picture to the output folder. The exit code is 1 if an
accuracy is below 95 % or a difference is larger.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

# On a GPU, convolutions round to ten bits by default: far more than the differences shown here.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from keras_actloss import activations, layers, losses
from keras_actloss.plot import plot_activations

BACKENDS = ("tensorflow", "jax", "torch")
OUTPUTS = ("digit", "odd")
EPOCHS = 15
LEAST_ACCURACY = 0.95
LARGEST_DIFFERENCE = 1e-5
ORANGE, BLUE = "#d55e00", "#0072b2"  # told apart by color-blind readers too


def load_data():
    """Images of 8 x 8 pixels between 0 and 1 with both answers, as `(train, test)`."""
    digits = load_digits()
    images = (digits.images / 16).astype("float32")[..., None]
    x, x_test, digit, digit_test = train_test_split(
        images, digits.target, test_size=0.25, stratify=digits.target, random_state=0
    )
    return (x, answers(digit)), (x_test, answers(digit_test))


def answers(digit):
    return {"digit": digit.astype("int32"), "odd": (digit % 2).astype("int32")}


def build_model():
    """Both ways to use an activation: a layer with settings, and a function for `activation=`."""
    image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(16, 3, padding="same")(image)
    x = layers.LeakyReLU(negative_slope=0.1)(x)
    x = keras.layers.Conv2D(32, 3)(x)
    x = layers.ELU(alpha=1.0)(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(64, activation=activations.elu)(x)
    digit = layers.Softmax()(keras.layers.Dense(10)(x))
    odd = layers.Sigmoid()(keras.layers.Dense(1)(x))
    model = keras.Model(image, {"digit": digit, "odd": odd})
    model.compile(
        optimizer=keras.optimizers.Adam(2e-3),
        loss={
            "digit": losses.SparseCategoricalCrossentropy(),
            "odd": losses.BinaryCrossentropy(label_smoothing=0.01),
        },
        metrics={"digit": "accuracy", "odd": "accuracy"},
    )
    return model


class Progress(keras.callbacks.Callback):
    """One bar for the whole training, where Keras has one for each epoch."""

    def on_train_begin(self, logs=None):
        self.bar = keras.utils.Progbar(
            self.params["epochs"], stateful_metrics=["loss", *OUTPUTS], unit_name="epoch"
        )

    def on_epoch_end(self, epoch, logs=None):
        shown = {name: logs[f"val_{name}_accuracy"] for name in OUTPUTS}
        self.bar.update(epoch + 1, [("loss", logs["loss"]), *shown.items()])


def train(model, training, test):
    """The history of the training, after printing how long it took."""
    print(f"Training on {keras.backend.backend()}; the bar shows the accuracy on test images.")
    start = time.perf_counter()
    history = model.fit(
        *training,
        validation_data=test,
        batch_size=32,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[Progress()],
    ).history
    print(f"Trained for {EPOCHS} epochs in {time.perf_counter() - start:.1f} s.\n")
    return history


def run_fresh(backend, *arguments):
    """What `fresh_process.py` prints on a backend, or the end of this program if it fails."""
    script = Path(__file__).with_name("fresh_process.py")
    done = subprocess.run(
        [sys.executable, script, *arguments],
        env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{done.stderr}\n{arguments[0]} failed in a fresh process on {backend}")
    return done.stdout.strip()


def predict_elsewhere(model_path, exported_path, images):
    """Predictions of fresh processes, by who made them."""
    print("Predicting in a fresh process for each way to load the model.")
    inputs_path, predictions_path = (model_path.with_suffix(end) for end in (".npy", ".npz"))
    np.save(inputs_path, images)
    installed = [name for name in BACKENDS if importlib.util.find_spec(name)]
    found = {}
    for backend in installed:
        run_fresh(backend, "load", model_path, inputs_path, predictions_path)
        found[f"load_model on {backend}"] = dict(np.load(predictions_path))
    if "tensorflow" in installed:
        shutil.rmtree(exported_path, ignore_errors=True)
        run_fresh("tensorflow", "export", model_path, exported_path)
        print(run_fresh("tensorflow", "serve", exported_path, inputs_path, predictions_path))
        found["SavedModel without Keras"] = dict(np.load(predictions_path))
    else:
        print("No SavedModel: TensorFlow, which writes and serves it, is not installed.")
    inputs_path.unlink()
    predictions_path.unlink()
    return found


def accuracies(predicted, true):
    digit = np.mean(predicted["digit"].argmax(axis=-1) == true["digit"])
    odd = np.mean((predicted["odd"][:, 0] > 0.5) == true["odd"])
    return {"digit": digit, "odd": odd}


def largest_difference(predicted, expected):
    return max(float(np.max(np.abs(predicted[name] - expected[name]))) for name in OUTPUTS)


def compare(expected, elsewhere, true):
    """Print the table of predictions and return whether every row is as it should be."""
    print(f"\n{'predictions of':30}{'largest difference':>20}{'digit':>10}{'odd':>10}")
    fine = True
    for who, predicted in {"the process that trained": expected, **elsewhere}.items():
        difference = largest_difference(predicted, expected)
        accuracy = accuracies(predicted, true)
        print(f"{who:30}{difference:20.1e}{accuracy['digit']:10.1%}{accuracy['odd']:10.1%}")
        # Written so that NaN fails too.
        fine &= difference <= LARGEST_DIFFERENCE and min(accuracy.values()) >= LEAST_ACCURACY
    return fine


def draw_history(axes, history, measure):
    """A measure of both outputs: dashed on the training images, solid on the test images."""
    epochs = range(1, EPOCHS + 1)
    for name, color in zip(OUTPUTS, (ORANGE, BLUE), strict=True):
        axes.plot(epochs, history[f"val_{name}_{measure}"], color=color, label=f"{name}, test")
        axes.plot(epochs, history[f"{name}_{measure}"], "--", color=color, label=f"{name}, train")
    axes.set(title=measure.capitalize(), xlabel="epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)


def draw(history, path):
    figure = Figure(figsize=(9, 7), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(2, 3))
    shown = [layers.LeakyReLU(negative_slope=0.1), "elu", "sigmoid"]
    plot_activations(shown, figure=top)
    left, right = bottom.subplots(1, 2)
    draw_history(left, history, "loss")
    left.set_yscale("log")
    draw_history(right, history, "accuracy")
    right.yaxis.set_major_formatter("{x:.0%}")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder to write to")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    model_path, exported_path = out / "quickstart.keras", out / "quickstart_savedmodel"
    picture_path = out / "quickstart.png"

    keras.utils.set_random_seed(0)
    training, (images, true) = load_data()
    model = build_model()
    history = train(model, training, (images, true))
    expected = model.predict(images, verbose=0)
    model.save(model_path)
    elsewhere = predict_elsewhere(model_path, exported_path, images)
    fine = compare(expected, elsewhere, true)
    draw(history, picture_path)

    written = [path for path in (model_path, exported_path, picture_path) if path.exists()]
    print("\nWrote", ", ".join(map(str, written)))
    if not fine:
        print(f"Failed: accuracy below {LEAST_ACCURACY:.0%} or difference over 1e-5.")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
