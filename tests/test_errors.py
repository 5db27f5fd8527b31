"""Bad input is refused with the argument, the value and what to do."""

import json
import math

import keras
import numpy as np
import pytest

import keras_actloss
from keras_actloss import activations, layers, losses
from keras_actloss.testing import check_loss
from keras_actloss.testing.backend import array, value_and_gradient

ROWS = np.full((4, 3), 1 / 3, "float32")
IDS = np.array([0, 1, 2, 1])
ONE_HOT = np.eye(3, dtype="float32")[IDS]

SETTINGS = {
    "unknown reduction": (lambda: losses.Huber(reduction="average"), "reduction", "average"),
    "misspelt setting": (
        lambda: losses.Huber(dleta=2.0),
        "Huber",
        "no argument dleta; it takes delta",
    ),
    "reduction set later": (
        lambda: setattr(losses.Huber(), "reduction", "averge"),
        "reduction",
        "averge",
    ),
    "negative delta": (lambda: losses.Huber(delta=-1.0), "delta", "-1.0"),
    "delta of zero": (lambda: losses.Huber(delta=0), "delta", "0"),
    "delta is no number": (lambda: losses.Huber(delta="1"), "delta", "'1'"),
    "delta is NaN": (lambda: losses.Huber(delta=math.nan), "delta", "must not be NaN"),
    "nested quantiles": (lambda: losses.Quantile([[0.5]]), "quantiles", "flat sequence of numbers"),
    "delta set later": (lambda: setattr(losses.Huber(), "delta", -2.0), "delta", "-2.0"),
    "smoothing of one": (
        lambda: losses.BinaryCrossentropy(label_smoothing=1.0),
        "label_smoothing",
        "1.0",
    ),
    "negative smoothing": (
        lambda: losses.CategoricalCrossentropy(label_smoothing=-0.1),
        "label_smoothing",
        "-0.1",
    ),
    "temperature of one": (
        lambda: losses.CategoricalBiTemperedLogistic(t1=1.0),
        "t1",
        "close to 1 is near the logarithm",
    ),
    "exponent of zero": (
        lambda: losses.BinaryGeneralizedCrossEntropy(q=0.0),
        "q",
        "1 is the absolute error",
    ),
    "from_logits is no flag": (
        lambda: losses.BinaryCrossentropy(from_logits="yes"),
        "from_logits",
        "'yes'",
    ),
    "axis is no integer": (lambda: losses.CategoricalCrossentropy(axis=0.5), "axis", "0.5"),
    "float ignore_class": (
        lambda: losses.SparseCategoricalCrossentropy(ignore_class=0.5),
        "ignore_class",
        "0.5",
    ),
    "negative class weight": (
        lambda: losses.CategoricalCrossentropy(class_weights=[1.0, -1.0]),
        "class_weights",
        "-1.0",
    ),
    "class weights by name": (
        lambda: losses.CategoricalCrossentropy(class_weights={0: 1.0}),
        "class_weights",
        "one weight a class",
    ),
    "negative alpha": (lambda: layers.ELU(alpha=-1.0), "alpha", "-1.0"),
    "negative alpha, function": (lambda: activations.elu(1.0, alpha=-1.0), "alpha", "-1.0"),
    "cap of zero": (lambda: layers.Softcap(cap=0), "cap", "0"),
    "negative sharpness": (lambda: activations.softplus(1.0, beta=-2), "beta", "-2"),
    "negative slope": (lambda: layers.LeakyReLU(negative_slope=-0.1), "negative_slope", "-0.1"),
    "negative maximum": (lambda: layers.ReLU(max_value=-6.0), "max_value", "-6.0"),
    "negative theta": (lambda: layers.ThresholdedReLU(theta=-1.0), "theta", "-1.0"),
    "bounds of slopes": (lambda: layers.RReLU(lower=0.5, upper=0.1), "lower", "0.5"),
    "threshold is no number": (lambda: layers.Threshold(threshold=None), "threshold", "None"),
    "crelu axis": (lambda: layers.CReLU(axis=(0, 1)), "axis", "(0, 1)"),
    "bounds of hard_tanh": (lambda: layers.HardTanh(min_value=2.0), "min_value", "2.0 and 1.0"),
    "bounds of hard_tanh, function": (
        lambda: activations.hard_tanh(1.0, max_value=-2.0),
        "max_value",
        "-1.0 and -2.0",
    ),
    "negative width": (lambda: layers.HardShrink(threshold=-0.5), "threshold", "-0.5"),
    "bounds of hard_shrink": (lambda: layers.HardShrink(lower=0.75), "lower", "0.75 and 0.5"),
    "range of two_hot": (lambda: losses.TwoHot(low=1.0, high=1.0), "TwoHot: low", "1.0 and 1.0"),
    "range of hl_gauss": (lambda: losses.HLGauss(high=-20.0), "HLGauss: low", "-10.0 and -20.0"),
    "end of a range is no number": (lambda: losses.HLGauss(high=None), "high", "None"),
    "bound of hard_tanh is no number": (
        lambda: layers.HardTanh(max_value=None),
        "HardTanh: max_value",
        "None",
    ),
    "bounds of soft_shrink, function": (
        lambda: activations.soft_shrink(1.0, upper=-0.75),
        "upper",
        "-0.5 and -0.75",
    ),
    "bound is no number": (lambda: layers.SoftShrink(lower="low"), "lower", "'low'"),
    "softmax axis": (lambda: layers.Softmax(axis="last"), "axis", "'last'"),
    "softmax axis, twice": (
        lambda: activations.softmax(np.ones((2, 3)), axis=(0, -2)),
        "softmax: axis=(0, -2)",
        "twice",
    ),
    "unknown name": (lambda: keras_actloss.get("losses", "Hubert"), "Hubert", "did you mean Huber"),
    "name in capitals": (
        lambda: keras_actloss.get("losses", "HUBER"),
        "HUBER",
        "did you mean huber or Huber?",
    ),
    "function for a layer": (
        lambda: keras_actloss.get("layers", "elu"),
        "elu",
        "did you mean ELU?",
    ),
    "list for a kind": (lambda: keras_actloss.get(["losses"], "Huber"), "kind", "losses"),
    "misspelt setting of a layer": (
        lambda: layers.ELU(alhpa=2.0),
        "ELU",
        "no argument alhpa; it takes alpha, name",
    ),
    "array without axes": (lambda: layers.Entmax(alpha=np.array(0.5)), "alpha", "got 0.5"),
    "array with a wrong entry": (
        lambda: layers.Snake(frequency=np.array([1.0, -2.0])),
        "frequency",
        "got -2.0",
    ),
    "array of text": (lambda: layers.Swish(beta=np.array(["a"])), "beta", "real numbers"),
    "flag of NumPy for a number": (
        lambda: layers.Entmax(alpha=np.bool_(True)),
        "alpha",
        "got True",
    ),
    "gamma beyond float32": (
        lambda: losses.BinaryFocalCrossentropy(gamma=1e39),
        "gamma",
        "fit into float32",
    ),
    "delta beyond any float": (lambda: losses.Huber(delta=10**400), "delta", "fit into float32"),
    "first value of a kernel": (
        lambda: layers.SwiGLU(4, kernel_initializer=math.inf),
        "kernel_initializer",
        "finite",
    ),
    "unknown kind": (lambda: keras_actloss.get("loss", "Huber"), "kind", "'loss'"),
    "settings for a function": (
        lambda: keras_actloss.get("losses", "huber", delta=2.0),
        "huber",
        "delta",
    ),
}


