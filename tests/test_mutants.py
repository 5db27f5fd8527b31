"""Every check catches the disease it is for: a broken class that no other check minds.

A healthy class beside the broken ones shows that the checks do not cry wolf.
"""

import keras
import numpy as np
import pytest
from keras import ops

from keras_actloss import testing
from keras_actloss.core.tensors import fit, mean
from keras_actloss.layers import ActivationLayer, LearnedActivation
from keras_actloss.losses import Loss
from keras_actloss.testing.backend import compiles

pytestmark = pytest.mark.slow

registered = keras.saving.register_keras_serializable("mutants")


def _squared(y_true, y_pred):
    return ops.mean(ops.square(y_pred - y_true), axis=-1)


@registered
class HealthyLoss(Loss):
    """A loss without a fault.

    Formula:

        loss = scale * mean((y_true - y_pred) ** 2, axis=-1)
    """

    def __init__(self, scale=3.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, y_true, y_pred):
        return self.scale * _squared(y_true, y_pred)


@registered
class ValuesPerSample(HealthyLoss):
    """Averages over the first axis, so that there is a value for each output, not each sample."""

    couples_samples = True

    def call(self, y_true, y_pred):
        return self.scale * ops.mean(ops.square(y_pred - y_true))


@registered
class SamplesAreIndependent(HealthyLoss):
    """A sample's value depends on its neighbor's."""

    def call(self, y_true, y_pred):
        values = super().call(y_true, y_pred)
        return values + 0.1 * (ops.roll(values, 1, axis=0) - values)


@registered
class Formula(HealthyLoss):
    """The formula says something else.

    Formula:

        loss = 2 * scale * mean((y_true - y_pred) ** 2, axis=-1)
    """


@registered
class Gradient(HealthyLoss):
    """Half of the gradient is stopped.

    No formula.
    """

    def call(self, y_true, y_pred):
        error = y_pred - y_true
        return self.scale * ops.mean(error * ops.stop_gradient(error), axis=-1)


@registered
class Differentiable(HealthyLoss):
    """Rounds the prediction.

    No formula.
    """

    def call(self, y_true, y_pred):
        return super().call(y_true, ops.round(y_pred))


@registered
class Finite(HealthyLoss):
    """Overflows.

    No formula.
    """

    def call(self, y_true, y_pred):
        return self.scale * ops.log(ops.mean(ops.exp(ops.abs(y_pred - y_true)), axis=-1))


@registered
class FiniteWhenExact(HealthyLoss):
    """The root of a mean square has no slope at 0.

    No formula.
    """

    def call(self, y_true, y_pred):
        return self.scale * ops.sqrt(_squared(y_true, y_pred))


@registered
class SampleWeight(HealthyLoss):
    """Only asks whether a weight is 0."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None:
            sample_weight = ops.cast(ops.convert_to_tensor(sample_weight) != 0, "float32")
        return super().__call__(y_true, y_pred, sample_weight)


@registered
class WeightZeroRemoves(HealthyLoss):
    """Leaves it to the product with 0."""

    def _remove(self, y_true, y_pred, sample_weight, mask):
        return y_true, y_pred


@registered
class NothingLeft(HealthyLoss):
    """Divides by the sum of the weights, also when it is 0."""

    def _reduce(self, values, weight, kept):
        if self.reduction == "mean_with_sample_weight" and weight is not None:
            weight = ops.reshape(weight, values.shape)
            return ops.sum(values * weight) / ops.sum(weight)
        return super()._reduce(values, weight, kept)


def _without_mask(y_pred):
    return ops.convert_to_tensor(y_pred) + 0


@registered
class Mask(HealthyLoss):
    """Loses the mask on the way."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        mask = getattr(y_pred, "_keras_mask", None)
        if mask is not None and len(mask.shape) == 1:
            y_pred = _without_mask(y_pred)
        return super().__call__(y_true, y_pred, sample_weight)


@registered
class MaskOfReducedAxis(HealthyLoss):
    """Takes a mask and does nothing with it."""

    def call(self, y_true, y_pred, mask=None):
        return super().call(y_true, y_pred)


