"""The CRF as a layer: its scores, and training, saving and exporting with it."""

import keras
import numpy as np
import pytest
from keras import ops
from packaging.version import parse

from keras_actloss import layers, losses
from keras_actloss.testing import NotApplicable
from keras_actloss.testing.backend import array, compiled

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 5, 4)).astype("float32")
TAGS = RNG.integers(0, 4, (3, 5))
HOLES = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 1, 1], [0, 0, 1, 0, 0]], bool)
NORMAL = keras.initializers.RandomNormal(stddev=1.0, seed=1)


def _layer(**settings):
    return layers.CRF(transition_initializer=NORMAL, boundary_initializer=NORMAL, **settings)


def _log_likelihood(x, tags, transitions, first, last):
    """With scores of the first and last tag as pytorch-crf, or without as TensorFlow Addons."""
    alpha, score = first + x[0], first[tags[0]] + x[0, tags[0]]
    for t in range(1, len(x)):
        alpha = np.logaddexp.reduce(alpha[:, None] + transitions, axis=0) + x[t]
        score += transitions[tags[t - 1], tags[t]] + x[t, tags[t]]
    return score + last[tags[-1]] - np.logaddexp.reduce(alpha + last)


@pytest.mark.parametrize("use_boundary", [True, False])
def test_layer_and_loss_are_the_log_likelihood(use_boundary):
    """Of the steps that the mask leaves, with the boundary scores at the first and last of them."""
    layer = _layer(use_boundary=use_boundary)
    layer.build(X.shape)
    weights = [np.float64(w) for w in layer.get_weights()]
    transitions, *ends = weights
    first, last = ends or (np.zeros(4), np.zeros(4))
    expected = [
        -_log_likelihood(np.float64(x[m]), y[m], transitions, first, last)
        for x, y, m in zip(X, TAGS, HOLES, strict=True)
    ]
    scores = layer(X, mask=ops.convert_to_tensor(HOLES))
    got = losses.linear_chain_crf(TAGS, scores, mask=HOLES)
    np.testing.assert_allclose(array(got), expected, rtol=2e-6)


def test_without_transitions_each_step_is_a_softmax():
    """With the layer's default weights, which are 0."""
    got = losses.linear_chain_crf(TAGS, layers.CRF()(X))
    steps = losses.sequence_crossentropy(TAGS, X, from_logits=True, average_across_timesteps=False)
    np.testing.assert_allclose(array(got), array(steps), rtol=1e-6)
    tags, _ = layers.viterbi(layers.CRF()(X))
    np.testing.assert_array_equal(array(tags), X.argmax(-1))


def _model(**settings):
    return keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            keras.layers.Embedding(8, 6, mask_zero=True, embeddings_initializer=NORMAL),
            keras.layers.Dense(4, kernel_initializer=NORMAL),
            _layer(**settings),
        ]
    )


WORDS = np.array([[1, 2, 3, 4, 5], [6, 7, 1, 0, 0], [2, 3, 0, 0, 0], [4, 0, 0, 0, 0]])
# The tag depends on the word before.
NAMES = np.where(WORDS == 0, -1, np.roll(WORDS, 1, axis=1) % 4)
NAMES[:, 0] = 0
WITH_AND_WITHOUT = (WORDS, NAMES), (WORDS[:, :3], NAMES[:, :3])


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_tagger_learns_and_comes_back_from_its_file(policy, tmp_path):
    """The loss needs nothing of the layer but its output, and padding changes nothing."""
    if policy != "float32" and keras.version() < "3.14":
        raise NotApplicable("before Keras 3.14 the cast of an input loses its mask")
    keras.config.set_dtype_policy(policy)
    model = _model(
        transition_regularizer=keras.regularizers.L2(1e-4),
        boundary_constraint=keras.constraints.MaxNorm(3.0),
    )
    model.compile(keras.optimizers.Adam(0.1), losses.LinearChainCRF())
    before = model.evaluate(WORDS, NAMES, verbose=0)
    transitions = model.layers[-1].get_weights()[0]
    model.fit(WORDS, NAMES, epochs=30, verbose=0)
    assert model.evaluate(WORDS, NAMES, verbose=0) < before / 10
    assert np.all(model.layers[-1].get_weights()[0] != transitions)
    assert len(model.layers[-1].losses) == 1
    assert model.layers[-1].dtype_policy.name == policy
    assert keras.backend.standardize_dtype(model(WORDS).dtype) == "float32"

    tagger = keras.Sequential([model, layers.Viterbi()])
    found = tagger.predict(WORDS, verbose=0)
    np.testing.assert_array_equal(found, NAMES)

    # A row without its padding costs the same.
    alone, padded = (model.evaluate(w[1:2], y[1:2], verbose=0) for w, y in WITH_AND_WITHOUT)
    np.testing.assert_allclose(alone, padded, rtol=1e-2 if "16" in policy else 1e-4)

    tagger.save(tmp_path / "tagger.keras")
    again = keras.models.load_model(tmp_path / "tagger.keras")
    np.testing.assert_array_equal(again.predict(WORDS, verbose=0), found)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    crf = again.layers[-1]
    assert isinstance(crf.transition_regularizer, keras.regularizers.L2)
    assert isinstance(crf.boundary_constraint, keras.constraints.MaxNorm)
    assert again.evaluate(WORDS, NAMES, verbose=0) == pytest.approx(
        model.evaluate(WORDS, NAMES, verbose=0), rel=1e-5
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Of JAX, of how Keras exports.
def test_the_best_path_compiles_and_exports(tmp_path):
    model = keras.Sequential([_model(), layers.Viterbi()])
    expected = array(model(WORDS))
    scores = ops.convert_to_tensor(array(_layer()(X)).astype("float32"))
    got = compiled(lambda scores: layers.viterbi(scores)[0])(scores)
    np.testing.assert_array_equal(array(got), array(layers.viterbi(scores)[0]))
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        batch = (({0: torch.export.Dim("batch")},),)
        program = torch.export.export(
            model, (torch.tensor(WORDS[1:]),), dynamic_shapes=batch, strict=False
        )
        np.testing.assert_array_equal(program.module()(torch.tensor(WORDS)), expected)
    else:
        import tensorflow as tf

        model.export(tmp_path / "model", verbose=False)
        served = tf.saved_model.load(str(tmp_path / "model"))
        np.testing.assert_array_equal(served.serve(WORDS.astype("int32")), expected)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="others export a loop")