@pytest.mark.parametrize(("call", "argument", "value"), SETTINGS.values(), ids=SETTINGS)
def test_setting(call, argument, value):
    with pytest.raises((TypeError, ValueError)) as error:
        call()
    assert argument in str(error.value) and value in str(error.value)


# Settings that leave NaN or nothing but infinity where they are infinite, by loss or layer.
FINITE = {
    "CELU": ["alpha"],
    "ClippedSwiGLU": ["alpha"],
    "ELU": ["alpha"],
    "LeakyReLU": ["negative_slope"],
    "RReLU": ["upper"],
    "ReLU": ["negative_slope"],
    "Sine": ["frequency"],
    "Snake": ["frequency"],
    "SnakeBeta": ["frequency", "magnitude"],
    "Softcap": ["cap"],
    "Softplus": ["beta"],
    "Squareplus": ["b"],
    "StarReLU": ["scale", "bias"],
    "XIELU": ["beta"],
    "CategoricalWeightedKappa": ["log_epsilon"],
    "SparseCategoricalWeightedKappa": ["log_epsilon"],
    "BinaryFocalCrossentropy": ["gamma"],
    "CategoricalFocalCrossentropy": ["gamma"],
    "SparseCategoricalFocalCrossentropy": ["gamma"],
    "AsymmetricBinaryCrossentropy": ["gamma_negative", "gamma_positive"],
    "Varifocal": ["alpha", "gamma"],
    "QualityFocal": ["beta"],
    "PenaltyReducedFocal": ["alpha", "beta"],
    "SoftF1": ["smooth"],
    "BetaNLL": ["beta"],
    "BinaryPolyCrossentropy": ["epsilon"],
    "CategoricalPolyCrossentropy": ["epsilon"],
    "SparseCategoricalPolyCrossentropy": ["epsilon"],
    "BinarySymmetricCrossentropy": ["alpha", "beta"],
    "CategoricalSymmetricCrossentropy": ["alpha", "beta"],
    "SparseCategoricalSymmetricCrossentropy": ["alpha", "beta"],
    "CategoricalLogitAdjustedCrossentropy": ["tau"],
    "SparseCategoricalLogitAdjustedCrossentropy": ["tau"],
    "CategoricalLabelDistributionAwareMargin": ["max_margin", "scale"],
    "LabelDistributionAwareMargin": ["max_margin", "scale"],
    "CategoricalBiTemperedLogistic": ["t2"],
    "SparseCategoricalBiTemperedLogistic": ["t2"],
    "CategoricalEntmax": ["alpha"],
    "SparseCategoricalEntmax": ["alpha"],
    "HLGauss": ["sigma_ratio"],
    "Huber": ["delta"],
    "StudentTNLL": ["df"],
}
COUNTS = {"LogitAdjusted": "class_prior", "DistributionAware": "class_counts"}


