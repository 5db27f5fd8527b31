"""`check_outputs` finds outputs that a loss does not go with, and leaves the others in peace."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_actloss import activations, layers, losses
from keras_actloss.testing import check_outputs

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
IDS = (np.arange(40) % 3).astype("int32")
ONE_HOT = np.eye(3, dtype="float32")[IDS]
BINARY = (IDS > 0).astype("int32")


class Subclassed(keras.Model):
    def __init__(self, *parts):
        super().__init__()
        self.parts = list(parts)

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return x


def _functional(*parts):
    x = inputs = keras.Input((4,))
    for part in parts:
        x = part(x)
    return keras.Model(inputs, x)


KINDS = {
    "functional": _functional,
    "sequential": lambda *parts: keras.Sequential(
        [keras.Input((4,)), *(p if isinstance(p, keras.Layer) else layers_of(p) for p in parts)]
    ),
    "subclassed": Subclassed,
}


def layers_of(function):
    """A function as a layer, which says nothing of what it does."""
    return keras.layers.Lambda(function)


def dense(units, activation=None):
    return lambda: (keras.layers.Dense(units, activation=activation),)


def then(units, part):
    return lambda: (keras.layers.Dense(units), part())


SOFTMAXES = {
    "by name": dense(3, "softmax"),
    "our function": dense(3, activations.softmax),
    "our layer": then(3, layers.Softmax),
    "Keras's layer": then(3, keras.layers.Softmax),
    "layer in a layer": dense(3, layers.Softmax()),
    "sparsemax": then(3, layers.Sparsemax),
    "operation": then(3, lambda: ops.softmax),
    "dropout after it": lambda: (
        keras.layers.Dense(3, activation="softmax"),
        keras.layers.Dropout(0.5),
    ),
    "activation layer": then(3, lambda: keras.layers.Activation("softmax")),
}
SIGMOIDS = {
    "by name": dense(1, "sigmoid"),
    "our layer": then(1, layers.Sigmoid),
    "reshaped": lambda: (
        keras.layers.Dense(1, activation="sigmoid"),
        keras.layers.Reshape((1,)),
    ),
}
SCORES = {
    "no activation": dense(3),
    "linear": dense(3, "linear"),
    "linear layer": then(3, layers.Linear),
    "a layer of no activation": then(3, lambda: keras.layers.Activation("linear")),
}


EXCLUSIVE = [losses.CategoricalCrossentropy, keras.losses.SparseCategoricalCrossentropy]


def _labels(cls):
    return IDS if "Sparse" in cls.__name__ else ONE_HOT


def _failure(*arguments, **more):
    with pytest.raises(AssertionError) as error:
        check_outputs(*arguments, **more)
    return str(error.value)


@pytest.mark.parametrize("cls", EXCLUSIVE, ids=lambda c: c.__name__)
@pytest.mark.parametrize("output", SOFTMAXES.values(), ids=SOFTMAXES)
@pytest.mark.parametrize("kind", KINDS)
def test_softmax(kind, output, cls):
    model, y = KINDS[kind](*output()), _labels(cls)
    assert not check_outputs(model, cls(), X, y).failed
    found = _failure(model, cls(from_logits=True), X, y)
    assert "from_logits=True" in found and "max" in found
    # Without data, what the layers say; of a subclassed model and a Lambda that is nothing.
    check_outputs(model, cls())
    if kind == "functional":
        _failure(model, cls(from_logits=True))


@pytest.mark.parametrize(
    "cls", [losses.BinaryCrossentropy, keras.losses.BinaryCrossentropy], ids=["ours", "Keras's"]
)
@pytest.mark.parametrize("output", SIGMOIDS.values(), ids=SIGMOIDS)
@pytest.mark.parametrize("kind", KINDS)
def test_sigmoid(kind, output, cls):
    model = KINDS[kind](*output())
    for y in (BINARY, BINARY[:, None], BINARY * 0.9):
        assert not check_outputs(model, cls(), X, y).failed
    if kind == "subclassed" and len(model.parts) > 1 and "Reshape" in str(model.parts[1]):
        return  # What a layer of a subclassed model hides, one number cannot tell.
    assert "leave sigmoid out" in _failure(model, cls(from_logits=True), X, BINARY).lower()


@pytest.mark.parametrize("cls", EXCLUSIVE, ids=lambda c: c.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_sigmoid_before_exclusive_classes(kind, cls):
    model = KINDS[kind](keras.layers.Dense(3, activation="sigmoid"))
    found = _failure(model, cls(), X, _labels(cls))
    assert "sigmoid" in found and "end the model in softmax" in found


@pytest.mark.parametrize("cls", EXCLUSIVE, ids=lambda c: c.__name__)
@pytest.mark.parametrize("output", SCORES.values(), ids=SCORES)
@pytest.mark.parametrize("kind", KINDS)
def test_scores(kind, output, cls):
    model, y = KINDS[kind](*output()), _labels(cls)
    assert not check_outputs(model, cls(from_logits=True), X, y).failed
    found = _failure(model, cls(), X, y)
    assert "from_logits=True" in found
    if kind != "subclassed":
        assert "no activation" in _failure(model, cls())


HEALTHY = {
    "regression": (dense(2), losses.MeanSquaredError(), X[:, :2]),
    "regression by name": (dense(1), "mse", X[:, 0]),
    "relu of a count": (dense(1, "softplus"), keras.losses.Poisson(), IDS),
    "sigmoid of a share": (dense(1, "sigmoid"), keras.losses.MeanSquaredError(), BINARY),
    "hinge": (dense(1), losses.Hinge(), BINARY),
    "tanh and hinge": (dense(1, "tanh"), keras.losses.Hinge(), BINARY * 2 - 1),
    "class ids": (dense(3), losses.MultiMargin(), IDS),
    "more units than labels": (dense(9, "softmax"), "sparse_categorical_crossentropy", IDS),
    "ids as floats, which Keras takes": (
        dense(3, "softmax"),
        keras.losses.SparseCategoricalCrossentropy(),
        IDS.astype("float32"),
    ),
    "ids as a column": (dense(3, "softmax"), losses.sparse_categorical_crossentropy, IDS[:, None]),
    "ignored labels": (
        dense(3),
        losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1),
        np.where(IDS == 0, -1, IDS),
    ),
    "log_softmax is logits": (
        dense(3, "log_softmax"),
        losses.CategoricalCrossentropy(from_logits=True),
        ONE_HOT,
    ),
    "soft labels": (dense(3, "softmax"), "kl_divergence", ONE_HOT * 0.8 + 0.1),
    "a function of ours": (
        dense(3),
        functools.partial(losses.categorical_crossentropy, from_logits=True),
        ONE_HOT,
    ),
    "many labels": (dense(3, "sigmoid"), "binary_crossentropy", 1 - ONE_HOT),
    "a loss of nobody": (dense(3), lambda y_true, y_pred: ops.sum(y_pred, -1), IDS),
    "a pair": (dense(2), losses.MarginRanking(), BINARY),
    "softmax and Huber": (dense(3, "softmax"), losses.Huber(), ONE_HOT),
    "softmax and a margin": (dense(3, "softmax"), losses.MultiMargin(), IDS),
    "cosines": (
        dense(3, "tanh"),
        losses.LabelDistributionAwareMargin(class_counts=[14, 13, 13]),
        IDS,
    ),
    "tanh and a soft margin": (dense(1, "tanh"), losses.SoftMargin(), BINARY * 2 - 1),
    "levels of one score": (lambda: (layers.OrdinalDense(3),), losses.CORAL(), IDS),
    "log-probabilities": (dense(3, "log_softmax"), losses.SparseCategoricalNLL(), IDS),
    "log-probabilities, our layer": (then(3, layers.LogSoftmax), losses.categorical_nll, ONE_HOT),
    "a softmax of scaled shares": (
        lambda: (
            keras.layers.Dense(3, activation="softmax"),
            keras.layers.Rescaling(9.0),
            keras.layers.Softmax(),
        ),
        losses.SparseCategoricalCrossentropy(),
        IDS,
    ),
    "on several devices": (
        dense(3),
        losses.AcrossReplicas(losses.SparseCategoricalCrossentropy(from_logits=True)),
        IDS,
    ),
    "a sum": (
        dense(3),
        losses.WeightedSum(
            [losses.SparseCategoricalCrossentropy(from_logits=True), losses.MultiMargin()]
        ),
        IDS,
    ),
}


@pytest.mark.parametrize(("output", "loss", "y"), HEALTHY.values(), ids=HEALTHY)
@pytest.mark.parametrize("kind", KINDS)
def test_no_false_alarm(kind, output, loss, y):
    model = KINDS[kind](*output())
    for given in ({}, {"x": X}, {"x": X, "y": y}, {"y": y}):
        assert not check_outputs(model, loss, **given).failed


SCE, BCE = losses.SparseCategoricalCrossentropy, losses.BinaryCrossentropy

SICK = {
    "softmax of one": (dense(1, "softmax"), BCE(), BINARY, "always 1"),
    "softmax of one, Keras's loss": (dense(1, "softmax"), "binary_crossentropy", None, "always 1"),
    "one class": (dense(1), SCE(from_logits=True), BINARY, "two outputs"),
    "one class, Keras's": (dense(1, "sigmoid"), "categorical_crossentropy", None, "two outputs"),
    "relu for probabilities": (dense(3, "relu"), SCE(), IDS, "end the model in softmax"),
    "too few units": (dense(2), SCE(from_logits=True), IDS, "3 units"),
    "too few units, Keras's": (
        dense(2, "softmax"),
        "sparse_categorical_crossentropy",
        IDS,
        "labels run from 0 to 2",
    ),
    "ids from 1": (dense(3), SCE(from_logits=True), IDS + 1, "run from 1 to 3"),
    "padding": (dense(3), SCE(from_logits=True), IDS - 1, "ignore_class"),
    "float ids": (dense(3), SCE(from_logits=True), IDS.astype("float32"), "astype"),
    "float ids, Keras's": (
        dense(3, "softmax"),
        "sparse_categorical_crossentropy",
        IDS + 0.5,
        "not whole",
    ),
    "one-hot for ids": (dense(3), SCE(from_logits=True), ONE_HOT, "argmax"),
    "ids for one-hot": (dense(3, "softmax"), "categorical_crossentropy", IDS, "'sparse'"),
    "three classes for one sigmoid": (dense(1, "sigmoid"), BCE(), IDS, "an output for each"),
    "signs for a sigmoid": (dense(1, "sigmoid"), BCE(), 2 * BINARY - 1, r"(y + 1) / 2"),
    "units for nothing": (dense(2, "sigmoid"), "binary_crossentropy", BINARY, "as many units"),
    "names": (dense(3), SCE(from_logits=True), IDS.astype(str), "StringLookup"),
    "names, Keras's": (dense(1), "mse", BINARY.astype(str), "StringLookup"),
    "a number for three": (dense(3), "mse", X[:, :1], "as many units"),
    "scores for a divergence": (dense(3), "kl_divergence", ONE_HOT, "end the model in sigmoid"),
    "softmax for its logarithm": (
        dense(3, "softmax"),
        losses.SparseCategoricalNLL(),
        IDS,
        "end the model in log_softmax",
    ),
    "scores for log-probabilities": (
        dense(3),
        losses.CategoricalNLL(),
        ONE_HOT,
        "end the model in log_softmax",
    ),
    "on several devices": (
        dense(3, "softmax"),
        losses.AcrossReplicas(SCE(from_logits=True)),
        IDS,
        "from_logits=True",
    ),
    "a part of a sum": (
        dense(3, "softmax"),
        losses.WeightedSum([SCE(), losses.CategoricalCrossentropy(from_logits=True)]),
        None,
        "FAIL CategoricalCrossentropy: logits",
    ),
}


TAKE_LOGITS = [
    losses.CategoricalBiTemperedLogistic(),
    losses.CategoricalEntmax(),
    losses.CategoricalLabelDistributionAwareMargin(class_counts=[14, 13, 13]),
    losses.CategoricalSparsemax(),
    losses.CORAL(),
    losses.CORN(),
    losses.DistributionFocal(),
    losses.HLGauss(low=0.0, high=1.0),
    losses.LabelDistributionAwareMargin(class_counts=[14, 13, 13]),
    losses.LovaszHinge(),
    losses.MultilabelSoftMargin(),
    losses.SoftMargin(),
    losses.SparseCategoricalBiTemperedLogistic(),
    losses.SparseCategoricalEntmax(),
    losses.SparseCategoricalSparsemax(),
    losses.TwoHot(low=0.0, high=1.0),
]


@pytest.mark.parametrize("loss", TAKE_LOGITS, ids=lambda loss: type(loss).__name__)
def test_losses_of_logits_only(loss):
    for activation in ("softmax", "sigmoid"):
        model = _functional(*dense(3, activation)())
        for given in (loss, losses.AcrossReplicas(loss)):
            found = _failure(model, given)
            assert f"{type(loss).__name__} takes logits; leave {activation} out" in found
            assert "from_logits" not in found
        assert "takes logits" in _failure(model, functools.partial(loss.fn, **loss.fn_settings()))
        assert "takes logits" in _failure(Subclassed(*dense(3, activation)()), loss, X)
    for activation in (None, "tanh", "log_softmax"):
        assert not check_outputs(_functional(*dense(3, activation)()), loss, X).failed


TWICE = {
    "layer and activation": lambda: (
        keras.layers.Dense(3, activation="softmax"),
        keras.layers.Activation("softmax"),
    ),
    "two layers": lambda: (keras.layers.Dense(3), layers.Softmax(), keras.layers.Softmax()),
    "dropout between": lambda: (
        keras.layers.Dense(3, activation="softmax"),
        keras.layers.Dropout(0.5),
        layers.Softmax(),
    ),
    "another of the kind": lambda: (
        keras.layers.Dense(3, activation="softmax"),
        layers.Sparsemax(),
    ),
}


@pytest.mark.parametrize("parts", TWICE.values(), ids=TWICE)
@pytest.mark.parametrize("cls", EXCLUSIVE, ids=lambda c: c.__name__)
def test_softmax_of_a_softmax(cls, parts):
    model, y = _functional(*parts()), _labels(cls)
    for given in ({}, {"x": X}, {"x": X, "y": y}):
        assert "of probabilities, not of scores" in _failure(model, cls(), **given)
    if not isinstance(model.layers[-1], layers.Sparsemax):  # It leaves no logits on its result.
        assert "of probabilities" in _failure(Subclassed(*parts()), cls(), X)


def test_a_layer_that_is_called_twice():
    inputs = keras.Input((4,))
    softmax, first = layers.Softmax(), keras.layers.Dense(3, activation="softmax")(inputs)
    second = softmax(keras.layers.Dense(3)(softmax(first)))
    assert not check_outputs(keras.Model(inputs, second), SCE(), X).failed
    assert "of probabilities" in _failure(keras.Model(inputs, softmax(second)), SCE())


@pytest.mark.filterwarnings("ignore:(?s).*softmax over axis:UserWarning")
@pytest.mark.parametrize(("output", "loss", "y", "message"), SICK.values(), ids=SICK)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_found(kind, output, loss, y, message):
    model = KINDS[kind](*output())
    assert message in _failure(model, loss, X, y)
    if kind != "subclassed":
        assert message in _failure(model, loss, y=y)


def test_predictions_that_are_not_numbers():
    model = _functional(*dense(1)())
    assert "not finite" in _failure(model, "mse", np.full((4, 4), np.nan, "float32"))


def test_the_loss_that_a_model_was_compiled_with():
    model = _functional(*dense(3)())
    with pytest.raises(ValueError, match="there is no loss"):
        check_outputs(model)
    model.compile(loss=SCE())
    assert "from_logits=True" in _failure(model)
    report = check_outputs(model, raise_on_failure=False)
    assert len(report.failed) == 1 and "FAIL probabilities" in str(report)


def _two_outputs(container):
    inputs = keras.Input((4,))
    first = keras.layers.Dense(3, activation="softmax", name="digit")(inputs)
    second = keras.layers.Dense(1, name="odd")(inputs)
    return keras.Model(inputs, container(first, second))


class Two(keras.Model):
    def __init__(self, container):
        super().__init__()
        self.digit = keras.layers.Dense(3, activation="softmax")
        self.odd = keras.layers.Dense(1)
        self.container = container

    def call(self, x):
        return self.container(self.digit(x), self.odd(x))


def _dict(digit, odd):
    return {"digit": digit, "odd": odd}


def _list(digit, odd):
    return [digit, odd]


LOGITS = BCE(from_logits=True)


@pytest.mark.parametrize("make", [_two_outputs, Two])
@pytest.mark.parametrize(
    ("container", "healthy", "sick", "y"),
    [
        (_dict, _dict(SCE(), LOGITS), _dict(SCE(), BCE()), _dict(IDS, BINARY)),
        (_list, _list(SCE(), LOGITS), _list(SCE(), BCE()), _list(IDS, BINARY)),
        (_list, _list(None, LOGITS), _list(None, BCE()), _list(IDS, BINARY)),
    ],
    ids=["dict", "list", "an output without loss"],
)
def test_several_outputs(make, container, healthy, sick, y):
    model = make(container)
    assert not check_outputs(model, healthy, X, y).failed
    found = _failure(model, sick, X, y)
    which = "odd" if container is _dict or make is _two_outputs else "output 1"
    assert f"FAIL {which}: " in found and "digit: activation fits the loss: " not in found
    labels = container(IDS, IDS)
    assert "an output for each" in _failure(model, healthy, X, labels)


@pytest.mark.parametrize("make", [_two_outputs, Two])
@pytest.mark.parametrize(
    ("container", "place"),
    [
        (lambda digit, odd: {"both": {"digit": digit, "odd": odd}}, "both/odd"),
        (lambda digit, odd: [[digit, odd], digit], "0/1"),
    ],
    ids=["dicts", "lists"],
)
def test_outputs_within_outputs(make, container, place):
    model, y = make(container), container(IDS, BINARY)
    healthy = container(SCE(), LOGITS)
    assert not check_outputs(model, healthy, X, y).failed
    assert f"FAIL {place}: " in _failure(model, container(SCE(), BCE()), X, y)
    model.compile("sgd", healthy)
    model.train_on_batch(X, y)
    assert not check_outputs(model, x=X, y=y).failed


def test_a_list_of_one_array_of_labels():
    model = _functional(*dense(3, "softmax")())
    assert not check_outputs(model, SCE(), X, [IDS]).failed
    assert "labels run from 5 to 7" in _failure(model, SCE(), X, [IDS + 5])


def test_what_is_no_model_and_no_array():
    model = _functional(*dense(3, "softmax")())
    with pytest.raises(TypeError, match=r"model must be a keras\.Model, got None"):
        check_outputs(None, SCE())
    with pytest.raises(TypeError, match="of a dataset hand over the x and y of a batch"):
        check_outputs(model, SCE(), iter([X]))


def test_several_outputs_by_the_names_of_layers():
    model = _two_outputs(_list)
    assert not check_outputs(model, _dict(SCE(), LOGITS), X, _dict(IDS, BINARY)).failed
    with pytest.raises(ValueError, match=r"loss names the outputs \['even'\]"):
        check_outputs(model, {"even": SCE()})
    with pytest.raises(ValueError, match="1 entries for the 2 outputs"):
        check_outputs(model, [SCE()])


def test_a_model_inside_a_model():
    inner = _functional(*dense(3, "softmax")())
    inputs = keras.Input((4,))
    model = keras.Model(inputs, inner(keras.layers.Dense(4)(inputs)))
    assert "ends in softmax" in _failure(model, SCE(from_logits=True))
    steps = keras.Input((5, 4))
    head = keras.layers.TimeDistributed(keras.layers.Dense(3))(steps)
    assert "no activation" in _failure(keras.Model(steps, head), SCE())
    y = np.zeros((2, 5), "int32")
    x = np.zeros((2, 5, 4), "float32")
    assert not check_outputs(keras.Model(steps, head), SCE(from_logits=True), x, y).failed


def test_a_slice_of_a_softmax_is_no_softmax_of_one():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(inputs)[:, :1])
    assert not check_outputs(model, BCE(), X, BINARY).failed
    assert not check_outputs(model, BCE()).failed


@pytest.mark.parametrize("loss", [SCE(from_logits=True), "mse"])
def test_no_labels_at_all(loss):
    assert not check_outputs(_functional(*dense(3)()), loss, y=IDS[:0]).failed


def test_what_only_the_loss_itself_refuses():
    model = _functional(*dense(1)())
    y = np.zeros((40, 1), "float32")
    message = "the log-variance, so its size is 2; got y_pred of shape (40, 1)"
    assert message in _failure(model, losses.GaussianNLL(), X, y)
    assert not check_outputs(_functional(*dense(2)()), losses.GaussianNLL(), X, y).failed