@registered
class WeightOfReducedAxis(HealthyLoss):
    """Takes the mean of what entries weigh."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None and np.ndim(sample_weight) > 1:
            sample_weight = np.mean(sample_weight, axis=-1)
        return super().__call__(y_true, y_pred, sample_weight)


@registered
class IgnoreClass(Loss):
    """Counts ignored labels among those it divides by."""

    labels = "ids"

    def __init__(self, ignore_class=None, **kwargs):
        super().__init__(**kwargs)
        self.ignore_class = ignore_class

    def call(self, y_true, y_pred):
        label = ops.one_hot(y_true, y_pred.shape[-1], dtype=y_pred.dtype)
        values = ops.sum(ops.square(y_pred - label), axis=-1)
        return values if self.ignore_class is None else ops.where(y_true < 0, 0.0, values)

    def _not_ignored(self, y_true):
        return None


@registered
class IntegerLabels(Loss):
    """Takes class ids through the dtype of the loss."""

    labels = "ids"

    def __call__(self, y_true, y_pred, sample_weight=None):
        y_true = ops.cast(ops.cast(y_true, self.dtype), "int32")
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        label = ops.one_hot(y_true, y_pred.shape[-1], dtype=y_pred.dtype)
        odd = ops.cast(y_true % 2, y_pred.dtype)
        return ops.sum(ops.square(y_pred - label), axis=-1) * (1 + odd)


@registered
class ShapeMismatch(HealthyLoss):
    """Broadcasts labels."""

    def _prepare(self, y_true, y_pred):
        if len(y_true.shape) == len(y_pred.shape):
            return ops.convert_to_tensor(y_true, dtype=y_pred.dtype), y_pred
        return super()._prepare(y_true, y_pred)


@registered
class FlatLabels(HealthyLoss):
    """Broadcasts (batch,) against (batch, 1)."""

    def _prepare(self, y_true, y_pred):
        if len(y_true.shape) < len(y_pred.shape):
            return ops.convert_to_tensor(y_true, dtype=y_pred.dtype), y_pred
        return super()._prepare(y_true, y_pred)


@registered
class Reductions(HealthyLoss):
    """`mean` counts twice."""

    def _reduce(self, values, weight, kept):
        twice = 2 if self.reduction == "mean" and weight is None and len(values) > 1 else 1
        return twice * super()._reduce(values, weight, kept)


@registered
class ResultDtype(HealthyLoss):
    """Always float32."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        return ops.cast(super().__call__(y_true, y_pred, sample_weight), "float32")


@registered
class Overflow(HealthyLoss):
    """Adds up in its own dtype."""

    def _reduce(self, values, weight, kept):
        weight = None if weight is None else ops.cast(weight, self.dtype)
        return super()._reduce(ops.cast(values, self.dtype), weight, kept)


