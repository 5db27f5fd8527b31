"""What goes wrong with losses of ordered classes elsewhere, their output layer and decoders."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_actloss import activations, layers, losses, testing
from keras_actloss.testing.backend import array, value_and_gradient

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4)).astype("float32")
RANKS = np.array([0, 1, 2, 3, 4, 2])


@pytest.mark.parametrize("loss", [losses.coral, losses.corn])
def test_level_k_asks_whether_the_class_lies_above_k(loss):
    certain = np.float32([[40, 40, -40, -40]])
    costs = [float(array(loss([rank], certain))[0]) for rank in range(5)]
    assert int(np.argmin(costs)) == 2 and costs[2] < 1e-16
    # A mistake by two levels costs twice one of a level, in CORN where it goes on too far.
    assert costs[1] == pytest.approx(40) and costs[3] == pytest.approx(40)
    assert costs[4] == pytest.approx(80)
    assert costs[0] == pytest.approx(80 if loss is losses.coral else 40)


@pytest.mark.parametrize("loss", [losses.coral, losses.corn])
def test_confident_mistakes_have_their_gradient(loss):
    value, gradient = value_and_gradient(lambda x: loss([0], x), np.float32([[200.0, -200.0]]))
    assert value[0] == 200 and gradient[0, 0] == 1


def test_what_corn_does_not_reach_has_no_gradient():
    x = X.copy()
    x[1, 2:] = np.nan, np.inf
    value, gradient = value_and_gradient(lambda x: losses.corn(RANKS, x), x)
    assert np.all(np.isfinite(value)) and np.all(gradient[1, 2:] == 0)
    assert np.all(gradient[4] != 0)


def test_corn_is_the_crossentropy_of_its_probabilities():
    p = activations.conditional_softmax(X)
    expected = array(losses.sparse_categorical_crossentropy(RANKS, p))
    np.testing.assert_allclose(array(losses.corn(RANKS, X)), expected, rtol=1e-5)


@pytest.mark.parametrize("cls", [losses.CORAL, losses.CORN])
def test_ranks_run_to_the_number_of_levels(cls):
    loss = cls()
    assert np.isfinite(float(loss(np.array([4, 0]), X[:2])))
    for call in (loss, cls.fn):
        with pytest.raises(ValueError, match="id 5, but y_pred has 4 levels"):
            call(np.array([5, 0]), X[:2])
        with pytest.raises(ValueError, match="add up to"):
            call(np.ones((2, 4), "int32"), X[:2])
        with pytest.raises(TypeError, match="integer dtype"):
            call(np.array([0.5, 1.0], "float32"), X[:2])
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    assert not testing.check_outputs(model, loss, np.ones((5, 3)), np.arange(5)).failed
    report = testing.check_outputs(
        model, loss, np.ones((5, 3)), np.arange(1, 6), raise_on_failure=False
    )
    assert "ids 0 to 4; give the last layer 5 units" in str(report)


def test_a_weight_for_each_level():
    with pytest.raises(ValueError, match="importance_weights: got 5 numbers"):
        losses.coral(RANKS, X, importance_weights=[1.0] * 5)


@pytest.mark.parametrize("cls", [losses.CORAL, losses.CORN])
def test_steps_of_a_mask(cls):
    """Ranks of any shape, (batch, time) among them, with a mask over the time."""
    x = RNG.normal(size=(2, 3, 4)).astype("float32")
    y = RNG.integers(0, 5, (2, 3))
    mask = np.array([[True, True, False], [True, False, False]])
    values = array(cls.fn(y, x))
    spoilt = np.where(mask[..., None], x, np.nan).astype("float32")
    tensor = ops.convert_to_tensor(spoilt)
    tensor._keras_mask = ops.convert_to_tensor(mask)
    assert float(cls()(y, tensor)) == pytest.approx(values[mask].mean(), rel=1e-6)


@pytest.mark.parametrize("name", ["coral", "corn"])
def test_one_level_is_binary_crossentropy(name):
    y, x = np.array([0, 1, 1]), np.float32([[0.3], [-2.0], [5.0]])
    expected = array(losses.binary_crossentropy(y[:, None], x, from_logits=True))
    np.testing.assert_allclose(array(getattr(losses, name)(y, x)), expected, rtol=1e-6)


def test_squared_emd_knows_how_far_a_mistake_is():
    p = np.eye(5, dtype="float32")
    costs = array(losses.sparse_categorical_squared_emd(np.full(5, 1), p))
    np.testing.assert_array_equal(costs, [1, 0, 1, 2, 3])
    crossentropy = array(losses.sparse_categorical_crossentropy(np.full(5, 1), p))
    assert len({float(cost) for cost in crossentropy}) == 2


def test_squared_emd_is_small_where_one_minus_a_sum_would_be_nothing():
    x = np.float32([[40.0, 0.0, 0.0]])
    value, gradient = value_and_gradient(
        lambda x: losses.sparse_categorical_squared_emd([0], x, from_logits=True), x
    )
    e = np.exp(-40.0)
    np.testing.assert_allclose(value, 5 * e**2, rtol=1e-5)
    np.testing.assert_allclose(gradient, 2 * e**2 * np.array([[-5, 2, 3]]), rtol=1e-5)


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("name", ["squared_emd", "weighted_kappa"])
def test_another_axis(name, axis):
    x = RNG.normal(size=(2, 3, 4, 5)).astype("float32")
    y = RNG.integers(0, 5, (2, 3, 4))
    dense, sparse = (
        getattr(losses, f"{kind}_{name}") for kind in ("categorical", "sparse_categorical")
    )
    settings = {"from_logits": True}
    expected = array(sparse(y, x, **settings))
    moved, rows = (np.moveaxis(v, -1, axis) for v in (x, np.eye(5, dtype="float32")[y]))
    for got in (sparse(y, moved, axis=axis, **settings), dense(rows, moved, axis=axis, **settings)):
        np.testing.assert_allclose(array(got), expected, rtol=1e-5)


KAPPA = losses.SparseCategoricalWeightedKappa
LOGITS = {"from_logits": True, "reduction": "none"}


def test_kappa_has_a_value_a_sample_and_takes_weights():
    """Elsewhere it is one number a batch, which no sample weight can reach."""
    x, y = X, np.array([0, 1, 2, 3, 0, 2])
    values = array(KAPPA(**LOGITS)(y, x))
    assert values.shape == (6,) and len(set(values.tolist())) > 1
    weights = np.float32([3, 1, 1, 0, 1, 1])
    kept = weights != 0
    expected = array(KAPPA(**LOGITS)(y[kept], x[kept])) * weights[kept]
    np.testing.assert_allclose(array(KAPPA(**LOGITS)(y, x, weights))[kept], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("way", "log_epsilon"),
    [("weight", None), ("mask", None), ("ignore_class", None), ("all three", 1e-6)],
)
def test_what_is_left_out_is_not_in_the_statistic_of_kappa(way, log_epsilon):
    x, y = np.tile(X, (2, 1, 1)), RNG.integers(0, 4, (2, 6))
    out = {"weight": (0, 0), "mask": (1, 3), "ignore_class": (1, 5)}
    out = out if way == "all three" else {way: out[way]}
    settings = LOGITS | {"log_epsilon": log_epsilon}
    kept = np.ones((2, 6), bool)
    for place in out.values():
        kept[place] = False
    expected = array(KAPPA(**settings)(y[kept], x[kept]))
    x[~kept] = np.nan
    weight, tensor = np.ones((2, 6), "float32"), ops.convert_to_tensor(x)
    if "weight" in out:
        weight[out["weight"]] = 0
    if "mask" in out:
        mask = np.ones((2, 6), bool)
        mask[out["mask"]] = False
        tensor._keras_mask = ops.convert_to_tensor(mask)
    if "ignore_class" in out:
        y[out["ignore_class"]] = 255
    got = array(KAPPA(ignore_class=255, **settings)(y, tensor, weight))
    np.testing.assert_allclose(got[kept], expected, rtol=1e-5)
    assert np.all(got[~kept] == 0)


def test_a_batch_of_one_class_has_nothing_for_kappa_to_learn_from():
    y = np.full(6, 2)
    value, gradient = value_and_gradient(lambda x: KAPPA(from_logits=True)(y, x), X)
    assert float(value) == pytest.approx(1, rel=1e-6)
    assert np.abs(gradient).max() < 1e-6
    for x in (40 * np.eye(4)[y], 200 * np.eye(4)[y], np.zeros((6, 4))):
        value, gradient = value_and_gradient(
            lambda x: KAPPA(from_logits=True)(y, x), x.astype("float32")
        )
        assert np.isfinite(value) and np.all(np.isfinite(gradient))


def test_perfect_predictions_and_chance():
    y = np.array([0, 1, 2, 3])
    assert float(KAPPA()(y, np.eye(4, dtype="float32"))) == 0
    assert float(KAPPA()(y, np.full((4, 4), 0.25, "float32"))) == pytest.approx(1)
    assert float(KAPPA()(y, np.eye(4, dtype="float32")[::-1])) == pytest.approx(2)


@pytest.mark.parametrize("name", ["SquaredEMD", "WeightedKappa"])
def test_class_ids_behind_a_softmax_train_as_one_hot_rows(name):
    """Compiled too, where the logits that a softmax leaves make two graphs of a loss."""
    x = RNG.normal(size=(8, 3)).astype("float32")
    ids = np.arange(8) % 3
    kernels = []
    for form, y_true in (("Sparse", ids), ("", np.eye(3)[ids])):
        dense = keras.layers.Dense(3, activation="softmax", kernel_initializer="identity")
        model = keras.Sequential([keras.Input((3,)), dense])
        model.compile("sgd", getattr(losses, f"{form}Categorical{name}")())
        model.train_on_batch(x, y_true)
        kernels.append(keras.ops.convert_to_numpy(dense.kernel))
    np.testing.assert_allclose(*kernels, rtol=1e-5)
    assert np.any(kernels[0] != np.eye(3))


def test_conditional_softmax_at_the_ends():
    y = array(activations.conditional_softmax(np.float32([[np.inf, -np.inf], [np.inf, np.inf]])))
    np.testing.assert_array_equal(y, [[0, 1, 0], [0, 0, 1]])
    far = np.float32([[-200.0, 50.0], [50.0, -60.0]])
    value, gradient = value_and_gradient(activations.conditional_softmax, far)
    assert np.all(value >= 0) and np.all(np.isfinite(gradient))
    np.testing.assert_allclose(value.sum(-1), 1, rtol=1e-6)
    assert value[1, 2] == pytest.approx(np.exp(-60), rel=1e-5)


def test_a_class_is_known_with_all_logits_up_to_it():
    mask = ops.convert_to_tensor(np.array([[True, False, True], [True, True, True]]))
    kept = layers.ConditionalSoftmax().compute_mask(ops.zeros((2, 3)), mask)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(kept), [[True, False, False, False], [True, True, True, True]]
    )


def test_the_median_is_the_closest_class():
    p = RNG.dirichlet(np.ones(6), (4, 5)).astype("float32")
    classes = np.arange(6)
    distances = np.abs(classes[:, None] - classes) @ p[..., None]
    expected = distances[..., 0].argmin(-1)
    np.testing.assert_array_equal(ops.convert_to_numpy(losses.median_class(p)), expected)
    moved = losses.median_class(np.moveaxis(p, -1, 0), axis=0)
    np.testing.assert_array_equal(ops.convert_to_numpy(moved), expected)


@pytest.mark.parametrize("shape", [(2, 3), (2, 5, 3), (2, 5, 6, 3)])
def test_ordinal_dense_of_any_rank(shape):
    """coral_ordinal's layer and its activation take two axes."""
    x = RNG.normal(size=shape).astype("float32")
    layer = layers.OrdinalDense(4, bias_initializer=keras.initializers.Constant([1.0, 0.5, 0.0]))
    y = array(layer(x))
    assert y.shape == layer.compute_output_shape(shape) == (*shape[:-1], 3)
    np.testing.assert_allclose(y, x @ array(layer.kernel) + [1, 0.5, 0], rtol=1e-4, atol=1e-6)
    assert [tuple(w.shape) for w in layer.weights] == [(3, 1), (3,)]
    assert array(activations.ordinal_softmax(y)).shape == (*shape[:-1], 4)


