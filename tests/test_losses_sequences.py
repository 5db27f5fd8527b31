"""What goes wrong with losses of sequences elsewhere, and plain loops."""

import functools
import itertools

import keras
import numpy as np
import pytest
import torch
from keras import ops
from mpmath import mp

from keras_actloss import layers, losses
from keras_actloss.testing import oracle
from keras_actloss.testing.backend import array, at_once, compiled, value_and_gradient

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 6, 4)).astype("float32")
LABELS = np.array([[1, 2, -1], [1, 1, 2], [3, -1, -1], [-1, -1, -1]])
CTC = losses.CTC(from_logits=True, reduction="none")
SCORES = RNG.normal(size=(3, 5, 3, 3)).astype("float32") * 2
TAGS = RNG.integers(0, 3, (3, 5))
HOLES = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 1, 1], [1, 1, 1, 0, 0]], bool)


def _ctc_of_labels(x):
    return CTC(LABELS, x)


def _log_softmax(x):
    x = np.float64(x)
    return (
        x
        - x.max(-1, keepdims=True)
        - np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1))[..., None]
    )


def _ctc(labels, x, blank=0):
    """All rows of one class a frame that spell the labels."""
    log_p = _log_softmax(x)
    total = 0.0
    for row in itertools.product(range(x.shape[-1]), repeat=len(x)):
        if [c for c, _ in itertools.groupby(row) if c != blank] == list(labels):
            total += np.exp(sum(log_p[t, c] for t, c in enumerate(row)))
    return -np.log(total) if total else np.inf


# At once, which on JAX takes a fraction of the time.
_both = functools.partial(value_and_gradient, through=at_once)


def _value(call, x):
    return array(at_once(call)(ops.convert_to_tensor(x)))


def _masked(x, mask):
    x = ops.convert_to_tensor(x)
    x._keras_mask = ops.convert_to_tensor(mask)
    return x


def test_ctc_counts_alignments():
    expected = [_ctc([c for c in row if c >= 0], x) for row, x in zip(LABELS, X, strict=True)]
    np.testing.assert_allclose(_value(_ctc_of_labels, X), expected, rtol=1e-6)


@pytest.mark.parametrize("blank", [1, -1])
def test_ctc_takes_any_blank(blank):
    """Keras's is 0, and so class 0 is no label there."""
    moved = np.insert(X[..., 1:], blank % 4, X[..., 0], axis=-1)
    ids = np.delete(np.arange(4), blank % 4)
    labels = np.where(LABELS < 0, -7, ids[LABELS - 1])
    loss = losses.CTC(from_logits=True, blank=blank, reduction="none")
    got = _value(lambda x: loss(labels, x), moved)
    np.testing.assert_allclose(got, _value(_ctc_of_labels, X), rtol=1e-6)


def test_ctc_tells_the_length_by_padding_or_as_told():
    expected = _value(_ctc_of_labels, X)
    padded = _value(lambda x: CTC(np.where(LABELS < 0, 0, LABELS), x), X)
    np.testing.assert_allclose(padded, expected, rtol=1e-6)
    filled = np.where(LABELS < 0, 2, LABELS)
    lengths = (LABELS >= 0).sum(-1)
    told = _value(lambda x: losses.ctc(filled, x, from_logits=True, label_length=lengths), X)
    np.testing.assert_allclose(told, expected, rtol=1e-6)


@pytest.mark.parametrize("holes", [False, True])
def test_ctc_leaves_out_masked_frames(holes):
    """Keras takes all frames."""
    mask = np.array([1, 0, 1, 1, 0, 1] if holes else [1, 1, 1, 1, 0, 0], bool)
    spoilt = np.where(mask[:, None], X, np.nan)
    expected = _both(_ctc_of_labels, X[:, mask])
    batch = np.tile(mask, (4, 1))
    told = {"mask": batch} if holes else {"input_length": [4] * 4}
    value, gradient = _both(lambda x: losses.ctc(LABELS, x, from_logits=True, **told), spoilt)
    np.testing.assert_allclose(value, expected[0], rtol=1e-6)
    np.testing.assert_allclose(gradient[:, mask], expected[1], rtol=1e-5, atol=1e-7)
    assert np.all(gradient[:, ~mask] == 0)
    np.testing.assert_allclose(CTC(LABELS, _masked(spoilt, batch)), expected[0], rtol=1e-6)