@pytest.mark.parametrize(
    ("name", "setting"), [(name, setting) for name in FINITE for setting in FINITE[name]]
)
def test_infinite_setting(name, setting):
    counts = {argument: [1, 2, 3] for word, argument in COUNTS.items() if word in name}
    with pytest.raises(ValueError, match=rf"{setting} must .*, got inf"):
        getattr(losses, name, getattr(layers, name, None))(**{setting: math.inf}, **counts)


def test_settings_whose_limit_is_another_loss():
    with pytest.raises(ValueError, match="half of MeanSquaredError"):
        losses.Huber(delta=math.inf)
    error = np.float32([[-2.0, 0.5, 3.0]])
    np.testing.assert_allclose(
        losses.huber(0 * error, error, delta=1e30),
        losses.mean_squared_error(0 * error, error) / 2,
        rtol=1e-6,
    )
    with pytest.raises(ValueError, match="GaussianNLL of twice the log-scale"):
        losses.StudentTNLL(df=math.inf)
    scores = np.float32([[1.0, 0.75], [2.0, -0.5]])
    np.testing.assert_allclose(
        losses.student_t_nll(np.float32([3, 1]), scores, df=1e30),
        losses.gaussian_nll(np.float32([3, 1]), scores * np.float32([1, 2])),
        rtol=1e-6,
    )


