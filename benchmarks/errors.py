"""How far off are the functions that cost more than Keras's own, and how far off is Keras's.

    python benchmarks/errors.py                # every mode, some minutes; writes errors.md
    python benchmarks/errors.py --modes jax    # one mode; writes nothing

Of each case of `results.json` that costs more than it may, and of what it is held to there: the
largest error of value and gradient in float32, in units in the last place of the formula at fifty
digits, and the share of results that are 0 or no number where the exact ones are normal numbers.
Activations have numbers of both signs from 2**-20 to 64, losses predictions that are mostly right:
ten classes, some of which lead by far, and values as close as 1e-6.
"""

import functools
import inspect
import itertools
import json
import sys

from run import HERE, MODES, by_mode, factor, held_to, limit

KINDS = ("activation, 4 million numbers", "loss, 4 million predictions")
ROWS, CLASSES = 64, 10
# Alike in float32 whatever they cost, or of the size of what is measured.
LEFT_OUT = ("maxout", "relu", "leaky_relu", "hard_tanh", "sparse_sigmoid", "soft_shrink")


def slow_rows(mode):
    """(kind, name, what it is held to, time) of the cases that cost more than they may."""
    found = {}
    for row in json.loads((HERE / "results.json").read_text())["rows"]:
        known = row["name"].split(",")[0]
        of_mode = row["mode"] == mode and row["kind"] in KINDS and known not in LEFT_OUT
        if of_mode and factor(row) > limit(row):
            # By classes they differ in their time alone.
            key = known if row["kind"] == KINDS[1] else row["name"]
            found.setdefault(key, (row["kind"], row["name"], held_to(row), factor(row)))
    return list(found.values())


def _numbers():
    import numpy as np

    rng = np.random.default_rng(0)
    sizes = 2.0 ** rng.uniform(-20, 6, (ROWS, 2)) * rng.choice([-1, 1], (ROWS, 2))
    return sizes.astype("float32")


def _labels_and_predictions(name, kind_of_labels):
    """Inputs of a loss, for the most part right."""
    import numpy as np

    rng = np.random.default_rng(0)
    shape = (ROWS, CLASSES)
    logits = (rng.normal(size=shape) * 2.0 ** rng.uniform(0, 4, (ROWS, 1))).astype("float32")
    right = logits.argmax(-1)
    ids = np.where(rng.random(ROWS) < 0.9, right, rng.integers(0, CLASSES, ROWS))
    if kind_of_labels == "values":
        y = np.exp(rng.normal(size=shape)).astype("float32")
        return y, (y * (1 + 10.0 ** rng.uniform(-6, 0, shape))).astype("float32")
    if kind_of_labels == "binary":
        y = np.where(rng.random(shape) < 0.9, logits > 0, logits < 0).astype("float32")
        p = (1 / (1 + np.exp(-np.float64(logits)))).astype("float32")
        return y, np.minimum(p, 1 - 2.0**-24) if "probabilities" in name else logits
    y = ids if kind_of_labels == "ids" else np.eye(CLASSES, dtype="float32")[ids]
    e = np.exp(np.float64(logits) - logits.max(-1, keepdims=True))
    p = np.maximum(e / e.sum(-1, keepdims=True), 2.0**-120).astype("float32")
    if name.startswith("kl_divergence"):
        near = p * (1 + 10.0 ** rng.uniform(-6, 0, shape))
        return (near / near.sum(-1, keepdims=True)).astype("float32"), p
    return y, logits if "probabilities" not in name else p


def _case(kind, name, other):
    """Formula, its arguments, what is moved, and both contenders as functions of that."""
    import cases
    import keras

    from keras_actloss import activations, losses
    from keras_actloss.testing import oracle

    if kind == KINDS[0]:
        contenders = cases.activation_cases()[name]
        function = getattr(activations, name.split(",")[0])
        settings = cases.ACTIVATIONS.get(name)
        settings = cases.OWN_ACTIVATIONS[name][0] if settings is None else settings
        given, moved, x = {}, "x", _numbers()
        calls = contenders["ours"], contenders[other]
    else:
        *_, settings, cls = cases.loss_cases()[name]
        function, moved = getattr(losses, cls).fn, "y_pred"
        kinds = {"Categorical": "onehot", "Sparse": "ids", "KLD": "onehot", "Binary": "binary"}
        of_labels = next((v for k, v in kinds.items() if cls.startswith(k)), "values")
        y, x = _labels_and_predictions(name, of_labels)
        given = {"y_true": y}
        theirs = getattr(keras.losses, cls)(**settings, reduction="none")
        ours = getattr(losses, cls)(**settings, reduction="none")
        calls = functools.partial(ours, y), functools.partial(theirs, y)
    parameters = inspect.signature(function).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    return oracle.formula_of(function), defaults | settings | given, moved, x, calls


def _shown(got, truth):
    """The largest error, and the share of normal numbers that came out as 0 or none."""
    import numpy as np

    from keras_actloss.testing import oracle

    got = np.float64(got).reshape(truth.shape)
    normal = ~np.isnan(truth) & (np.abs(truth) > oracle.EDGE["float32"])
    lost = (~np.isfinite(got) | (got == 0)) & normal & (np.abs(truth) < 3e38)
    off = oracle.errors(got, truth, "float32")[~lost & ~np.isnan(truth)].max(initial=0)
    share = f", {lost.mean():.0%} lost" if lost.any() else ""
    return (f"{off:.1f}" if off < 100 else f"{off:.0e}".replace("+0", "")) + share


def measure(mode):
    """A line for each slow case."""
    import numpy as np

    from keras_actloss.testing import oracle
    from keras_actloss.testing.backend import compiled, graph, value_and_gradient

    through = {"torch": None, "tensorflow": graph}.get(mode, compiled)
    lines = []
    for kind, name, other, time in slow_rows(mode):
        formula, arguments, moved, x, calls = _case(kind, name, other)
        value = oracle.evaluate(formula, **{moved: x}, **arguments)
        # Outputs that sum to 1 have no gradient if they count alike.
        upstream = np.broadcast_to(2.0 ** np.arange(value.shape[-1]), value.shape)
        upstream = upstream if kind == KINDS[0] else np.ones(value.shape)
        slope = oracle.derivative(formula, moved, x, upstream, **arguments)
        cells = [
            _shown(*pair)
            for call in calls
            for pair in zip(
                value_and_gradient(call, x, upstream, through), (value, slope), strict=True
            )
        ]
        lines.append(f"| {name} | {mode} | {time:.2f} | " + " | ".join(cells) + f" | {other} |")
        print(lines[-1], file=sys.stderr, flush=True)
    print(json.dumps(lines))


def main():
    found = by_mode(__file__, __doc__, measure)
    if found is None:
        return
    lines = [
        "| case | mode | time | our value | our gradient | their value | their gradient | they |",
        "|---" * 8 + "|",
    ]
    table = "\n".join([*lines, *itertools.chain(*found.values())])
    print(table)
    if list(found) == list(MODES):
        text = (
            "# What the time is for\n\nLargest errors in float32, in units in the last place, of "
            "what costs more than it may and of what\nit is held to; `errors.py` says how.\n\n"
        )
        (HERE / "errors.md").write_text(f"{text}{table}\n")


if __name__ == "__main__":
    main()