@registered
class SmallBatches(HealthyLoss):
    """Divides by the size of the batch."""

    def call(self, y_true, y_pred):
        return super().call(y_true, y_pred) * (y_true.shape[0] // y_pred.shape[0])


@registered
class Compiled(HealthyLoss):
    """Branches in Python on a value.

    No formula.
    """

    def call(self, y_true, y_pred):
        if len(y_pred) and float(ops.convert_to_numpy(ops.stop_gradient(y_pred)).max()) > 1e30:
            return super().call(y_true, y_pred) * 0
        return super().call(y_true, y_pred)


@registered
class ConfigRoundTrip(HealthyLoss):
    """Forgets its setting on save."""

    def get_config(self):
        return {k: v for k, v in super().get_config().items() if k != "dtype"}


class Saving(HealthyLoss):
    """Is not registered."""


@registered
class RefusesUnknownConfig(HealthyLoss):
    """Takes what it knows from a config and drops the rest."""

    @classmethod
    def from_config(cls, config):
        return super().from_config({k: v for k, v in config.items() if k != "no_such_setting"})


@registered
class CopyAndPickle(HealthyLoss):
    """A copy falls back to the default."""

    def __deepcopy__(self, memo):
        return type(self)(scale=2.0)


@registered
class NoHiddenWeights(HealthyLoss):
    """Holds a temperature that no optimizer will find."""

    def __init__(self, scale=3.0, **kwargs):
        super().__init__(scale, **kwargs)
        self.temperature = _VARIABLE


_VARIABLE = keras.Variable(1.0)


@registered
class HealthyCoupling(HealthyLoss):
    """The errors beside their mean over the batch.

    No formula.
    """

    couples_samples = True

    def call(self, y_true, y_pred, mask=None):
        error = y_pred - y_true
        kept = ops.ones_like(error) if mask is None else ops.cast(fit(mask, error.shape), "float32")
        beside = error - ops.sum(kept * error, axis=0) / ops.maximum(ops.sum(kept, axis=0), 1)
        return self.scale * mean(ops.square(beside), mask)


@registered
class Coupling(HealthyCoupling):
    """Leaves those of weight 0 in the mean."""

    def call(self, y_true, y_pred):
        return super().call(y_true, y_pred)


@registered
class HiddenCoupling(HealthyCoupling):
    """Does not say that it couples samples."""

    couples_samples = False


def curve(x, scale=3.0):
    """A saturating curve.

    Formula:

        y = scale * x / (1 + abs(x))
    """
    x = ops.convert_to_tensor(x)
    x = x if "float" in keras.backend.standardize_dtype(x.dtype) else ops.cast(x, "float32")
    return scale * (x / (1 + ops.abs(x)))


@registered
class HealthyActivation(ActivationLayer, fn=curve):
    """A layer without a fault."""


def _function(change, formula=""):
    """A function of its own whose maths is `change` of an input and the healthy result."""

    def function(x, scale=3.0):
        return change(x, curve(x, scale))

    function.__doc__ = formula
    return function


@registered
class Ranks(ActivationLayer, fn=_function(lambda x, y: y[..., :])):
    """Needs an axis."""


@registered
class Dtypes(HealthyActivation):
    """Gives float32 for bfloat16 policies of one precision."""

    def call(self, inputs):
        result = super().call(inputs)
        return ops.cast(result, "float32") if self.dtype_policy.name == "bfloat16" else result


@registered
class MixedPrecision(HealthyActivation):
    """Gives float32 under a mixed policy."""

    def call(self, inputs):
        result = super().call(inputs)
        return ops.cast(result, "float32") if "mixed" in self.dtype_policy.name else result


@registered
class SamplesAreIndependentOfActivation(
    ActivationLayer, fn=_function(lambda x, y: y - 0.1 * ops.mean(y))
):
    """Takes the mean over the batch off."""


@registered
class LayerEqualsFunction(ActivationLayer, fn=_function(lambda x, y: y)):
    """Does not pass its setting on."""

    def call(self, inputs):
        return self.fn(inputs, scale=2.0)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, self.compute_dtype)


@registered
class FormulaOfActivation(
    ActivationLayer,
    fn=_function(lambda x, y: y, "A curve.\n\nFormula:\n\n    y = 2 * scale * x / (1 + abs(x))"),
):
    """The formula says something else."""


@registered
class WeightsLearn(LearnedActivation, fn=curve):
    """Its weight gets no gradient."""

    def __init__(self, scale_initializer=3.0, **kwargs):
        super().__init__(**kwargs)
        self.learn("scale", scale_initializer)

    def call(self, inputs):
        scale = ops.stop_gradient(self.fn_settings()["scale"])
        return curve(inputs, ops.cast(scale, curve(inputs).dtype))


@registered
class GradientOfActivation(
    ActivationLayer, fn=_function(lambda x, y: (y + ops.stop_gradient(y)) / 2)
):
    """Half of the gradient is stopped."""


@registered
class FiniteActivation(
    ActivationLayer, fn=_function(lambda x, y: y + 0 * ops.square(ops.cast(x, y.dtype)))
):
    """Squares what may be large."""


