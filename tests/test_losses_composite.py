"""A weighted sum is what its parts are alone, in calls, in `fit` and after loading."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_actloss import layers, losses
from keras_actloss.testing import check_loss, example_inputs, loss_checks
from keras_actloss.testing.backend import value_and_gradient

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
IDS = RNG.integers(0, 3, (8, 4)).astype("int32")
LOGITS = RNG.normal(size=(8, 4, 3)).astype("float32") * 3
WEIGHTS = np.arange(32, dtype="float32").reshape(8, 4)


def _sum():
    return losses.WeightedSum(
        [
            losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=1),
            losses.MultiMargin(ignore_class=2),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        ],
        weights=[1.0, 0.5, 0.25],
    )


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_each_part_is_as_if_it_were_alone(reduction, weight, masked):
    """Among others it divides by the number of labels that it does not ignore itself."""
    y_pred = ops.convert_to_tensor(LOGITS)
    if masked:
        y_pred._keras_mask = ops.convert_to_tensor(RNG.random(IDS.shape) < 0.6)
    loss = _sum()
    loss.reduction = reduction
    expected = 0.0
    for factor, part in zip(loss.weights, loss.losses, strict=True):
        part = type(part).from_config({**part.get_config(), "reduction": reduction})
        expected += factor * float(part(IDS, y_pred, weight))
    assert float(loss(IDS, y_pred, weight)) == pytest.approx(expected, rel=1e-5)


def _swap(loss):
    loss.losses[1] = losses.Huber(delta=0.1)


def _weigh(loss):
    loss.weights[1] = 5.0


def _anneal(loss):
    loss.losses[1].delta = 0.1


def _reduce(loss):
    loss.reduction = "sum"


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none"])
@pytest.mark.parametrize("change", [_swap, _weigh, _anneal, _reduce])
def test_a_changed_sum_is_what_its_file_holds(change, reduction):
    loss = losses.WeightedSum(
        [losses.MeanSquaredError(), losses.Huber(delta=2.0)], [1.0, 0.5], reduction=reduction
    )
    y_true, y_pred = np.zeros((4, 2), "float32"), np.full((4, 2), 3.0, "float32")
    before = ops.convert_to_numpy(loss(y_true, y_pred))
    change(loss)
    after = ops.convert_to_numpy(loss(y_true, y_pred))
    loaded = losses.WeightedSum.from_config(json.loads(json.dumps(loss.get_config())))
    np.testing.assert_allclose(ops.convert_to_numpy(loaded(y_true, y_pred)), after, rtol=1e-6)
    if change is not _reduce or reduction != "sum":
        assert np.any(after != before)


@pytest.mark.parametrize("wrap", [lambda part: losses.WeightedSum([part]), losses.AcrossReplicas])
@pytest.mark.parametrize("part", [losses.BetaNLL(), losses.CenterlineDice()], ids=repr)
def test_the_checks_know_what_the_parts_say_of_themselves(part, wrap):
    loss = wrap(part)
    assert loss.stops_gradient == isinstance(part, losses.BetaNLL)
    loss_checks.check_values_per_sample(loss, *example_inputs(loss))


def test_integer_labels_stay():
    classes = np.arange(1, 400, dtype="float32")[None]
    loss = losses.WeightedSum([losses.SparseCategoricalCrossentropy()], dtype="bfloat16")
    values = [float(ops.cast(loss([i], classes), "float32")) for i in (257, 398)]
    assert values[0] > values[1]


def test_a_weight_of_0_leaves_a_part_out():
    parts = [losses.MeanSquaredError(), losses.Huber()]
    loss = losses.WeightedSum(parts, weights=[0.0, 2.0])
    y_true, y_pred = np.zeros((1, 1)), np.full((1, 1), 1e30, "float32")
    assert float(loss(y_true, y_pred)) == pytest.approx(2e30)
    assert len(loss.metrics()) == 2


@keras.saving.register_keras_serializable("tests")
class Own(keras.losses.Loss):
    """A registered loss of Keras's base class."""

    def __init__(self, scale=1.0, name="own", reduction="sum_over_batch_size"):
        super().__init__(name=name, reduction=reduction)
        self.scale = scale

    def call(self, y_true, y_pred):
        return self.scale * ops.mean(ops.abs(y_true - y_pred), axis=-1)

    def get_config(self):
        return {"scale": self.scale, "name": self.name, "reduction": self.reduction}


