"""What every loss promises: a check of one promise raises if it is broken."""

import copy
import json
import pickle

import keras
import numpy as np
from keras import ops

from keras_actloss.core.loss import width_of
from keras_actloss.core.tensors import IDS, SEQUENCES
from keras_actloss.testing.backend import (
    array,
    at_once,
    compiled,
    off_differences,
    value_and_gradient,
)
from keras_actloss.testing.examples import labeled_predictions, rebuilt, takes, within
from keras_actloss.testing.report import NotApplicable, ensure


def _close(got, expected, what, rtol=1e-4, atol=1e-6):
    ensure(
        np.allclose(got, expected, rtol, atol, equal_nan=True),
        f"{what}: expected {np.asarray(expected)}, got {np.asarray(got)}",
    )


def _values(loss, y_true, y_pred):
    return array(rebuilt(loss, reduction="none")(y_true, y_pred))


def _program(loss):
    """The loss of arrays of a size that no other check has."""
    run = at_once(lambda t, p: loss(t, p))
    return lambda y_true, y_pred: array(run(*map(ops.convert_to_tensor, (y_true, y_pred))))


def _loss_and_gradient(loss, y_true, y_pred, sample_weight=None, through=None):
    value, gradient = value_and_gradient(
        lambda p: loss(y_true, p, sample_weight), y_pred, through=through
    )
    return value, np.zeros_like(y_pred) if gradient is None else gradient


def _couples(loss):
    return getattr(loss, "couples_samples", False)


def _alone(loss, y_true, y_pred, kept):
    """The values of some samples where there are no others, and the gradient of their sum."""
    each = rebuilt(loss, reduction="none")
    if _couples(loss):
        return _loss_and_gradient(each, y_true[kept], y_pred[kept], through=at_once)
    # Of all, since JAX compiles every op anew for another size.
    values, gradient = _loss_and_gradient(each, y_true, y_pred)
    return values[kept], gradient[kept]


def check_values_per_sample(loss, y_true, y_pred):
    """One value a sample (or a sample and step), so that weights and replicas can be applied."""
    shape = _values(loss, y_true, y_pred).shape
    ensure(
        shape[:1] == y_pred.shape[:1],
        f"the values have shape {shape} for a batch of {len(y_pred)}; return one value a sample, "
        "for example a mean over the last axis only",
    )


def check_samples_are_independent(loss, y_true, y_pred):
    """A sample's value does not depend on its neighbors, unless the class says it couples them."""
    if _couples(loss):
        raise NotApplicable("the class says that it couples samples")
    values = _program(rebuilt(loss, reduction="none"))
    alone = [values(y_true[i : i + 1], y_pred[i : i + 1])[0] for i in range(len(y_pred))]
    _close(_values(loss, y_true, y_pred), alone, "values in the batch and of each sample alone")


def check_finite(loss, y_true, y_pred):
    """Value and gradient stay finite for predictions at the ends of their range."""
    # An end that is open, as 0 is for a rate, is not gone to.
    low, high = loss.predictions
    low = max(low if np.isfinite(high) else low + 1e-4, -1e4)
    high = min(high, 1e4)
    above = y_pred > np.median(y_pred)
    for upper in (above, ~above):
        flipped = np.where(upper, high, low).astype("float32")
        value, gradient = _loss_and_gradient(loss, y_true, flipped)
        ensure(np.isfinite(value), f"the loss of predictions {low} and {high} is {value}")
        ensure(np.all(np.isfinite(gradient)), f"its gradient at {low} and {high} is not finite")


def check_finite_when_exact(loss, y_true, y_pred):
    """Value and gradient stay finite for exact predictions, and for ones that are all alike."""
    low, high = loss.predictions
    cases = {"that are all alike": within(loss.predictions, np.zeros_like(y_pred))}
    exact = loss.labels == "values" and y_true.shape == y_pred.shape
    if exact and np.all((low < y_true) & (y_true < high)):
        cases["that are the labels"] = y_true.astype("float32")
    for what, predictions in cases.items():
        value, gradient = _loss_and_gradient(loss, y_true, predictions)
        ensure(
            np.isfinite(value) and np.all(np.isfinite(gradient)),
            f"of predictions {what} the loss is {value} and its gradient "
            f"{gradient.flatten()[:3]}; sqrt, norm and quotients have no slope at 0: add a small "
            "number to what they are taken of",
        )