def test_levels_without_a_logit_are_refused():
    with pytest.raises(ValueError, match="no logit along axis=-1"):
        activations.ordinal_softmax(ops.zeros((2, 0)))


def test_ordinal_dense_is_saved_with_its_settings(tmp_path):
    layer = layers.OrdinalDense(
        3,
        kernel_initializer=keras.initializers.RandomNormal(seed=1),
        bias_initializer=keras.initializers.Constant([0.5, -0.5]),
        kernel_regularizer="l2",
        bias_constraint=keras.constraints.MaxNorm(3.0),
        name="head",
        dtype="mixed_bfloat16",
    )
    model = keras.Sequential([keras.Input((4,)), layer, layers.OrdinalSoftmax()])
    model.compile("sgd", losses.SparseCategoricalSquaredEMD())
    model.fit(np.ones((4, 4)), np.array([0, 1, 2, 2]), verbose=0)
    assert len(model.losses) == 1, "the regularizer"
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    head = again.layers[0]
    assert head.get_config() == layer.get_config() and head.bias_constraint.max_value == 3
    np.testing.assert_array_equal(array(again(np.ones((2, 4)))), array(model(np.ones((2, 4)))))


@pytest.mark.parametrize("count", [1, 0, 2.0, 2.5, True])
def test_ordinal_dense_needs_two_classes(count):
    with pytest.raises(ValueError, match="num_classes must be an integer of at least 2"):
        layers.OrdinalDense(count)


def test_ordinal_dense_names_an_input_of_another_size():
    layer = layers.OrdinalDense(3)
    layer(np.ones((2, 4)))
    with pytest.raises(ValueError, match="axis -1"):
        layer(np.ones((2, 5)))


def test_biases_fall_where_the_loss_is_smallest():
    """At the minimum; at the start, and far from it, they may be in any order."""
    y = RNG.choice(4, 400, p=[0.4, 0.1, 0.3, 0.2])
    start = keras.initializers.Constant([-1.0, 0.0, 1.0])
    head = layers.OrdinalDense(4, bias_initializer=start)
    model = keras.Sequential([keras.Input((1,)), head])
    model.compile(keras.optimizers.SGD(4.0), losses.CORAL())
    x = np.zeros((400, 1), "float32")
    model.fit(x, y, batch_size=400, epochs=100, verbose=0)
    above = np.array([np.mean(y > k) for k in range(3)])
    np.testing.assert_allclose(array(head.bias), np.log(above / (1 - above)), atol=1e-2)
    assert np.all(np.diff(array(head.bias)) < 0)