def test_settings_of_all_parts_survive():
    loss = losses.WeightedSum(
        [
            losses.WeightedSum([losses.Huber(delta=0.5, name="inner"), Own(scale=3.0)], [1.0, 2.0]),
            keras.losses.LogCosh,
            losses.MeanSquaredError,
        ],
        weights=np.array([1.0, -0.5, 2.0]),
        name="total",
        reduction="sum",
        dtype="float64",
    )
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    again = keras.saving.deserialize_keras_object(config, safe_mode=True)
    assert again.get_config() == loss.get_config()
    assert (again.name, again.reduction, again.weights) == ("total", "sum", [1.0, -0.5, 2.0])
    inner = again.losses[0]
    assert (inner.losses[0].delta, inner.losses[0].name, inner.losses[1].scale) == (0.5, "inner", 3)
    y_true, y_pred = RNG.normal(size=(2, 5, 3)).astype("float32")
    assert float(again(y_true, y_pred)) == float(loss(y_true, y_pred))


def test_a_part_from_nowhere_is_refused():
    config = losses.WeightedSum([losses.Huber()]).get_config()
    config["losses"][0].update(registered_name="elsewhere>Huber", module="elsewhere")
    with pytest.raises(ValueError, match="not registered"):
        losses.WeightedSum.from_config(config)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.WeightedSum([]), "at least one"),
        (lambda: losses.WeightedSum(losses.Huber()), "must be a list"),
        (lambda: losses.WeightedSum([losses.huber]), "takes losses, got <function huber"),
        (lambda: losses.WeightedSum([losses.Huber()], [1.0, 2.0]), "one number a part"),
        (lambda: losses.WeightedSum([losses.Huber()], [0.0]), "not all of them 0"),
        (lambda: losses.WeightedSum([losses.Huber()], [float("inf")]), "finite"),
        (lambda: losses.WeightedSum([losses.Huber(reduction="sum")]), "hand reduction='sum' to"),
        (lambda: losses.LossMetric(losses.Huber(reduction="none")), "must have a reduction"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_weights_may_change():
    """As a callback changes them in training."""
    y, x = [[0.0], [0.0]], [[1.0], [3.0]]
    loss = losses.WeightedSum([losses.MeanSquaredError(), losses.MeanAbsoluteError()])
    assert float(loss(y, x)) == 7
    loss.weights = [10.0, 0.0]
    assert float(loss(y, x)) == 50
    loss.losses = [losses.MeanAbsoluteError(), losses.MeanSquaredError()]
    assert float(loss(y, x)) == 20
    for name, value in (("weights", [1.0]), ("weights", "abc"), ("losses", [losses.Huber()])):
        with pytest.raises((TypeError, ValueError), match="one number a part"):
            setattr(loss, name, value)
    assert float(loss(y, x)) == 20


def test_no_two_parts_have_one_name():
    parts = [losses.Huber(), losses.Huber(name="huber_1"), losses.Huber(), losses.Huber()]
    names = [metric.name for metric in losses.WeightedSum(parts).metrics()]
    assert names == ["huber", "huber_1", "huber_2", "huber_3"]


def test_callbacks_know_which_way_a_loss_goes():
    x = RNG.normal(size=(8, 2)).astype("float32")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    metric = losses.LossMetric(losses.MeanSquaredError(), name="error")
    model.compile("sgd", "mse", metrics=[metric])
    stop = keras.callbacks.EarlyStopping(monitor="error")
    model.fit(x, x[:, :1], epochs=3, verbose=0, callbacks=[stop])
    assert stop.monitor_op(1.0, 2.0)


def test_values_that_do_not_add_up():
    loss = losses.WeightedSum([losses.MeanSquaredError(), losses.BinaryCrossentropy(axis=1)])
    loss.reduction = "none"
    with pytest.raises(ValueError, match=r"shapes \[\(2, 3\), \(2, 4\)\]"):
        loss(np.zeros((2, 3, 4)), np.full((2, 3, 4), 0.5))


@pytest.mark.parametrize("output", ["sigmoid", layers.Sigmoid()], ids=["by name", "layer"])
def test_the_logits_of_an_output_reach_the_parts(output):
    dense = keras.layers.Dense(1, use_bias=False, activation=output)
    model = keras.Sequential([keras.Input((2,)), dense])
    model.set_weights([np.array([[40.0], [0.0]])])
    loss = losses.WeightedSum([losses.BinaryCrossentropy(), losses.MeanAbsoluteError()], [1.0, 0.0])
    model.compile(keras.optimizers.SGD(1.0), loss=loss)
    history = model.fit(np.ones((1, 2)), np.zeros((1, 1)), verbose=0).history
    assert (history["loss"][0], -model.get_weights()[0][1].item()) == (40.0, 1.0)


def test_the_gradient_is_the_sum_of_those_of_the_parts():
    loss = _sum()
    _, got = value_and_gradient(lambda p: loss(IDS, p), LOGITS)
    parts = [value_and_gradient(lambda p, part=part: part(IDS, p), LOGITS) for part in loss.losses]
    expected = sum(w * g for w, (_, g) in zip(loss.weights, parts, strict=True))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)