@registered
class NanStays(ActivationLayer, fn=_function(lambda x, y: ops.where(y == y, y, 0.0))):
    """Turns NaN into a number."""


@registered
class IntegerInput(HealthyActivation):
    """Rounds halves of integers."""

    @staticmethod
    def fn(x, scale=3.0):
        integers = not hasattr(x, "shape") or "int" in str(x.dtype)
        return curve(x, scale) + (1.0 if integers else 0.0)


@registered
class MaskIsKept(HealthyActivation):
    """Stops the mask."""

    def compute_mask(self, inputs, previous_mask=None):
        return None


@registered
class ShapeIsKnown(HealthyActivation):
    """Knows only the shapes that are wholly known."""

    def compute_output_shape(self, input_shape):
        return tuple(1 if size is None else size for size in input_shape)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, self.compute_dtype)


def _not_symbolic(x, scale=3.0):
    if isinstance(x, keras.KerasTensor):
        raise TypeError("needs numbers")
    return curve(x, scale)


@registered
class FunctionOnSymbolicInput(ActivationLayer, fn=_not_symbolic):
    """Its function only takes numbers."""


@registered
class CompiledActivation(HealthyActivation):
    """Looks at its input in Python."""

    def call(self, inputs):
        if isinstance(inputs, keras.KerasTensor) or 0 in inputs.shape:
            return super().call(inputs)
        largest = ops.convert_to_numpy(ops.stop_gradient(ops.cast(inputs, "float32"))).max()
        return super().call(inputs) * (1 if largest < np.inf or np.isnan(largest) else 0)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, self.compute_dtype)


@registered
class ConfigRoundTripOfActivation(HealthyActivation):
    """Forgets its name on save."""

    def get_config(self):
        return {k: v for k, v in super().get_config().items() if k != "name"}


class SavingActivation(HealthyActivation):
    """Is not registered."""


@registered
class RefusesUnknownConfigOfActivation(HealthyActivation):
    """Takes what it knows from a config and drops the rest."""

    @classmethod
    def from_config(cls, config):
        return super().from_config({k: v for k, v in config.items() if k != "no_such_setting"})


@registered
class CopyOfActivation(HealthyActivation):
    """A copy falls back to the default."""

    def __deepcopy__(self, memo):
        return type(self)(scale=2.0)


def _mutants(checks):
    """For each check the class of its name: check_saving is broken by Saving."""
    named = {}
    for check in checks:
        name = "".join(word.capitalize() for word in check.__name__.split("_")[1:])
        activation = checks is testing.ACTIVATION_CHECKS
        candidates = [f"{name}OfActivation", f"{name}Activation", name] if activation else [name]
        named[check.__name__] = next(globals()[c] for c in candidates if c in globals())
    return list(named.items())


# Diseases that show elsewhere too: what has no value a sample cannot be weighed, pickles go through
# Keras's registry, on JAX some checks compile what they look at.
ALSO_LOSS = {
    "check_values_per_sample": {
        "check_sample_weight",
        "check_small_batches",
        "check_nothing_left",
        "check_result_dtype",
        "check_weight_zero_removes",
        "check_mask",
    },
    "check_samples_are_independent": {"check_mask", "check_weight_zero_removes"},
    "check_saving": {"check_copy_and_pickle"},
}
ALSO_ACTIVATION = {"check_saving": {"check_copy"}}
if keras.backend.backend() == "jax":
    ALSO_ACTIVATION["check_compiled"] = {"check_samples_are_independent"}
    ALSO_LOSS["check_compiled"] = {
        "check_mask",
        "check_samples_are_independent",
        "check_small_batches",
    }


def _failed(report):
    return {outcome.check for outcome in report.failed}


@pytest.mark.parametrize(("check", "mutant"), _mutants(testing.LOSS_CHECKS))
def test_only_its_check_catches_a_broken_loss(check, mutant):
    if check == "check_compiled" and not compiles():
        pytest.skip("this Keras does not compile here")
    report = testing.check_loss(mutant(), raise_on_failure=False)
    assert _failed(report) == {check} | ALSO_LOSS.get(check, set()), str(report)