class _Frames(keras.layers.Layer):
    """Tells of what a layer without masks has made how many frames of each sample count."""

    def call(self, inputs):
        return inputs[0]

    def compute_mask(self, inputs, previous_mask):
        x, length = inputs
        return ops.expand_dims(length, -1) > ops.arange(x.shape[1])

    def compute_output_shape(self, shapes):
        return shapes[0]


def test_ctc_in_training_has_its_lengths_from_padding_and_mask():
    """As the function has them told. Keras's class takes all frames, and a label of 0 for none."""
    label_length, input_length = np.array([2, 3, 1, 0]), np.array([3, 5, 6, 0])
    inputs = [keras.Input((6, 4)), keras.Input((), dtype="int32")]
    dense = keras.layers.Dense(4, kernel_initializer="identity")
    model = keras.Model(inputs, _Frames()([dense(inputs[0]), inputs[1]]))
    model.compile(keras.optimizers.SGD(0.5), losses.CTC(from_logits=True, reduction="sum"))
    noise = np.abs(LABELS)  # Behind the labels, which only lengths tell.
    told = {"label_length": label_length, "input_length": input_length}
    value, slope = _both(lambda x: losses.ctc(noise, x, from_logits=True, **told), X)
    padded = np.where(np.arange(3) < label_length[:, None], noise, -1)
    assert value[3] == 0 and np.all(value[:3] > 0)
    assert model.evaluate([X, input_length], padded, verbose=0) == pytest.approx(
        value.sum(), rel=1e-6
    )
    model.train_on_batch([X, input_length], padded)
    np.testing.assert_allclose(dense.bias, -0.5 * slope.sum((0, 1)), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("through", [None, compiled])
def test_ctc_of_labels_that_do_not_fit(through):
    """1e5 on JAX, infinity with a gradient of NaN on torch, 708 on TensorFlow."""
    x = X[:, :3]  # One frame too few for 1, blank, 1, 2.
    labels = ops.convert_to_tensor(LABELS)
    value, gradient = value_and_gradient(lambda x: CTC(labels, x), x, through=through)
    assert value[1] == np.inf and np.all(np.isfinite(value[[0, 2, 3]]))
    assert np.all(gradient[1] == 0) and np.all(np.isfinite(gradient))
    assert np.all(np.any(gradient[[0, 2, 3]] != 0, axis=(1, 2)))
    zero = losses.CTC(from_logits=True, zero_infinity=True)
    value, gradient = value_and_gradient(lambda x: zero(labels, x), x, through=through)
    assert np.isfinite(value) and np.all(np.isfinite(gradient)) and np.all(gradient[1] == 0)


def test_ctc_without_labels_or_frames():
    silence = -_log_softmax(X)[..., 0].sum(-1)
    for labels in (np.full((4, 2), -1), np.zeros((4, 0), "int32")):
        got = _value(lambda x, labels=labels: CTC(labels, x), X)
        np.testing.assert_allclose(got, silence, rtol=1e-6)
    one = _value(lambda x: CTC([[1], [2], [3], [-1]], x), X[:, :1])
    np.testing.assert_allclose(one, -_log_softmax(X)[range(4), 0, [1, 2, 3, 0]], rtol=1e-6)
    none = _value(lambda x: losses.ctc(LABELS, x, from_logits=True, input_length=[0] * 4), X)
    assert np.all(none == 0)


def test_ctc_of_barred_classes():
    """A class of logit minus infinity costs infinity where it is asked for, and nothing else."""
    x = X.copy()
    x[..., 3] = -np.inf
    value, gradient = _both(_ctc_of_labels, x)
    assert value[2] == np.inf and np.all(gradient[2] == 0)
    assert np.all(np.isfinite(value[[0, 1, 3]])) and np.all(np.isfinite(gradient))


@pytest.mark.parametrize(
    ("labels", "settings", "named"),
    [
        ([[1, 0, 2]] * 4, {}, "the id 0"),
        ([[1, 9, 2]] * 4, {}, "the id 9"),
        (LABELS, {"blank": 4}, "blank must be one of the 4"),
        (LABELS, {"label_length": [3] * 4}, "the id -1"),
        (LABELS[:3], {}, r"\(3, 3\) does not fit"),
        (LABELS, {"label_length": [1, 2, 5, 0]}, "label_length .* 3 labels .* got 5"),
        (LABELS, {"label_length": [1, -2, 1, 0]}, "label_length .* 3 labels .* got -2"),
        (LABELS, {"label_length": [[1]] * 4}, r"label_length of shape \(4, 1\).* batch of 4"),
        (LABELS, {"label_length": 2}, r"label_length of shape \(\).* one integer a sample"),
        (LABELS, {"input_length": [6, 9, 6, 6]}, "input_length .* 6 frames .* got 9"),
        (LABELS, {"input_length": [-1] * 4}, "input_length .* 6 frames .* got -1"),
        (LABELS, {"input_length": [6] * 3}, r"input_length of shape \(3,\).* batch of 4"),
        (LABELS, {"input_length": [[6]] * 4}, r"input_length of shape \(4, 1\).* batch of 4"),
    ],
)
def test_ctc_refuses(labels, settings, named):
    with pytest.raises(ValueError, match=named):
        losses.ctc(np.array(labels), X, from_logits=True, **settings)


@pytest.mark.parametrize("name", ["label_length", "input_length"])
@pytest.mark.parametrize(
    ("length", "got"), [([2.5] * 4, "2.5 of dtype float"), ([True] * 4, "bool")]
)
def test_ctc_counts_in_integers(name, length, got):
    with pytest.raises(TypeError, match=f"{name} .* integer dtype, got .*{got}.* astype"):
        losses.ctc(LABELS, X, from_logits=True, **{name: length})


def test_ctc_takes_lengths_that_a_graph_does_not_know():
    labels, x = ops.convert_to_tensor(np.abs(LABELS)), ops.convert_to_tensor(X)
    lengths = ops.convert_to_tensor([2, 3, 1, 0])
    call = compiled(
        lambda length: losses.ctc(
            labels, x, from_logits=True, label_length=length, input_length=length + 3
        )
    )
    told = {"label_length": [2, 3, 1, 0], "input_length": [5, 6, 4, 3]}
    expected = losses.ctc(labels, x, from_logits=True, **told)
    np.testing.assert_allclose(array(call(lengths)), array(expected), rtol=1e-6)


def test_ctc_without_a_frame_in_the_batch():
    with pytest.raises(ValueError, match=r"\(4, 0, 4\) has no frames"):
        CTC(LABELS, X[:, :0])


def _ctc_in_a_loop(labels, x):
    """Value and gradient in fifty digits, by what the states weigh from both ends."""
    with mp.workdps(50):
        e = np.vectorize(mp.exp, otypes=[object])(oracle.exact(x))
        p = e / e.sum(-1, keepdims=True)
        path = np.zeros(2 * len(labels) + 1, int)
        path[1::2] = labels

        def walk(p, path):
            skips = np.append([False] * 2, (path[2:] != 0) & (path[2:] != path[:-2]))
            weights = [np.where(np.arange(len(path)) < 2, p[0, path], 0)]
            for frame in p[1:]:
                one, two = (np.append([0] * k, weights[-1][:-k]) for k in (1, 2))
                weights.append(frame[path] * (weights[-1] + one + skips * two))
            return np.stack(weights)

        back = walk(p[::-1], path[::-1])[::-1, ::-1]
        through = walk(p, path) * back / p[:, path]
        total = through[0].sum()
        slope = p.copy()
        for state, label in enumerate(path):
            slope[:, label] -= through[:, state] / total
        return float(-mp.log(total)), slope.astype("float64")


def _ctc_of_torch(labels, x):
    """What PyTorch's own loss gives, in float32."""
    x = torch.tensor(x[:, None], requires_grad=True)
    sizes = torch.tensor([len(x)]), torch.tensor([len(labels)])
    log_p = torch.log_softmax(x, -1)
    loss = torch.nn.functional.ctc_loss(log_p, torch.tensor(labels[None]), *sizes, reduction="sum")
    loss.backward()
    return loss.item(), x.grad[:, 0].numpy()


def _aligned(frames, lead):
    """Labels, and logits in which their alignment is ahead of the other classes."""
    rng, labels = np.random.default_rng(lead), np.array([3, 1, 1, 4, 2] * 4)
    x = rng.normal(size=(frames, 6)).astype("float32")
    states = np.arange(frames) * (2 * len(labels) + 1) // frames
    x[np.arange(frames), np.where(states % 2, labels[(states - 1) // 2], 0)] += lead
    return labels, x


@pytest.mark.parametrize("lead", [0, 5, 20])
def test_ctc_of_many_frames(lead):
    """Rounding does not add up in 200 frames: values to 8 ULP, slopes to those of their frame.

    The kernel of torch adds a rounded logarithm of up to the whole loss in each frame, which moves
    slopes by hundreds of ULP where nothing is certain. Where it runs we are no better than it, but
    for values that are nearly 0.
    """
    labels, x = _aligned(200, lead)
    truth, slope = _ctc_in_a_loop(labels, x)
    (value,), (gradient,) = _both(lambda x: CTC(labels[None], x), x[None])
    unit = np.spacing(np.abs(slope).max(-1, keepdims=True).astype("float32"))
    off = np.abs(gradient - slope) / unit
    theirs, their_slope = _ctc_of_torch(labels, x)
    their_off = np.abs(their_slope - slope) / unit
    if keras.backend.backend() == "torch":
        assert abs(value - truth) <= abs(theirs - truth) + 8 * np.spacing(np.float32(truth))
        assert np.linalg.norm(off) <= 1.1 * np.linalg.norm(their_off)
    else:
        assert abs(value - truth) <= 8 * np.spacing(np.float32(truth))
        assert np.percentile(off, 99) <= 8 and off.max() <= 32
        assert np.linalg.norm(off) <= np.linalg.norm(their_off)


def _paths(scores, keep):
    """All paths through the steps that count, with what each scores."""
    steps = np.flatnonzero(keep)
    for path in itertools.product(range(scores.shape[-1]), repeat=len(steps)):
        before = (0, *path[:-1])
        yield path, sum(scores[t, i, j] for t, i, j in zip(steps, before, path, strict=True))


@pytest.mark.parametrize("mask", [np.ones((3, 5), bool), HOLES], ids=["all", "holes"])
def test_chain_enumerates_paths(mask):
    """Value, gradient and best path; a Keras mask may have holes and may pad on the left."""
    truth, slope = [], np.zeros(SCORES.shape)
    for b in range(3):
        paths = list(_paths(np.float64(SCORES[b]), mask[b]))
        weights = np.exp([score for _, score in paths])
        asked = tuple(TAGS[b, mask[b]])
        truth.append(np.log(weights.sum()) - dict(paths)[asked])
        for (path, _), p in zip(paths, weights / weights.sum(), strict=True):
            p = p - (path == asked)
            before = (0, *path[:-1])
            for t, i, j in zip(np.flatnonzero(mask[b]), before, path, strict=True):
                slope[b, t, i, j] += p
    spoilt = np.where(mask[..., None, None], SCORES, np.nan)
    tags = np.where(mask, TAGS, -1)
    loss = losses.LinearChainCRF(reduction="none")
    value, gradient = _both(lambda x: losses.linear_chain_crf(tags, x, mask=mask), spoilt)
    np.testing.assert_allclose(value, truth, rtol=2e-6)
    np.testing.assert_allclose(gradient, slope, rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(loss(tags, _masked(spoilt, mask)), truth, rtol=2e-6)
    found, score = (_value(lambda x, i=i: layers.viterbi(x, mask)[i], spoilt) for i in (0, 1))
    for b in range(3):
        best, of_best = max(_paths(np.float64(SCORES[b]), mask[b]), key=lambda pair: pair[1])
        assert tuple(found[b, mask[b]]) == best
        assert np.all(found[b, ~mask[b]] == -1)
        assert float(score[b]) == pytest.approx(of_best, rel=1e-5)


def test_a_confident_chain_still_learns():
    """A difference of two large sums would be 0, or below."""
    scores = np.zeros((1, 4, 2, 2), "float32")
    scores[..., 1] = 30
    value, gradient = _both(lambda x: losses.linear_chain_crf([[1, 1, 1, 1]], x), scores)
    assert value[0] == pytest.approx(4 * np.exp(-30), rel=1e-5)
    assert gradient[0, 0, 0, 1] == pytest.approx(-np.exp(-30), rel=1e-5)


def test_barred_pairs_of_tags():
    scores = SCORES.copy()
    scores[:, 1:, 0, 1] = -np.inf
    tags = np.array([[0, 1, 1, 1, 1], [0, 0, 2, 1, 0], [2, 1, 2, 0, 2]])
    value, gradient = _both(lambda x: losses.linear_chain_crf(tags, x), scores)
    assert value[0] == np.inf and np.all(np.isfinite(value[1:]))
    assert np.all(np.isfinite(gradient)) and np.all(gradient[1:, 1:, 0, 1] == 0)
    assert np.all(np.isfinite(_value(lambda x: layers.viterbi(x)[1], scores)))


def test_a_chain_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"end the model in layers\.CRF"):
        losses.linear_chain_crf([[0, 1]], np.zeros((1, 2, 3, 2)))
    with pytest.raises(ValueError, match="class id 3"):
        losses.linear_chain_crf(TAGS + 1, SCORES)
    with pytest.raises(ValueError, match=r"\(3, 4\).*\(3, 5, 3, 3\)"):
        losses.LinearChainCRF()(TAGS[:, :4], SCORES)


STEPS = RNG.normal(size=(3, 4, 5)).astype("float32")
IDS = np.array([[0, 1, -1, -1], [2, 3, 4, 1], [-1, -1, -1, -1]])


@pytest.mark.parametrize("average", [True, False])
def test_a_sequence_is_the_mean_or_the_sum_of_its_steps(average):
    """A Keras mask over steps is ignored by losses that reduce them elsewhere."""
    steps = np.array(
        losses.sparse_categorical_crossentropy(IDS, STEPS, from_logits=True, ignore_class=-1)
    )
    counts = (IDS >= 0).sum(-1)
    expected = steps.sum(-1) / (np.maximum(counts, 1) if average else 1)
    ignoring = losses.SequenceCrossentropy(
        from_logits=True, ignore_class=-1, average_across_timesteps=average, reduction="none"
    )
    masking = losses.SequenceCrossentropy(
        from_logits=True, average_across_timesteps=average, reduction="none"
    )
    np.testing.assert_allclose(ignoring(IDS, STEPS), expected, rtol=1e-6)
    got = masking(np.maximum(IDS, 0), _masked(STEPS, IDS >= 0))
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    ignoring.reduction = "mean"
    assert float(ignoring(IDS, STEPS)) == pytest.approx(expected[:2].mean(), rel=1e-6)