def _compiled(**metrics):
    model = keras.Sequential(
        [keras.Input((4, 2)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3)]
    )
    loss = _sum()
    model.compile("adam", loss, **{name: loss.metrics() for name in metrics})
    return model


NAMES = ["sparse_categorical_crossentropy", "multi_margin", "sparse_categorical_crossentropy_1"]


@pytest.mark.parametrize("kind", ["metrics", "weighted_metrics"])
def test_parts_are_metrics_that_add_up_to_the_loss(kind, tmp_path):
    x = RNG.normal(size=(8, 4, 2)).astype("float32")
    model = _compiled(**{kind: True})
    weight = WEIGHTS if kind == "weighted_metrics" else None
    arguments = {"sample_weight": weight, "batch_size": 3, "verbose": 0}
    history = model.fit(x, IDS, epochs=2, **arguments).history
    shown = {name: values[-1] for name, values in history.items()}
    assert set(shown) == {"loss", *NAMES}
    assert shown["loss"] == pytest.approx(
        shown[NAMES[0]] + 0.5 * shown[NAMES[1]] + 0.25 * shown[NAMES[2]], rel=1e-5
    )
    evaluated = model.evaluate(x, IDS, return_dict=True, **arguments)
    assert evaluated["loss"] == pytest.approx(
        evaluated[NAMES[0]] + 0.5 * evaluated[NAMES[1]] + 0.25 * evaluated[NAMES[2]], rel=1e-5
    )
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert again.evaluate(x, IDS, return_dict=True, **arguments) == pytest.approx(evaluated)
    assert again.loss.get_config() == model.loss.get_config()


def test_a_metric_counts_batches_as_keras_counts_the_loss():
    """Masks in `evaluate` too."""
    x = RNG.normal(size=(7, 3, 2)).astype("float32")
    x[2:5, 1:] = 0
    y = RNG.normal(size=(7, 3, 1)).astype("float32")
    model = keras.Sequential([keras.Input((3, 2)), keras.layers.Masking(), keras.layers.Dense(1)])
    loss = losses.WeightedSum([losses.MeanSquaredError()])
    model.compile("sgd", loss, metrics=loss.metrics())
    shown = model.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
    assert shown["mean_squared_error"] == pytest.approx(shown["loss"], rel=1e-6)


def test_the_name_of_the_metric_is_frozen():
    name = keras.saving.get_registered_name(losses.LossMetric)
    assert name == "keras_actloss>LossMetric"


@pytest.mark.parametrize("wrap", [losses.AcrossReplicas, lambda wing: losses.WeightedSum([wing])])
def test_the_width_of_a_wing_is_none_of_the_predictions(wrap):
    loss = wrap(losses.Wing(width=3.0))
    assert loss.width is None
    assert not check_loss(loss).failed


def test_parts_that_ignore_other_classes_pass_the_checks():
    parts = [losses.SparseCategoricalCrossentropy(ignore_class=i) for i in (0, 2)]
    assert not check_loss(losses.WeightedSum(parts)).failed