@pytest.mark.skipif(parse(keras.__version__) < parse("3.15"), reason="takes another exporter")
@pytest.mark.filterwarnings("ignore")  # Of torch, of how Keras exports.
def test_a_trace_of_one_step_is_no_export(tmp_path):
    """Of a loop ONNX would have the one step that Keras traces for an unknown number."""
    scores = keras.Input((None, 3, 3))
    model = keras.Model(scores, layers.Viterbi()(scores))
    model(np.zeros((1, 4, 3, 3)))
    with pytest.raises(ValueError, match="fix the number of steps"):
        model.export(tmp_path / "model.onnx", format="onnx", verbose=False)


def test_shapes_are_known_and_wrong_ones_refused():
    inputs = keras.Input((None, 4))
    scores = layers.CRF()(inputs)
    assert scores.shape == (None, None, 4, 4)
    assert layers.Viterbi()(scores).shape == (None, None)
    with pytest.raises(ValueError, match=r"\(batch, steps, tags\)"):
        layers.CRF()(np.zeros((2, 3)))
    with pytest.raises(TypeError, match="use_boundary"):
        layers.CRF(use_boundary="yes")


def test_potentials_of_other_axes_are_refused():
    for shape in ((2, 3, 4), (2, 3, 4, 5)):
        for call in (layers.viterbi, layers.Viterbi()):
            with pytest.raises(ValueError, match=r"viterbi: potentials .* put a CRF layer before"):
                call(np.zeros(shape))
        with pytest.raises(ValueError, match=r"viterbi: potentials of shape \(None, 3, 4"):
            layers.Viterbi()(keras.Input(shape[1:]))


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 2)])
def test_nothing_to_tag(shape):
    assert tuple(layers.CRF()(np.zeros(shape)).shape) == (*shape, 2)


def test_numbers_that_are_integers():
    x = np.arange(6).reshape(1, 3, 2)
    np.testing.assert_array_equal(array(layers.CRF()(x)), array(layers.CRF()(x.astype("float32"))))


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "bfloat16"])
def test_dtypes_are_known_and_scores_are_not_rounded(policy):
    scores, tags = layers.CRF(dtype=policy), layers.Viterbi(dtype=policy)
    x, known = np.zeros((1, 3, 2)), keras.Input((3, 2))
    for layer in (scores, tags):
        x, known = layer(x), layer(known)
        assert keras.backend.standardize_dtype(x.dtype) == known.dtype
    close = np.float32([[[[1000, 1000.1], [0, 0]]]])
    np.testing.assert_array_equal(array(tags(close)), [[1]])


@pytest.mark.parametrize(
    "layer",
    [layers.Viterbi(), layers.CRF(), _layer(use_boundary=False, name="tags", dtype="float64")],
    ids=repr,
)
def test_config(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config() and repr(again) == repr(layer)


def test_sequences_of_another_length():
    """A second length is compiled for any."""
    tagger = keras.Sequential([layers.CRF(), layers.Viterbi()])
    for steps in (4, 6):
        assert tagger.predict(np.zeros((2, steps, 3)), verbose=0).shape == (2, steps)


def test_training_on_sequences_of_another_length():
    model = keras.Sequential([layers.CRF()])
    model.compile("sgd", losses.LinearChainCRF())
    for steps in (2, 3):
        model.reset_metrics()  # Keras 3.12 tells the mean of all batches.
        value = model.train_on_batch(np.zeros((1, steps, 2)), np.zeros((1, steps), "int32"))
        assert float(value) == pytest.approx(steps * np.log(2), rel=0.1)