@registered
class RoundedLabels(IntegerLabels):
    """Takes class ids through 16 bit whatever its dtype."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        y_true = ops.cast(ops.cast(y_true, "bfloat16"), "int32")
        return Loss.__call__(self, y_true, y_pred, sample_weight)


@registered
class HiddenLayer(HealthyLoss):
    """Has a list of layers, of which one may be frozen."""

    def __init__(self, trainable=True, **kwargs):
        super().__init__(**kwargs)
        self.trainable = trainable
        self.parts = [None, keras.layers.Dense(2, trainable=trainable)]


@pytest.mark.parametrize(
    ("loss", "check"),
    [(RoundedLabels(), "check_integer_labels"), (HiddenLayer(), "check_no_hidden_weights")],
)
def test_what_hides_well_is_found(loss, check):
    report = testing.check_loss(loss, raise_on_failure=False)
    assert check in _failed(report), str(report)


def test_a_frozen_layer_may_be_part_of_a_loss():
    report = testing.check_loss(HiddenLayer(trainable=False), raise_on_failure=False)
    assert "check_no_hidden_weights" not in _failed(report), str(report)


@registered
class Images(HealthyLoss):
    """The healthy loss of images.

    Formula:

        loss = scale * mean((y_true - y_pred) ** 2, axis=(1, 2, 3))
    """

    rank = 4

    def call(self, y_true, y_pred):
        return self.scale * ops.mean(ops.square(y_pred - y_true), axis=(1, 2, 3))


@registered
def unit_length(x):
    """Vectors of length 1, whose slope along themselves is 0."""
    x = ops.convert_to_tensor(x)
    return x / ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True))


@registered
class UnitLength(ActivationLayer, fn=unit_length):
    """A layer that does not scale with its input."""


def test_a_gradient_across_the_input_is_right():
    report = testing.check_activation(UnitLength(), raise_on_failure=False)
    assert "check_gradient" not in _failed(report), str(report)


def test_a_sum_in_16_bit_is_caught():
    report = testing.check_loss(Overflow(), raise_on_failure=False)
    assert _failed(report) == {"check_result_dtype"}, str(report)


@pytest.mark.parametrize(("check", "mutant"), _mutants(testing.ACTIVATION_CHECKS))
def test_only_its_check_catches_a_broken_activation(check, mutant):
    if check == "check_compiled" and not compiles():
        pytest.skip("this Keras does not compile here")
    report = testing.check_activation(mutant(), raise_on_failure=False)
    assert _failed(report) == {check} | ALSO_ACTIVATION.get(check, set()), str(report)


@pytest.mark.parametrize(
    "report",
    [
        lambda: testing.check_loss(Formula(), raise_on_failure=False),
        lambda: testing.check_activation(FormulaOfActivation(), raise_on_failure=False),
    ],
    ids=["loss", "activation"],
)
def test_a_wrong_formula_is_told_by_its_numbers(report):
    (failure,) = report().failed
    assert "units in the last place off the formula" in failure.message


@pytest.mark.parametrize(
    ("mutant", "checks"),
    [
        (Coupling, {"check_mask", "check_weight_zero_removes"}),
        (HiddenCoupling, {"check_samples_are_independent", "check_weight_zero_removes"}),
    ],
)
def test_broken_losses_of_a_batch(mutant, checks):
    report = testing.check_loss(mutant(), raise_on_failure=False)
    assert _failed(report) == checks, str(report)


def test_the_healthy_ones_pass():
    assert not testing.check_loss(HealthyLoss(scale=2.0)).failed
    assert not testing.check_loss(HealthyCoupling(scale=2.0)).failed
    assert not testing.check_loss(Images(scale=2.0)).failed
    assert not testing.check_activation(HealthyActivation(scale=2.0)).failed


def test_a_failure_is_raised_with_what_to_do():
    with pytest.raises(AssertionError, match="rounding, comparing and argmax have no slope"):
        testing.check_loss(Differentiable())
