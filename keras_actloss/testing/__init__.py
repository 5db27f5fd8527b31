"""Checks that hold a loss or an activation to what this package promises of its own.

`check_loss(MyLoss())` and `check_activation(MyLayer())` run every check and raise an
`AssertionError` that a person can read. Digits are held to the `Formula:` of the docstring: without
one nothing tells a loss that saturates. With pytest, one test per check:

    @pytest.mark.parametrize("check", keras_actloss.testing.LOSS_CHECKS)
    def test_my_loss(check):
        loss = MyLoss()
        check(loss, *keras_actloss.testing.example_inputs(loss))

`check_outputs(model)` finds, before a training, outputs that are not what the loss expects.
"""

from typing import Any

import keras
import numpy as np

from keras_actloss.testing import activation_checks, loss_checks, output_checks
from keras_actloss.testing.activation_checks import ACTIVATION_CHECKS
from keras_actloss.testing.loss_checks import LOSS_CHECKS
from keras_actloss.testing.report import NotApplicable, Outcome, Report, outcome_of, run, settle

__all__ = [
    "ACTIVATION_CHECKS",
    "LOSS_CHECKS",
    "NotApplicable",
    "Outcome",
    "Report",
    "check_activation",
    "check_loss",
    "check_outputs",
    "example_inputs",
]


def example_inputs(thing: Any) -> tuple[Any, ...]:
    """The inputs that a loss or an activation layer is checked with when none are given.

    Args:
        thing: A loss or an activation layer.

    Returns:
        `(y_true, y_pred)` for a loss, `(x,)` for a layer.

    Example:

    >>> y_true, y_pred = keras_actloss.testing.example_inputs(keras_actloss.losses.Huber())
    >>> y_pred.shape
    (6, 4)
    """
    if isinstance(thing, keras.losses.Loss):
        return loss_checks.example_of(thing)
    return (activation_checks.example_of(thing),)


def check_loss(
    loss: Any, y_true: Any = None, y_pred: Any = None, raise_on_failure: bool = True
) -> Report:
    """Run every check on a loss.

    Args:
        loss: An instance of a subclass of `keras_actloss.losses.Loss`, with the settings to check;
            take other than the defaults, so that a setting lost on saving shows.
        y_true: Labels to check with, a batch of at least 4. Defaults to `None`, labels of the kind
            that `loss.labels` names.
        y_pred: Predictions to check with, away from kinks. Defaults to `None`.
        raise_on_failure: Whether a failed check raises. Defaults to `True`.

    Returns:
        A `Report`; `print` it to read it.

    Raises:
        AssertionError: With the report, if a check fails.
        TypeError: If `loss` is not a loss of this package's base class, or labels or predictions
            are no array.
        ValueError: If there are labels without predictions, or predictions without labels.

    Example:

    >>> report = keras_actloss.testing.check_loss(keras_actloss.losses.Huber(delta=0.5))
    >>> report.failed
    ()
    """
    from keras_actloss.losses import Loss

    if not isinstance(loss, Loss):
        raise TypeError(
            f"check_loss: loss must be an instance of a keras_actloss.losses.Loss, got {loss!r}; "
            "hand a function to a class with `class MyLoss(Loss, fn=my_function)`"
        )
    if (y_true is None) != (y_pred is None):
        raise ValueError("check_loss: y_true and y_pred go together; give both, or neither")
    if y_true is None:
        y_true, y_pred = example_inputs(loss)
    inputs = _array("y_true", y_true), _array("y_pred", y_pred).astype("float32")
    return settle(run(repr(loss), LOSS_CHECKS, loss, *inputs), raise_on_failure)


def _array(name, value):
    try:
        array = np.asarray(value)
    except ValueError:  # Rows of several lengths.
        array = np.asarray(None)
    if array.dtype.kind in "OSU":
        raise TypeError(
            f"check_loss: {name} must be one array of numbers, got {value!r}; of a loss of several "
            "tensors check the parts, each as a loss of its own"
        )
    return array


def check_activation(layer: Any, x: Any = None, raise_on_failure: bool = True) -> Report:
    """Run every check on an activation layer and its function.

    Args:
        layer: An instance of a subclass of `keras_actloss.layers.ActivationLayer`, with the
            settings to check.
        x: Input to check with, of shape `(batch, n)`, away from kinks. Defaults to `None`.
        raise_on_failure: Whether a failed check raises. Defaults to `True`.

    Returns:
        A `Report`; `print` it to read it.

    Raises:
        AssertionError: With the report, if a check fails.
        TypeError: If `layer` is not a layer of this package's base class.

    Example:

    >>> report = keras_actloss.testing.check_activation(keras_actloss.layers.ELU(alpha=0.5))
    >>> report.failed
    ()
    """
    from keras_actloss.layers import ActivationLayer

    if not isinstance(layer, ActivationLayer):
        raise TypeError(
            "check_activation: layer must be an instance of a "
            f"keras_actloss.layers.ActivationLayer, got {layer!r}; hand a function to a class with "
            "`class MyLayer(ActivationLayer, fn=my_function)`"
        )
    x = np.asarray(example_inputs(layer)[0] if x is None else x, dtype="float32")
    return settle(run(repr(layer), ACTIVATION_CHECKS, layer, x), raise_on_failure)


def check_outputs(
    model: Any, loss: Any = None, x: Any = None, y: Any = None, raise_on_failure: bool = True
) -> Report:
    """Find outputs of a model that are not what its losses expect, before it is trained on them.

    A softmax or sigmoid before a loss of logits, or none before one of probabilities; two of them
    in a row; a softmax over one output; labels whose dtype, shape or range does not fit the loss or
    the number of outputs. All of these train, to a model that is worse than it could be. It knows
    the losses of this package and of Keras; it skips losses that it does not know.

    Args:
        model: A model. Of a subclassed one, and of layers of your own, it needs `x` to see them.
        loss: As `compile` takes it: a loss, or a dict or list of them. Defaults to `None`, the loss
            that the model was compiled with.
        x: Inputs, of which the first 64 are predicted. Defaults to `None`.
        y: Labels, as for `fit`. Defaults to `None`.
        raise_on_failure: Whether a failed check raises. Defaults to `True`.

    Returns:
        A `Report`; `print` it to read it.

    Raises:
        AssertionError: With the report, if an output does not fit.
        TypeError: If `model` is no model, or `x` is no array or structure of arrays.
        ValueError: If there is no loss, or `loss` or `y` names other outputs than there are.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> report = keras_actloss.testing.check_outputs(
    ...     model, keras_actloss.losses.SparseCategoricalCrossentropy(), raise_on_failure=False
    ... )
    >>> report.failed[0].message
    'it ends in no activation, but SparseCategoricalCrossentropy expects probabilities; set
    from_logits=True, or end the model in softmax'
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"check_outputs: model must be a keras.Model, got {model!r}")
    loss = model.loss if loss is None else loss
    if loss is None:
        raise ValueError("check_outputs: there is no loss; pass one, or compile the model with it")
    outcomes = []
    outputs = output_checks.outputs_of(model, loss, x, y)
    for output in outputs:
        expectations = [] if output.loss is None else output_checks.expected_by(output.loss)
        for expected in expectations:
            title = [output.name] if len(outputs) > 1 else []
            title += [expected.name] if len(expectations) > 1 else []
            outcomes += [
                outcome_of(check, output, expected, of="".join(f"{part}: " for part in title))
                for check in output_checks.OUTPUT_CHECKS
            ]
    return settle(Report(f"outputs of {model.name}", tuple(outcomes)), raise_on_failure)
