"""One mode's measurements, as JSON on the last line; `run.py` starts it in a quiet environment."""

import argparse
import importlib
import json
import os
import statistics
import sys
import time

import cases
import keras
import numpy as np

import keras_actloss

BACKEND = keras.backend.backend()


def forward_and_backward(function, x, xla, *labels):
    """A call that computes `function(x, *labels)` and its gradient, and waits for both."""
    module = importlib.import_module(BACKEND)
    x = keras.ops.convert_to_tensor(x)
    # Handed over, as the labels are: a compiler would spare itself a product with known ones.
    upstream = keras.ops.ones_like(function(x, *labels))
    if BACKEND == "torch":
        x.requires_grad = True

        def run():
            x.grad = None
            function(x, *labels).backward(upstream)

        return run
    if BACKEND == "jax":

        @module.jit
        def step(x, upstream, *labels):
            y, pull = module.vjp(lambda x: function(x, *labels), x)
            return y, pull(upstream)

        return lambda: module.block_until_ready(step(x, upstream, *labels))

    @module.function(jit_compile=xla)
    def step(x, upstream, *labels):
        with module.GradientTape() as tape:
            tape.watch(x)
            y = function(x, *labels)
        return y, tape.gradient(y, x, output_gradients=upstream)

    return lambda: step(x, upstream, *labels)[1].numpy()


def ratios(runs, rounds):
    """Medians of the paired ratios of the first contender to each other one.

    The contenders take turns, in an order that alternates, so that a machine that slows down slows
    all of them; processor time does not count what other processes do.
    """
    names = list(runs)
    times = {name: [] for name in names}
    for run in runs.values():
        run(), run()
    for turn in range(rounds):
        for name in names if turn % 2 else reversed(names):
            start = time.process_time()
            runs[name]()
            times[name].append(time.process_time() - start)
    ours, *others = names
    return {
        other: statistics.median(a / b for a, b in zip(times[ours], times[other], strict=True))
        for other in others
    }


def training(layers, loss, y, xla):
    """A call that trains a small network for some steps."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(len(y), 64)).astype("float32")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((64,)), *layers, keras.layers.Dense(10)])
    jit = {"tensorflow": xla, "jax": True, "torch": False}[BACKEND]
    model.compile(keras.optimizers.SGD(1e-3), loss=loss, jit_compile=jit)
    return lambda: model.fit(x, y, batch_size=256, verbose=0, shuffle=False)


def hidden(activation):
    return [keras.layers.Dense(256, activation=activation) for _ in range(2)]


def fit_runs(xla):
    """Name -> contender -> call, for training with each loss and with each activation."""
    rng = np.random.default_rng(1)
    ids = rng.integers(0, 10, 256 * 20).astype("int32")
    labels = {
        "values": rng.normal(size=(len(ids), 10)).astype("float32"),
        "onehot": np.eye(10, dtype="float32")[ids],
        "ids": ids,
    }
    packages = {"ours": keras_actloss, "keras": keras}
    for name, (kind, settings) in cases.FIT_LOSSES.items():
        yield (
            name,
            lambda name=name, kind=kind, settings=settings: {
                who: training(
                    hidden("relu"), getattr(p.losses, name)(**settings), labels[kind], xla
                )
                for who, p in packages.items()
            },
        )
    for name in cases.FIT_ACTIVATIONS:
        yield (
            name,
            lambda name=name: {
                who: training(hidden(getattr(p.activations, name)), "mse", labels["values"], xla)
                for who, p in packages.items()
            },
        )


def all_runs(mode):
    """(kind, name, a call that gives contender -> call) of every case."""
    xla = mode.endswith("-xla")
    shape = (cases.ROWS, cases.COLUMNS)
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    for name, contenders in cases.activation_cases().items():
        yield (
            "activation, 4 million numbers",
            name,
            lambda c=contenders: {who: forward_and_backward(f, x, xla) for who, f in c.items()},
        )

    def loss_runs(y_true, y_pred, contenders):
        y_true = keras.ops.convert_to_tensor(y_true)
        return {
            who: forward_and_backward(lambda p, y, f=f: f(y, p), y_pred, xla, y_true)
            for who, f in contenders.items()
        }

    for name in cases.loss_cases():
        yield (
            "loss, 4 million predictions",
            name,
            lambda name=name: loss_runs(*cases.loss_contenders(name)),
        )
    for name, case in cases.structured_cases().items():
        yield (
            "loss of images, boxes, sequences, embeddings",
            name,
            lambda case=case: loss_runs(*case),
        )
    for name, runs in fit_runs(xla):
        yield "20 steps of fit", name, runs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", nargs="+", default=[""])
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rows = []
    for kind, name, make in all_runs(arguments.mode):
        if not any(part in name for part in arguments.only):
            continue
        found = ratios(make(), arguments.rounds)
        rows.append({"mode": arguments.mode, "kind": kind, "name": name, "ratios": found})
        shown = ", ".join(f"{k} {v:.2f}" for k, v in found.items())
        print(f"  {kind}: {name}: {shown}", file=sys.stderr, flush=True)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