SHAPES = {
    "one row short": (losses.MeanSquaredError(), np.zeros((3, 3)), ROWS, "(3, 3)", "(4, 3)"),
    "one axis short": (losses.Huber(), np.zeros(4), ROWS, "(4,)", "(4, 3)"),
    "names": (
        losses.Huber(),
        np.array(["a"] * 4),
        ROWS,
        "y_true must hold numbers",
        "StringLookup",
    ),
    "none": (losses.SparseCategoricalCrossentropy(), None, ROWS, "y_true must hold", "got None"),
    "outputs": (losses.Huber(), {"a": ROWS}, ROWS, "y_true must hold", "each output its own loss"),
    "ids for one-hot": (losses.CategoricalCrossentropy(), IDS, ROWS, "(4,)", "class ids belong to"),
    "one-hot for ids": (
        losses.SparseCategoricalCrossentropy(),
        ONE_HOT.astype("int32"),
        ROWS,
        "(4, 3)",
        "one-hot labels belong to",
    ),
    "no batch": (losses.MeanSquaredError(), 1.0, 2.0, "()", "[None]"),
    "no such axis": (losses.CategoricalCrossentropy(axis=3), ONE_HOT, ROWS, "axis=3", "(4, 3)"),
    "id too large": (losses.SparseCategoricalCrossentropy(), IDS + 1, ROWS, "id 3", "0 to 2"),
    "negative id": (losses.SparseCategoricalCrossentropy(), IDS - 1, ROWS, "id -1", "ignore_class"),
    "wide id": (losses.SparseCategoricalCrossentropy(), IDS + 2**32, ROWS, "4294967296", "int32"),
    "label above 1": (losses.BinaryCrossentropy(), 2 * ONE_HOT, ROWS, "label 2", "0 to 1"),
    "label below 0": (losses.SoftF1(), ONE_HOT - 1, ROWS, "label -1", "weight of 0"),
    "mask of 255": (losses.Dice(encoding="multilabel"), 255 * ONE_HOT, ROWS, "label 255", "0 to 1"),
    "float ids": (losses.SparseCategoricalCrossentropy(), IDS + 0.5, ROWS, "float", "astype"),
    "too few weights": (
        losses.CategoricalCrossentropy(class_weights=[1.0, 2.0]),
        ONE_HOT,
        ROWS,
        "class_weights: got 2 numbers",
        "3 classes",
    ),
    "ids for distributions": (losses.KLDivergence(), IDS, ROWS, "(4,)", "keras.ops.one_hot"),
    "ids for encoded rows": (losses.Dice(), IDS, ROWS, "(4,)", "class ids need encoding='ids'"),
    "rows for encoded ids": (
        losses.Dice(encoding="ids"),
        ONE_HOT,
        ROWS,
        "(4, 3)",
        "one-hot labels need encoding='onehot'",
    ),
    "rows for ids alone": (
        losses.SequenceCrossentropy(),
        ONE_HOT,
        ROWS,
        "(4, 3)",
        "keras.ops.argmax(y_true, axis=1)",
    ),
    "two focal weights": (
        losses.CategoricalFocalCrossentropy(alpha=[1.0, 2.0]),
        ONE_HOT,
        ROWS,
        "alpha: got 2 numbers",
        "3 classes",
    ),
    "two focal weights of ids": (
        losses.SparseCategoricalFocalCrossentropy(alpha=[1.0, 2.0]),
        IDS,
        ROWS,
        "alpha: got 2 numbers",
        "3 classes",
    ),
    "labels of both signs": (
        losses.MultilabelMargin(),
        2 * ONE_HOT - 1,
        ROWS,
        "0 to 1",
        "label -1",
    ),
    "half a label": (losses.MultilabelMargin(), ONE_HOT / 2, ROWS, "must hold 0 or 1", "got 0.5"),
    "an axis of entries": (losses.BinaryCrossentropy(axis=7), ROWS, ROWS, "axis=7", "-2 to 1"),
    "three weights of signs": (
        losses.Hinge(class_weights=[1.0, 2.0, 3.0]),
        ONE_HOT,
        ROWS,
        "two weights",
        "3.0",
    ),
    "a weight a level": (
        losses.CORN(class_weights=[1.0, 2.0, 3.0]),
        IDS,
        ROWS,
        "class_weights: got 3 numbers",
        "4 classes",
    ),
    "three binary weights": (
        losses.BinaryCrossentropy(class_weights=[1.0, 2.0, 3.0]),
        ONE_HOT,
        ROWS,
        "two weights",
        "3.0",
    ),
}


@pytest.mark.parametrize(
    ("loss", "y_true", "y_pred", "first", "second"), SHAPES.values(), ids=SHAPES
)
def test_inputs(loss, y_true, y_pred, first, second):
    for call in (loss, lambda t, p: loss.fn(t, p, **loss.fn_settings())):
        with pytest.raises((TypeError, ValueError)) as error:
            call(y_true, y_pred)
        assert first in str(error.value) and second in str(error.value), str(error.value)


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        ("CategoricalCrossentropy", "SparseCategoricalCrossentropy"),
        ("categorical_crossentropy", "sparse_categorical_crossentropy"),
        ("CategoricalLabelDistributionAwareMargin", "LabelDistributionAwareMargin"),
        ("categorical_label_distribution_aware_margin", "label_distribution_aware_margin"),
        ("CategoricalMultiMargin", "MultiMargin"),
    ],
)
def test_labels_of_the_other_form(rows, ids):
    for name, other, labels in ((rows, ids, IDS), (ids, rows, ONE_HOT)):
        loss = getattr(losses, name)
        settings = {"class_counts": [1, 2, 3]} if "istribution" in name else {}
        with pytest.raises(ValueError, match=rf"{name}: y_true of shape .* belong to {other}$"):
            if isinstance(loss, type):
                loss(**settings)(labels, ROWS)
            else:
                loss(labels, ROWS, **settings)


