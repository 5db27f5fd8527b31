"""Checks that hold a loss or an activation to what this package promises of its own.

`check_loss(MyLoss())` and `check_activation(MyLayer())` run every check and raise an
`AssertionError` that a person can read. With pytest, a test a check:

    @pytest.mark.parametrize("check", keras_actloss.testing.LOSS_CHECKS)
    def test_my_loss(check):
        loss = MyLoss()
        check(loss, *keras_actloss.testing.example_inputs(loss))
"""

from typing import Any

import keras
import numpy as np

from keras_actloss.testing import activation_checks, loss_checks
from keras_actloss.testing.activation_checks import ACTIVATION_CHECKS
from keras_actloss.testing.loss_checks import LOSS_CHECKS
from keras_actloss.testing.report import NotApplicable, Outcome, Report, run, settle

__all__ = [
    "ACTIVATION_CHECKS",
    "LOSS_CHECKS",
    "NotApplicable",
    "Outcome",
    "Report",
    "check_activation",
    "check_loss",
    "example_inputs",
]


def example_inputs(thing) -> tuple[Any, ...]:
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


def check_loss(loss, y_true=None, y_pred=None, raise_on_failure=True):
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
        TypeError: If `loss` is not a loss of this package's base class.

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
    if y_true is None or y_pred is None:
        y_true, y_pred = example_inputs(loss)
    inputs = (np.asarray(y_true), np.asarray(y_pred, dtype="float32"))
    return settle(run(repr(loss), LOSS_CHECKS, loss, *inputs), raise_on_failure)


def check_activation(layer, x=None, raise_on_failure=True):
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