def check_gradient(loss, y_true, y_pred):
    """The gradient is that of the value: it matches differences in most random directions."""
    if loss.stops_gradient:
        raise NotApplicable("the class says that it stops a part of its gradient")
    _, gradient = _loss_and_gradient(loss, y_true, y_pred)
    low, high = loss.predictions
    # Shorter steps towards an end of the range.
    room = (y_pred - low if np.isfinite(low) else 1) * (high - y_pred if np.isfinite(high) else 1)
    off = off_differences(lambda p: array(loss(y_true, p)), gradient, y_pred, 1e-2, room)
    ensure(
        off < 0.05,
        f"the gradient is off the differences of the values by {off:.0%}; is a part of it stopped "
        "or rounded?",
    )


def check_differentiable(loss, y_true, y_pred):
    """Some prediction has a gradient: no rounding, comparison or argmax stands in between."""
    _, gradient = value_and_gradient(lambda p: loss(y_true, p), y_pred)
    ensure(
        gradient is not None and np.any(gradient != 0),
        "the gradient is zero for every prediction, so nothing can be learned from it: rounding, "
        "comparing and argmax have no slope; replace them by a smooth measure",
    )


def check_config_round_trip(loss, y_true, y_pred):
    """`from_config(get_config())` gives the same settings, dtype, value and gradient."""
    original = rebuilt(loss, reduction="sum", dtype="bfloat16")
    config = original.get_config()
    again = type(loss).from_config(json.loads(json.dumps(config)))
    ensure(again.reduction == "sum", f"reduction 'sum' came back as {again.reduction!r}")
    ensure(again.dtype == "bfloat16", f"dtype bfloat16 came back as {again.dtype}")
    same, new = (_loss_and_gradient(x, y_true, y_pred) for x in (original, again))
    _close(new[0], same[0], "value after the round trip")
    _close(new[1], same[1], "gradient after the round trip")


def check_saving(loss, y_true, y_pred):
    """Keras's safe loading finds the class under its registered name and rebuilds it."""
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    again = keras.saving.deserialize_keras_object(config, safe_mode=True)
    ensure(type(again) is type(loss), f"{config['registered_name']} loads as {type(again)}")
    _close(array(again(y_true, y_pred)), array(loss(y_true, y_pred)), "value after loading")


def check_refuses_unknown_config(loss, y_true, y_pred):
    """A config with a key that the constructor does not take is an error."""
    config = {**loss.get_config(), "no_such_setting": 1}
    try:
        type(loss).from_config(config)
    except (TypeError, ValueError):
        return
    raise AssertionError("from_config accepted the unknown key 'no_such_setting'")