@pytest.mark.parametrize("shape", [(3,), (4, 3), (4, 1, 1)])
def test_weights_that_do_not_fit(shape):
    with pytest.raises(ValueError, match="sample_weight of shape") as error:
        losses.MeanSquaredError()(ROWS, ROWS, np.ones(shape, "float32"))
    assert str(shape) in str(error.value)


@pytest.mark.parametrize("weight", ["balanced", {0: 1.0, 1: 2.0}])
def test_weights_that_are_no_numbers(weight):
    with pytest.raises(TypeError, match="mean_squared_error: sample_weight must hold numbers"):
        losses.MeanSquaredError()(ROWS, ROWS, weight)


@pytest.mark.parametrize("x", ["a", None, {"x": 1.0}])
def test_what_is_no_input(x):
    with pytest.raises(TypeError, match="relu: x must hold numbers"):
        activations.relu(x)


def test_lists_of_several_lengths():
    with pytest.raises(ValueError, match=r"several lengths .* got \[\[1.0\], \[2.0, 3.0\]\]"):
        losses.MeanSquaredError()([[1.0], [2.0, 3.0]], ROWS)


def test_a_fraction_of_a_class_id_in_training():
    """Keras hands float labels to a function, whose values are not known while it is compiled."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", losses.sparse_categorical_crossentropy)
    assert np.isfinite(model.train_on_batch(ROWS, IDS))
    if keras.backend.backend() == "jax":
        assert np.isnan(model.train_on_batch(ROWS, IDS + 0.5))
        return
    with pytest.raises(Exception, match=r"integer dtype|indices"):
        model.train_on_batch(ROWS, IDS + 0.5)


def test_a_mask_that_does_not_fit():
    y_pred = keras.ops.convert_to_tensor(ROWS)
    y_pred._keras_mask = keras.ops.ones((4, 3, 2), "bool")
    with pytest.raises(ValueError, match=r"mask .*\(4, 3, 2\)"):
        losses.MeanSquaredError()(ROWS, y_pred)


@pytest.mark.parametrize("function", [activations.softmax, activations.softmin])
@pytest.mark.parametrize("shape", [(2,), (3, 4), (4, 3, 2)])
def test_a_mask_of_other_entries(function, shape):
    with pytest.raises(ValueError, match=r"mask of shape .* x of shape \(4, 3\)") as error:
        function(ROWS, mask=np.ones(shape, bool))
    assert str(shape) in str(error.value)


@pytest.mark.parametrize("name", ["sparsemax", "entmax15", "entmax"])
def test_no_classes_to_project(name):
    with pytest.raises(ValueError, match=r"logits of shape \(4, 0\) .*axis=1.*one class"):
        getattr(activations, name)(ROWS[:, :0], axis=1)


def test_a_config_with_unknown_keys():
    with pytest.raises(ValueError, match=r"unknown keys.*gamma"):
        losses.Huber.from_config({"delta": 1.0, "gamma": 2.0})
    with pytest.raises(ValueError, match=r"unknown keys.*gamma"):
        layers.ELU.from_config({"alpha": 1.0, "gamma": 2.0})


def test_a_file_that_names_a_foreign_class(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Tanh()])
    config = json.loads(model.to_json())
    (layer,) = [x for x in config["config"]["layers"] if x["class_name"] == "Tanh"]
    layer.update(class_name="Tahn", registered_name="keras_actloss>Tahn", module="os")
    with pytest.raises((TypeError, ValueError), match="Tahn"):
        keras.models.model_from_json(json.dumps(config))


@keras.saving.register_keras_serializable("tests_errors")
class Within(layers.ActivationLayer):
    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, inputs):
        return self.inner(inputs)


def test_a_setting_may_be_an_activation_of_keras(tmp_path):
    model = keras.Sequential([keras.Input((3,)), Within(keras.activations.relu)])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    x = np.float32([[-1, 0, 2]])
    np.testing.assert_array_equal(array(again(x)), array(model(x)))


def test_what_cannot_be_loaded_is_not_saved(tmp_path):
    model = keras.Sequential([keras.Input((3,)), Within([keras.layers.Dense(3)])])
    with pytest.raises(ValueError, match=r"inner names 'Dense'.*make it in the constructor"):
        model.save(tmp_path / "model.keras")


@pytest.mark.parametrize("name", ["get", "deserialize", "__doc__", "os", ["relu"]])
def test_a_config_that_names_what_is_no_activation(name):
    config = {"class_name": "function", "config": name, "module": "builtins"}
    with pytest.raises(ValueError, match="not registered"):
        Within.from_config({"inner": config})


def test_a_misspelt_argument():
    with pytest.raises(TypeError, match=r"elu: got an unexpected .* 'alhpa'; it takes x, alpha"):
        activations.elu(1.0, alhpa=2.0)
    with pytest.raises(TypeError, match="huber: missing a required argument: 'y_pred'"):
        losses.huber([1.0])


def test_a_lookup_takes_any_argument_of_a_class():
    assert keras_actloss.get("losses", "Huber", name="mine").name == "mine"
    for name in (3, ["Huber"]):
        with pytest.raises(TypeError, match="get: name must be a public name as text"):
            keras_actloss.get("losses", name)


def test_a_config_that_names_a_foreign_object():
    foreign = {"class_name": "function", "config": "system", "module": "os"}
    with pytest.raises(ValueError, match=r"delta names 'function'.*not registered"):
        losses.Huber.from_config({"delta": foreign})
    lambda_config = {"class_name": "__lambda__", "config": {"value": "", "defaults": None}}
    with pytest.raises(ValueError, match="not registered"):
        losses.Huber.from_config({"delta": lambda_config})


def test_a_loss_without_maths():
    class Empty(losses.Loss):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no maths"):
        Empty()(ROWS, ROWS)


def test_a_setting_that_was_not_stored():
    class Forgetful(losses.Loss):
        def __init__(self, scale=1.0, **kwargs):
            super().__init__(**kwargs)

    with pytest.raises(AttributeError, match=r"store it as self\.scale"):
        Forgetful().get_config()


def _by_position(self, scale, /):
    """A constructor."""


def _any_number(self, *scales):
    """A constructor."""


@pytest.mark.parametrize("constructor", [_by_position, _any_number])
@pytest.mark.parametrize("base", [losses.Loss, layers.ActivationLayer])
def test_a_setting_without_a_name(base, constructor):
    with pytest.raises(TypeError, match=r"Mine: .* takes \*?scales? by position; name it"):
        type("Mine", (base,), {"__init__": constructor})


def test_class_and_function_that_disagree():
    with pytest.raises(TypeError, match="disagree on the default of delta"):

        class Other(losses.Loss, fn=losses.huber):
            def __init__(self, delta=2.0, **kwargs):
                super().__init__(**kwargs)
                self.delta = delta


def test_a_lambda_as_setting():
    class Called(losses.Loss):
        def __init__(self, fn_of_error=None, **kwargs):
            super().__init__(**kwargs)
            self.fn_of_error = fn_of_error

    with pytest.raises(ValueError, match="lambda, which cannot be loaded safely"):
        Called(lambda x: x).get_config()


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="there it is imported")
def test_tf_keras_is_for_tensorflow():
    backend = keras.backend.backend()
    with pytest.raises(ImportError, match=f"got '{backend}'; set .* KERAS_BACKEND=tensorflow"):
        import keras_actloss.tf_keras  # noqa: F401


def test_ids_that_are_left_out_may_be_anything():
    y, x = np.int32([1, -1, 7]), np.eye(3, dtype="float32")
    expected = array(losses.SparseCategoricalCrossentropy(from_logits=True)(y[:1], x[:1]))
    kept = np.array([True, False, False])
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    np.testing.assert_array_equal(array(loss(y, x, np.float32(kept))), expected)
    each = losses.sequence_crossentropy(y[None], x[None], from_logits=True, mask=kept[None])
    np.testing.assert_array_equal(array(each), [expected])
    for call in (loss, losses.sparse_categorical_crossentropy, losses.SequenceCrossentropy()):
        with pytest.raises(ValueError, match="y_true has the class id -1"):
            call(y[None], x[None])


def test_a_mask_may_have_signs_for_labels():
    x = np.float32([[2.0, -0.5, -3.0]])
    signs = array(losses.lovasz_hinge([[1, -1, -1]], x))
    np.testing.assert_array_equal(signs, array(losses.lovasz_hinge([[1, 0, 0]], x)))
    with pytest.raises(ValueError, match="labels run from -1 to 1"):
        losses.lovasz_hinge([[2, 0, 0]], x)


@pytest.mark.parametrize("shape", [(2,), (2, 1), (2, 1, 1), (2, 1, 1, 1)])
def test_weights_of_images_of_any_rank(shape):
    rng = np.random.default_rng(0)
    ids, p = rng.integers(0, 3, (2, 4, 4)), rng.random((2, 4, 4, 3)).astype("float32")
    weight = np.float32([0.5, 2.0])
    for loss in (losses.Dice(encoding="ids"), losses.LovaszSoftmax(encoding="ids")):
        expected = loss(ids, p, weight)
        assert array(loss(ids, p, weight.reshape(shape))) == array(expected)


def test_labels_that_are_left_out_may_be_anything():
    y_true = np.array([[2.0], [1.0]])
    loss = losses.BinaryCrossentropy()
    assert float(loss(y_true, [[0.5], [1.0]], sample_weight=[0.0, 1.0])) == 0
    assert float(losses.BinaryCrossentropy(ignore_class=2)(y_true, [[0.5], [1.0]])) == 0
    assert np.isfinite(float(loss([[np.nextafter(np.float32(1), 2)]], [[0.5]]))), "a rounding"


@pytest.mark.parametrize("function", [activations.softmax, activations.glu, layers.Softmax()])
def test_a_number_has_no_axis(function):
    with pytest.raises(ValueError, match=r"x of shape \(\) has no axis=-1; .* x\[None\]"):
        function(np.float32(3))


@pytest.mark.parametrize("axis", [5, -3, (0, 2)])
def test_an_axis_that_is_not_there(axis):
    with pytest.raises(ValueError, match=r"axis=(5|-3|2) .* shape \(4, 3\); its axes are -2 to 1"):
        activations.softmax(ROWS, axis=axis)
    with pytest.raises(ValueError, match="softmax: axis"):
        layers.Softmax(axis=axis)(ROWS)


def test_an_axis_of_numpy():
    axis = np.int64(0)
    for loss in (losses.CategoricalFocalCrossentropy, losses.SoftF1):
        np.testing.assert_array_equal(
            array(loss(axis=axis)(ONE_HOT, ROWS)), array(loss(axis=0)(ONE_HOT, ROWS))
        )
    for function in (activations.softmax, activations.sparsemax, activations.glu):
        np.testing.assert_array_equal(
            array(function(ROWS, axis=axis)), array(function(ROWS, axis=0))
        )
    assert layers.Softmax(axis=axis).get_config()["axis"] == 0


@pytest.mark.parametrize("y_pred", [{"a": ROWS}, (ROWS, ROWS[:, :2])], ids=["dict", "lengths"])
def test_checks_are_of_one_array(y_pred):
    with pytest.raises(TypeError, match="y_pred must be one array of numbers, got"):
        check_loss(losses.MeanSquaredError(), ROWS, y_pred)


def test_weight_zero_removes_from_a_dict_too():
    class Both(losses.Loss):
        def call(self, y_true, y_pred):
            error = y_true["scale"] * (y_true["a"] - y_pred["b"])
            return keras.ops.mean(keras.ops.square(error), axis=-1)

    y_true, weight = {"a": ROWS.copy(), "scale": 1.0}, np.array([1.0, 0.0, 2.0, 1.0])
    y_true["a"][1] = math.nan
    value, gradient = value_and_gradient(lambda x: Both()(y_true, {"b": x}, weight), ROWS + 1)
    assert value == pytest.approx(1.0)
    np.testing.assert_allclose(gradient, np.outer(weight, np.ones(3)) / 6, rtol=1e-6)