def check_copy_and_pickle(loss, y_true, y_pred):
    """Copies and pickles compute the same."""
    expected = array(loss(y_true, y_pred))
    for again in (copy.copy(loss), copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        _close(array(again(y_true, y_pred)), expected, "value of a copy")


def check_no_hidden_weights(loss, y_true, y_pred):
    """No Keras variable hides in the loss, or in its layers, where no optimizer would find it."""

    def learns(part):
        return isinstance(part, keras.Variable) or (
            isinstance(part, keras.layers.Layer) and part.trainable
        )

    found = [k for k, v in vars(loss).items() if any(map(learns, keras.tree.flatten(v)))]
    remedy = "let a layer of the model own them, or set `trainable = False` of a layer"
    ensure(not found, f"{found} never train inside a loss; {remedy}")


def check_sample_weight(loss, y_true, y_pred):
    """A weight multiplies its sample's value, in a column too; a single one multiplies all."""
    weights = np.arange(1, len(y_pred) + 1, dtype="float32")
    values, total = _values(loss, y_true, y_pred), rebuilt(loss, reduction="sum")
    expected = np.sum(np.moveaxis(values, 0, -1) * weights)
    for given in (weights, weights[:, None]):
        got = array(total(y_true, y_pred, given))
        _close(got, expected, f"sum with sample_weight {weights} of shape {given.shape}")
    _close(array(total(y_true, y_pred, 2.0)), 2 * values.sum(), "sum with sample_weight 2")


def check_weight_zero_removes(loss, y_true, y_pred):
    """A sample of weight 0 leaves neither value nor gradient, even if it is NaN or infinite."""
    weights = np.ones(len(y_pred), "float32")
    weights[0] = 0
    total = rebuilt(loss, reduction="sum")
    values, slope = _alone(loss, y_true, y_pred, weights > 0)
    for poison in (np.nan, np.inf):
        spoilt = y_pred.copy()
        spoilt[0] = poison
        value, gradient = _loss_and_gradient(total, y_true, spoilt, weights)
        _close(value, values.sum(), f"sum of the others beside a sample of {poison} with weight 0")
        _close(gradient, [np.zeros_like(y_pred[0]), *slope], "its gradient")


def check_nothing_left(loss, y_true, y_pred):
    """With every weight 0 the loss is 0 and so is its gradient, whatever the reduction."""
    weights = np.zeros(len(y_pred), "float32")
    for reduction in ("sum_over_batch_size", "mean_with_sample_weight"):
        total = rebuilt(loss, reduction=reduction)
        value, gradient = _loss_and_gradient(total, y_true, y_pred, weights)
        _close(value, 0, f"{reduction} of nothing")
        _close(gradient, np.zeros_like(y_pred), f"gradient of {reduction} of nothing")


def _masked(y_pred, mask):
    tensor = ops.convert_to_tensor(y_pred)
    tensor._keras_mask = ops.convert_to_tensor(mask)
    return tensor


def check_mask(loss, y_true, y_pred):
    """A Keras mask over samples leaves the mean of those it keeps."""
    mask = (np.arange(len(y_pred)) == 0) != _couples(loss)
    expected = _program(loss)(y_true[mask], y_pred[mask])
    got = array(loss(y_true, _masked(y_pred, mask)))
    _close(got, expected, "loss with samples masked, beside that of the others alone")


def _honored_or_refused(loss_of, y_pred, changed, what):
    """Predictions that do not count may change, unless they are refused."""
    try:
        before, after = (array(loss_of(p)) for p in (y_pred, changed))
    except ValueError:
        return
    _close(after, before, what)


def check_mask_of_reduced_axis(loss, y_true, y_pred):
    """A mask over an axis that the loss reduces is honored or refused, never ignored."""
    mask = np.ones(y_pred.shape, bool)
    mask[..., -1] = False
    changed = y_pred.copy()
    changed[..., -1] = changed[..., -1] * 0.5 + 0.1
    what = "loss after a masked entry changed"
    _honored_or_refused(lambda p: loss(y_true, _masked(p, mask)), y_pred, changed, what)


def check_weight_of_reduced_axis(loss, y_true, y_pred):
    """A `sample_weight` over an axis that the loss reduces is honored or refused, never ignored."""
    shape, axis = list(y_pred.shape), getattr(loss, "axis", -1)
    if y_pred.ndim > 2 and loss.labels in (*IDS, *SEQUENCES, "onehot"):
        del shape[axis]  # Classes that compete weigh alike.
    weight = np.ones(shape[:2], "float32")
    weight[:, -1] = 0
    changed = np.moveaxis(y_pred.copy(), axis, -1)
    changed[:, -1] = changed[:, -1] * 0.5 + 0.1
    changed = np.moveaxis(changed, -1, axis)
    what = "loss after an entry of weight 0 changed"
    _honored_or_refused(lambda p: loss(y_true, p, weight), y_pred, changed, what)


def _partly_ignored(labels, y_true):
    """A class to ignore, labels of which the first two are of it, and where the others are."""
    one_hot, y_true = labels == "onehot", y_true.copy()
    y_true[:2] = np.eye(2, y_true.shape[-1])[:1] if one_hot else -1
    kept = np.argmax(y_true, -1) != 0 if one_hot else np.arange(len(y_true)) > 1
    return 0 if one_hot else -1, y_true, kept


def check_ignore_class(loss, y_true, y_pred):
    """Ignored labels count neither in the sum nor in the number it is divided by."""
    if not takes(loss, "ignore_class"):
        raise NotApplicable("the class has no ignore_class")
    ignored, labels, kept = _partly_ignored(loss.labels, y_true)
    if kept.ndim > 1 or not np.any(kept):
        raise NotApplicable("needs a class axis last and labels of two classes")
    expected, _ = _alone(rebuilt(loss, ignore_class=None), y_true, y_pred, kept)
    partial = rebuilt(loss, ignore_class=ignored, reduction="mean")
    value, gradient = _loss_and_gradient(partial, labels, y_pred)
    _close(value, expected.mean(), "mean over the labels that are not ignored")
    _close(gradient[:2], np.zeros_like(y_pred[:2]), "gradient of ignored samples")
    none = _loss_and_gradient(partial, np.repeat(labels[:1], len(labels), 0), y_pred)
    _close(none[0], 0, "loss with every label ignored")
    _close(none[1], np.zeros_like(y_pred), "gradient with every label ignored")


def check_integer_labels(loss, y_true, y_pred):
    """Class ids beyond 256 are not rounded, by a loss of a 16-bit dtype neither."""
    if loss.labels not in IDS or getattr(loss, "class_weights", None) or width_of(loss):
        raise NotApplicable("labels are not class ids, or are weighed class by class")
    classes = np.arange(600, dtype="float32") % 7
    axis = getattr(loss, "axis", -1)
    before = [0, 1] if loss.rank > 2 else [0]
    y_pred = np.expand_dims(classes / classes.sum(), before if axis == -1 else [0, 2])
    ids = np.full(np.delete(y_pred.shape, axis), 257, "int32")
    half, single = (rebuilt(loss, dtype=d) for d in ("bfloat16", "float32"))
    got, expected = (_program(x)(ids, y_pred) for x in (half, single))
    _close(got, expected, "loss of class id 257", rtol=0.01)
    if loss.labels == "ids":
        before, first = (_program(single)(i, y_pred) for i in (ids - 1, 0 * ids))
        # Of one sample a loss may say nothing.
        told = np.any(before != expected) or np.all(first == expected)
        ensure(told, "the loss takes class id 257 for 256; is it rounded?")


def check_shape_mismatch(loss, y_true, y_pred):
    """Labels that do not fit the predictions are an error with both shapes in it."""
    of_own_shape = loss.labels in (*IDS, *SEQUENCES, "memberships")
    wrong = y_true[:1].repeat(len(y_true) + 1, 0) if of_own_shape else y_true[..., :1]
    try:
        loss(wrong, y_pred)
    except ValueError as error:
        named = all(str(shape) in str(error) for shape in (wrong.shape, y_pred.shape))
        ensure(named, f"the error names not both shapes: {error}")
        return
    raise AssertionError(f"labels {wrong.shape} and predictions {y_pred.shape} went through")


def check_flat_labels(loss, y_true, y_pred):
    """Labels of shape (batch,) beside predictions of shape (batch, 1) are a column."""
    if loss.labels not in ("values", "binary") or width_of(loss) not in (None, 1) or loss.rank > 2:
        raise NotApplicable("labels and predictions do not have the same shape of any width")
    if takes(loss, "class_weights"):
        loss = rebuilt(loss, class_weights=None)
    y_true, y_pred = y_true.reshape(-1, 1), y_pred.reshape(-1, 1)
    try:
        got, expected = (_values(loss, y, y_pred) for y in (y_true[:, 0], y_true))
    except Exception as error:
        hint = "if there is always one axis more, `rank` of the class says how many there are"
        raise AssertionError(f"predictions of shape (batch, 1) are refused; {hint}") from error
    _close(got, expected, "values of flat labels")


def check_reductions(loss, y_true, y_pred):
    """`sum`, `mean` and `sum_over_batch_size` are what they say of the values."""
    values = _values(loss, y_true, y_pred)
    expected = {"sum": values.sum(), "mean": values.mean(), "sum_over_batch_size": values.mean()}
    for reduction, number in expected.items():
        _close(array(rebuilt(loss, reduction=reduction)(y_true, y_pred)), number, reduction)


def check_result_dtype(loss, y_true, y_pred):
    """The result has the loss's dtype, and a 16-bit mean does not overflow on the way."""
    weights = np.full(len(y_pred), 4e4, "float32")  # Of which no float16 is the sum.
    for dtype in ("float16", "bfloat16", "float32"):
        mean = rebuilt(loss, dtype=dtype, reduction="mean_with_sample_weight")
        result = mean(y_true, y_pred, weights)
        got = keras.backend.standardize_dtype(result.dtype)
        ensure(got == dtype, f"a loss of dtype {dtype} gave {got}")
        ensure(np.isfinite(array(result)), f"the weighted mean in {dtype} is {array(result)}")


def check_small_batches(loss, y_true, y_pred):
    """An empty batch costs 0 and has a gradient, and a single sample costs its own value."""
    empty, _ = _loss_and_gradient(loss, y_true[:0], y_pred[:0], through=at_once)
    ensure(np.shape(empty) == (), f"the loss of an empty batch has shape {np.shape(empty)}")
    _close(empty, 0, "loss of an empty batch")
    one = y_true[:1], y_pred[:1]
    value = _program(rebuilt(loss, reduction="none"))(*one).mean()
    _close(_program(rebuilt(loss, reduction="mean"))(*one), value, "one sample")


def check_compiled(loss, y_true, y_pred):
    """The loss compiles as one graph and computes the same there."""
    inputs = [ops.convert_to_tensor(y) for y in (y_true, y_pred)]
    got = array(compiled(lambda t, p: loss(t, p))(*inputs))
    _close(got, array(loss(y_true, y_pred)), "compiled loss")


def formula_arguments(loss, y_true):
    """What the names in a loss's formula stand for."""
    settings = {name: getattr(loss, name) for name in loss._settings}
    is_id = loss.labels in IDS + SEQUENCES
    return settings | {"y_true": np.asarray(y_true, None if is_id else "float64")}


def check_formula(loss, y_true, y_pred):
    """Values and gradient are those of the docstring's formula, to 8 units in the last place."""
    from keras_actloss.testing import oracle

    formula = oracle.needed_formula_of(type(loss))
    arguments = formula_arguments(loss, y_true)
    single = rebuilt(loss, reduction="none", dtype="float32")
    value, gradient = value_and_gradient(lambda p: single(y_true, p), y_pred)
    truth = oracle.evaluate(formula, y_pred=y_pred, **arguments)
    off = oracle.errors(value, truth, "float32").max(initial=0)
    ensure(off <= 8, f"the value is {off:.3g} units in the last place off the formula")
    truth = oracle.derivative(formula, "y_pred", y_pred, None, _couples(loss), **arguments)
    # One unit of error in a prediction is forgiven where the exact gradient crosses zero.
    scale = np.spacing(np.float32(1)) * np.abs(gradient).max(initial=0)
    miss = np.abs(gradient - truth)
    off = np.where(miss <= 8 * scale, 0, oracle.errors(gradient, truth, "float32")).max(initial=0)
    ensure(off <= 8, f"the gradient is {off:.3g} units in the last place off the formula")


LOSS_CHECKS = (
    check_values_per_sample,
    check_samples_are_independent,
    check_formula,
    check_gradient,
    check_differentiable,
    check_finite,
    check_finite_when_exact,
    check_sample_weight,
    check_weight_zero_removes,
    check_nothing_left,
    check_mask,
    check_mask_of_reduced_axis,
    check_weight_of_reduced_axis,
    check_ignore_class,
    check_integer_labels,
    check_shape_mismatch,
    check_flat_labels,
    check_reductions,
    check_result_dtype,
    check_small_batches,
    check_compiled,
    check_config_round_trip,
    check_saving,
    check_refuses_unknown_config,
    check_copy_and_pickle,
    check_no_hidden_weights,
)


def example_of(loss):
    """Inputs for `loss` when the user gives none."""
    return labeled_predictions(loss)
