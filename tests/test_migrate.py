"""Models that TensorFlow Addons saved predict, cost and train here as they did there."""

import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import keras_actloss
from keras_actloss import layers, losses, migrate
from keras_actloss.migrate import keras2, names
from keras_actloss.migrate.__main__ import main

pytestmark = pytest.mark.slow

MODELS = Path(__file__).parent / "tfa_models"
# What is read of a file does not depend on the backend, which only computes.
FORMATS = ["h5", "keras"] if keras.backend.backend() == "tensorflow" else ["keras"]
FILES = sorted(path.stem for path in MODELS.glob("*.h5"))
GROUP_NORM = {"Addons>GroupNormalization": keras.layers.GroupNormalization}

# What each file's object of TFA is here.
EXPECTED = {
    "act_gelu": "GELU(approximate=True)",
    "act_hardshrink": "HardShrink()",
    "act_lisht": "LiSHT()",
    "act_sparsemax": "Sparsemax()",
    "act_str_gelu": "GELU(approximate=True)",
    "layer_GELU": "GELU(approximate=True)",
    "layer_Maxout": "Maxout(num_units=3, axis=-1)",
    "layer_Snake": "LearnedSnake(shared_axes='all')",
    "layer_TLU": "TLU(affine=False, shared_axes=[])",
    "loss_ContrastiveLoss": "Contrastive(margin=1.2)",
    "loss_GIoULoss": "GIoU(bounding_box_format='yxyx')",
    "loss_LiftedStructLoss": "LiftedStructure(margin=0.9)",
    "loss_NpairsLoss": "NPairs(from_products=True)",
    "loss_PinballLoss": "Quantile(quantiles=0.3)",
    "loss_SigmoidFocalCrossEntropy": "WeightedSum(losses=[BinaryFocalCrossentropy(alpha=0.3, "
    "gamma=1.5, from_logits=True)], weights=[3.0])",
    "loss_SparsemaxLoss": "CategoricalSparsemax()",
    "loss_TripletSemiHardLoss": "TripletSemiHard(margin=0.7, distance='euclidean')",
    "loss_WeightedKappaLoss": "CategoricalWeightedKappa(weighting='quadratic', log_epsilon=1e-06)",
    "loss_fn_sigmoid_focal_crossentropy": "WeightedSum(losses=[BinaryFocalCrossentropy(alpha=0.25, "
    "gamma=2.0, from_logits=False)], weights=[3.0])",
    "more_boxes_giou": "GIoU(bounding_box_format='yxyx')",
    "more_boxes_iou": "IoU(bounding_box_format='yxyx')",
    "more_cosine": "TripletSemiHard(margin=0.4, distance='cosine')",
    "more_hard": "TripletHard(margin=0.7, soft=False, distance='squared_euclidean')",
    "more_multilabel": "NPairsMultilabel(from_products=True)",
    "more_pairs": "NPairs(from_products=True)",
    "more_rrelu": "RReLU()",
    "more_soft": "TripletHard(margin=1.0, soft=True, distance='euclidean')",
}
# Those whose loss, or optimizer, there is not here, and a word of what to do.
NOT_COMPILED = {
    "more_compiled": "optimizer=",
}
# Tests of their own have these.
OTHER_LOSS = ["loss_GIoULoss", "more_nested"]


def _load(name, format="keras", **options):
    return migrate.load_model(MODELS / f"{name}.{format}", return_report=True, **options)


def _recorded(name):
    return dict(np.load(MODELS / f"{name}.npz"))


def _outputs(model, x):
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(model(x))]


def _same_predictions(model, recorded):
    y_pred = _outputs(model, recorded["x"])
    expected = [recorded[key] for key in sorted(recorded) if key.startswith("pred")]
    for got, wanted in zip(y_pred, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    return y_pred[0]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", [name for name in FILES if name not in NOT_COMPILED])
def test_a_file(name, format):
    """Predictions and losses, also with sample weights, are those of TFA."""
    model, report = _load(name, format, custom_objects=GROUP_NORM)
    recorded = _recorded(name)
    y_pred = _same_predictions(model, recorded)
    for key, weight in (("loss", None), ("loss_sw", recorded.get("sw"))):
        if key in recorded and name not in OTHER_LOSS:
            got = float(model.loss(recorded["y"], y_pred, weight))
            np.testing.assert_allclose(got, recorded[key], rtol=1e-5)
    assert not report.missing
    if name in EXPECTED:
        (change,) = report.changes
        assert change.new == EXPECTED[name]
        assert change.new in str(report) and change.note in str(report)


@pytest.mark.parametrize("format", FORMATS)
def test_a_model_in_a_model_with_two_losses(format):
    model, report = _load("more_nested", format)
    recorded = _recorded("more_nested")
    labels = {name: recorded[f"y_{name}"] for name in ("amount", "labels")}
    found = model.evaluate(recorded["x"], labels, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["loss"], recorded["loss"], rtol=1e-5)
    assert any("auc" in name for name in found) and any("accuracy" in name for name in found)
    where = {change.where.split("/")[-1]: change.new for change in report.changes}
    assert where == {
        "dense, activation": "SoftShrink()",
        "lstm, activation": "LiSHT()",
        "snake": "LearnedSnake(shared_axes='all')",
        "dense_1, activation": "TanhShrink()",
        "tlu": "TLU(affine=True, shared_axes=[])",
        "snake_1": "LearnedSnake(shared_axes='all')",
        "compile, loss of amount": "Quantile(quantiles=0.2)",
        "compile, loss of labels": "WeightedSum(losses=[BinaryFocalCrossentropy(alpha=0.4, "
        "gamma=2.0, from_logits=False)], weights=[3.0])",
    }


# How Keras 2 wrote what a model is compiled with.


def _compiled(config, path, outputs=1):
    """A model whose file has that compile config."""
    inputs = keras.Input((3,))
    ends = [keras.layers.Dense(2, name=name)(inputs) for name in "ab"[:outputs]]
    keras.Model(inputs, ends if outputs > 1 else ends[0]).save(path)
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    parts["config.json"] = json.dumps(json.loads(parts["config.json"]) | {"compile_config": config})
    with zipfile.ZipFile(path, "w") as file:
        for name, text in parts.items():
            file.writestr(name, text)
    model, report = migrate.load_model(path, return_report=True)
    assert not report.changes
    return model


X, Y = np.ones((4, 3)), np.full((4, 2), 0.5)


def test_a_schedule_without_a_name(tmp_path):
    config = {"initial_learning_rate": 0.5, "decay_steps": 10, "decay_rate": 0.9, "name": None}
    schedule = {
        "module": "keras.optimizers.schedules",
        "class_name": "ExponentialDecay",
        "config": config,
        "registered_name": None,
    }
    optimizer = {"class_name": "SGD", "config": {"learning_rate": schedule, "name": "SGD"}}
    model = _compiled({"optimizer": optimizer, "loss": "mse"}, tmp_path / "model.keras")
    model.fit(X, Y, verbose=0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.5 * 0.9**0.1)


def test_an_optimizer_that_scales_the_loss(tmp_path):
    scaled = {
        "module": "keras.src.mixed_precision.loss_scale_optimizer",
        "class_name": "LossScaleOptimizerV3",
        "config": {
            "inner_optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.25}},
            "dynamic": True,
            "initial_scale": 32768.0,
            "dynamic_growth_steps": 2000,
        },
        "registered_name": "LossScaleOptimizerV3",
    }
    model = _compiled({"optimizer": scaled, "loss": "mse"}, tmp_path / "model.keras")
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert float(model.optimizer.learning_rate) == 0.25
    ours = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())
    config = keras.optimizers.serialize(ours)
    assert keras2.unscaled(config) == config


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kullback_leibler_divergence", keras.losses.kl_divergence),
        ("logcosh", keras.losses.log_cosh),
        ("huber_loss", keras.losses.huber),
    ],
)
def test_old_names_of_losses(old, new, tmp_path):
    model = _compiled({"optimizer": "sgd", "loss": old}, tmp_path / "model.keras")
    expected = np.mean(keras.ops.convert_to_numpy(new(Y, model(X))))
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_outputs_without_a_loss_and_metrics_of_every_output(tmp_path):
    config = {"optimizer": "sgd", "loss": {"b": "mse"}, "metrics": ["mae"]}
    model = _compiled(config, tmp_path / "model.keras", outputs=2)
    found = model.evaluate(X, [Y, Y], verbose=0, return_dict=True)
    of_a, of_b = _outputs(model, X)
    assert found["loss"] == pytest.approx(np.mean((of_b - Y) ** 2), rel=1e-5)
    assert found["a_mae"] == pytest.approx(np.mean(abs(of_a - Y)), rel=1e-5)
    assert found["b_mae"] == pytest.approx(np.mean(abs(of_b - Y)), rel=1e-5)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", NOT_COMPILED)
def test_what_cannot_be_compiled_says_why(name, format):
    with pytest.warns(UserWarning, match="compile it yourself") as caught:
        model, report = _load(name, format)
    assert not model.compiled
    _same_predictions(model, _recorded(name))
    assert any(NOT_COMPILED[name] in change.note for change in report.missing)
    assert str(report) in str(caught[0].message)


def test_boxes_with_the_far_corner_first_are_not_empty_here():
    model, report = _load("loss_GIoULoss")
    recorded = _recorded("loss_GIoULoss")
    assert "TFA took a box with the far one first for empty" in report.changes[0].note
    low, high = (
        choose(recorded["pred"][:, :2], recorded["pred"][:, 2:])
        for choose in (np.minimum, np.maximum)
    )
    in_order = np.concatenate([low, high], axis=-1)
    got = [float(model.loss(recorded["y"], y)) for y in (recorded["pred"], in_order)]
    assert got[0] == pytest.approx(got[1], rel=1e-6)
    assert got[0] != pytest.approx(recorded["loss"], rel=1e-3)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_without_a_reduction_trains(format):
    model, report = _load("loss_SigmoidFocalCrossEntropy", format)
    recorded = _recorded("loss_SigmoidFocalCrossEntropy")
    assert model.loss.reduction == "sum_over_batch_size"
    assert "trained on the sum" in report.changes[0].note
    history = model.fit(recorded["x"], recorded["y"], epochs=3, verbose=0).history["loss"]
    np.testing.assert_allclose(history[0], recorded["loss"], rtol=1e-5)
    assert history[2] < history[0]


def test_one_output_is_no_list():
    model, _ = _load("more_rrelu")
    assert tuple(model(_recorded("more_rrelu")["x"]).shape) == (12, 2)


def test_the_one_frequency_of_a_snake_stays_one():
    model, _ = _load("layer_Snake")
    snake = next(layer for layer in model.layers if isinstance(layer, layers.LearnedSnake))
    assert tuple(snake.frequency.shape) == ()


def test_a_bare_gelu_may_be_that_of_keras():
    model, report = _load("act_gelu", gelu="exact")
    assert not report.changes and model.layers[0].activation is keras.activations.gelu
    recorded = _recorded("act_gelu")
    off = np.abs(_outputs(model, recorded["x"])[0] - recorded["pred"]).max()
    assert 1e-5 < off < 1e-3
    with pytest.raises(ValueError, match="gelu must be 'tanh' or 'exact', got 'erf'"):
        _load("act_gelu", gelu="erf")


@pytest.mark.parametrize("format", FORMATS)
def test_a_layer_without_a_counterpart(format):
    with pytest.raises(ValueError, match="GroupNormalization reads its config and weights"):
        _load("more_group_norm", format)
    _, report = _load("more_group_norm", format, custom_objects=GROUP_NORM)
    assert report.changes[0].new == "of custom_objects"


@pytest.mark.parametrize("format", FORMATS)
def test_another_optimizer_and_what_is_left_of_the_metrics(format):
    model, report = _load("more_compiled", format, optimizer="sgd")
    assert [change.old for change in report.missing] == ["Addons>F1Score"]
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert model.loss.label_smoothing == 0.1
    recorded = _recorded("more_compiled")
    found = model.evaluate(recorded["x"], recorded["y"], verbose=0, return_dict=True)
    assert sorted(found) == ["loss", "precision"]
    np.testing.assert_allclose(found["loss"], recorded["loss"], rtol=1e-5)


def test_an_optimizer_as_an_object():
    schedule = keras.optimizers.schedules.CosineDecay(0.5, 10)
    optimizer = keras.optimizers.SGD(schedule, momentum=0.5, weight_decay=0.1)
    model, _ = _load("more_compiled", optimizer=optimizer)
    assert model.optimizer.get_config() == optimizer.get_config()
    recorded = _recorded("more_compiled")
    model.fit(recorded["x"], recorded["y"], verbose=0)
    with pytest.raises(ValueError, match="optimizer identifier: adamm"):
        _load("more_compiled", optimizer="adamm")


def test_the_learning_rate_is_that_of_the_file():
    for format in FORMATS:
        model, _ = _load("more_boxes_giou", format)
        assert float(model.optimizer.learning_rate) == pytest.approx(0.01)


@pytest.mark.parametrize("name", ["layer_Snake", "loss_SigmoidFocalCrossEntropy", "more_nested"])
@pytest.mark.parametrize("format", FORMATS)
def test_a_clean_file(name, format, tmp_path):
    new, x = tmp_path / "new.keras", _recorded(name)["x"]
    report = migrate.convert(MODELS / f"{name}.{format}", new)
    assert not report.missing
    with zipfile.ZipFile(new) as archive:
        assert b"Addons" not in archive.read("config.json")
    again, before = keras.models.load_model(new), _load(name, format)[0]
    for got, expected in zip(_outputs(again, x), _outputs(before, x), strict=True):
        np.testing.assert_array_equal(got, expected)
    if name != "layer_Snake":
        assert repr(again.loss) == repr(before.loss) or set(again.loss) == set(before.loss)


def test_converting_writes_over_nothing(tmp_path):
    new = tmp_path / "new.keras"
    new.write_text("precious")
    with pytest.raises(FileExistsError, match="choose another name"):
        migrate.convert(MODELS / "act_lisht.h5", new)
    assert new.read_text() == "precious"
    migrate.convert(MODELS / "act_lisht.h5", new, overwrite=True)
    keras.models.load_model(new)
    with pytest.raises(ValueError, match=r"must end in \.keras"):
        migrate.convert(MODELS / "act_lisht.h5", tmp_path / "new.h5")


# Files of early releases.


def _edited(name, tmp_path, edit):
    path = tmp_path / f"{name}.h5"
    path.write_bytes((MODELS / f"{name}.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        edit(config["config"]["layers"])
        file.attrs["model_config"] = json.dumps(config)
    return path


def test_initializers_without_modules(tmp_path):
    def edit(parts):
        parts[2]["config"]["frequency_initializer"] = {"class_name": "Ones", "config": {}}
        parts[2]["config"]["batch_input_shape"] = [None, 6]

    model = migrate.load_model(_edited("layer_Snake", tmp_path, edit))
    recorded = _recorded("layer_Snake")
    np.testing.assert_allclose(_outputs(model, recorded["x"])[0], recorded["pred"], atol=1e-6)


def test_activations_as_strings_and_an_unknown_one(tmp_path):
    def edit(parts):
        parts[1]["config"]["activation"] = "Addons>lisht"

    model = migrate.load_model(_edited("act_lisht", tmp_path, edit))
    assert isinstance(model.layers[0].activation, layers.LiSHT)

    def spoil(parts):
        parts[1]["config"]["activation"] = "Addons>relish"

    with pytest.raises(ValueError, match="has no activation relish"):
        migrate.load_model(_edited("act_lisht", tmp_path, spoil))


KERNEL = {"kernel_initializer": None, "kernel_regularizer": None, "kernel_constraint": None}
# What Keras 2 wrote beside what Keras 3 takes.
GONE = [
    (keras.layers.BatchNormalization(), {"axis": [3]}),
    (keras.layers.Conv2D(4, 2, groups=2), {"batch_input_shape": [None, 4, 4, 2]}),
    (keras.layers.Conv2DTranspose(3, 2), {"groups": 1}),
    (keras.layers.DepthwiseConv2D(2), {"groups": 1}),
    (keras.layers.GroupNormalization(groups=1), {}),
    (keras.layers.RandomFlip(), {"rng_type": "stateful"}),
    (keras.layers.SeparableConv2D(3, 2), {"groups": 1, **KERNEL}),
    (keras.layers.SpatialDropout2D(0.5), {"noise_shape": None, "trainable": True}),
]


def _of_keras_2(model, tmp_path, edit):
    """The model again, from a file in whose config `edit` has put what Keras 2 wrote."""
    model.save(tmp_path / "new.keras")
    old = tmp_path / "old.keras"
    with zipfile.ZipFile(tmp_path / "new.keras") as source, zipfile.ZipFile(old, "w") as target:
        for name in source.namelist():
            text = source.read(name)
            if name == "config.json":
                config = json.loads(text)
                edit(config)
                text = json.dumps(config)
            target.writestr(name, text)
    return migrate.load_model(old)


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize(("layer", "gone"), GONE, ids=lambda part: getattr(part, "name", ""))
def test_arguments_of_layers_of_keras_2(layer, gone, functional, tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 2)), type(layer).from_config(layer.get_config())])
    if functional:
        model = keras.Model(model.inputs[0], model.outputs[0])

    def edit(config):
        config["config"]["layers"][1]["config"].update(gone)

    again = _of_keras_2(model, tmp_path, edit)
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 2))
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(again(x, training=False)),
        keras.ops.convert_to_numpy(model(x, training=False)),
    )


@pytest.mark.parametrize("value", [[], [8, 4], 2, ["a"]])
def test_a_setting_of_a_user_that_is_named_layers(value):
    node = {"class_name": "Mine", "registered_name": "my>Mine", "config": {"layers": value}}
    assert keras2.layer(node) == node


def test_settings_of_a_users_layer_are_kept():
    config = {"axis": [1], "score_mode": "dot", "groups": 1, "rng_type": "mine"}
    for name in ("MyAttention", "Attention", "Conv2DTranspose", "RandomThing"):
        node = {"class_name": name, "registered_name": f"my>{name}", "config": config}
        assert keras2.layer(node) == node
    node = {"class_name": "MyAttention", "config": config}
    assert keras2.layer(node) == node | {"config": config | {"axis": 1}}


def test_the_shapes_of_inputs_by_name_are_kept():
    shapes = {"input_shape": {"a": [None, 2], "b": [None, 3]}}
    node = {"class_name": "Mine", "config": {}, "build_config": shapes}
    assert keras2.layer(node) == node


def test_an_attention_with_a_tensor_by_name(tmp_path):
    x, y = keras.Input((4, 6), name="x"), keras.Input((5, 6), name="y")
    model = keras.Model([x, y], keras.layers.MultiHeadAttention(2, 3, name="attention")(x, value=y))

    def edit(config):
        layer = config["config"]["layers"][-1]
        layer["inbound_nodes"] = [[["x", 0, 0, {"value": ["y", 0, 0]}]]]
        layer["build_config"] = {"input_shape": [None, 4, 6]}
        layer["config"].update(query_shape=[None, 4, 6], softmax_robust_masking=False)

    again = _of_keras_2(model, tmp_path, edit)
    inputs = [np.random.default_rng(0).normal(size=(2, steps, 6)) for steps in (4, 5)]
    np.testing.assert_array_equal(_outputs(again, inputs)[0], _outputs(model, inputs)[0])


def test_the_first_state_of_a_recurrent_layer(tmp_path):
    x, h, c = (
        keras.Input(shape, name=name) for shape, name in (((4, 6), "x"), ((3,), "h"), ((3,), "c"))
    )
    y = keras.layers.LSTM(3, name="lstm")(x, initial_state=[h, c])
    model = keras.Model([x, h, c], y)

    def edit(config):
        layer = config["config"]["layers"][-1]
        layer["inbound_nodes"] = [[["x", 0, 0, {}], ["h", 0, 0, {}], ["c", 0, 0, {}]]]
        layer["build_config"] = {"input_shape": [[None, 4, 6], [None, 3], [None, 3]]}

    again = _of_keras_2(model, tmp_path, edit)
    inputs = [np.random.default_rng(0).normal(size=(2, *shape)) for shape in ((4, 6), (3,), (3,))]
    np.testing.assert_array_equal(_outputs(again, inputs)[0], _outputs(model, inputs)[0])


def test_several_inputs_and_a_tensor_by_name():
    node = [["x", 0, 0, {"mask": ["m", 0, 1], "flag": True}], ["y", 0, 0, {}]]
    call = keras2._call(node, "Attention")
    ((x, y),), kwargs = call["args"], call["kwargs"]
    histories = [tensor["config"]["keras_history"] for tensor in (x, y, kwargs["mask"])]
    assert histories == [["x", 0, 0], ["y", 0, 0], ["m", 0, 1]] and kwargs["flag"]
    for same in ([], [["x", 0, 0, {"names": ["a", "b", "c"]}]], [["x", 0, 0]]):
        assert keras2._call(same, "Dense") == same


def test_the_steeper_hard_sigmoid_of_keras_2(tmp_path):
    @keras.saving.register_keras_serializable("mine")
    def steeper(x):
        return keras.ops.hard_sigmoid(1.2 * x)

    def edit(parts):
        parts[1]["config"]["activation"] = "hard_sigmoid"

    path = _edited("act_lisht", tmp_path, edit)
    given = {"hard_sigmoid": steeper}
    with pytest.raises(ValueError, match=r"was steeper in Keras 2.*custom_objects=\{'hard_sig"):
        migrate.load_model(path)
    model, report = migrate.load_model(path, custom_objects=given, return_report=True)
    assert model.layers[0].activation is steeper
    assert report.changes[0].new == "of custom_objects"
    again = keras.Sequential([keras.Input((2,)), keras.layers.Activation("hard_sigmoid")])
    again.save(tmp_path / "new.keras")
    _, report = migrate.load_model(tmp_path / "new.keras", return_report=True)
    assert not report.changes


def test_a_layer_that_keras_3_has_no_more(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.ReLU(name="rectifier")])

    def edit(config):
        theirs = {"class_name": "ThresholdedReLU", "config": {"name": "rectifier", "theta": 0.3}}
        config["config"]["layers"][1].update(theirs)

    again = _of_keras_2(model, tmp_path, edit)
    x = np.float32([[-1, 0.2, 0.4, 2]])
    np.testing.assert_array_equal(_outputs(again, x)[0], np.where(x > 0.3, x, 0))
    again.save(tmp_path / "ours.keras")
    _, report = migrate.load_model(tmp_path / "ours.keras", return_report=True)
    assert not report.changes


@pytest.mark.parametrize("place", keras2._FUNCTIONAL)
def test_a_functional_model_of_any_release(place, tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.ReLU()(inputs))

    def edit(config):
        config.update(module=place, class_name="Functional", registered_name="Functional")

    again = _of_keras_2(model, tmp_path, edit)
    np.testing.assert_array_equal(_outputs(again, np.float32([[-1, 0, 1, 2]]))[0], [[0, 0, 1, 2]])


@pytest.mark.parametrize("operator", ["TFOpLambda", "SlicingOpLambda"])
def test_an_op_between_layers_is_named(operator, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.ReLU(name="rectifier")])

    def edit(config):
        config["config"]["layers"][1].update({"class_name": operator, "config": {"name": "add"}})

    with pytest.raises(ValueError, match=rf"add.*{operator}[\s\S]*load the file in Keras 2"):
        _of_keras_2(model, tmp_path, edit)


def test_the_score_of_an_attention_is_no_layer():
    """Keras takes the name in an HDF5 file for that of its function `dot`."""
    node = {"class_name": "Attention", "config": {"score_mode": "dot", "dropout": 0.1}}
    assert keras2.layer(node)["config"] == {"dropout": 0.1}


def test_what_keras_cannot_read_leaves_the_model(tmp_path):
    path = _edited("more_boxes_giou", tmp_path, lambda parts: None)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["training_config"])
        config["metrics"] = [{"class_name": "Mine>Accuracy", "config": {}}]
        file.attrs["training_config"] = json.dumps(config)
    with pytest.warns(UserWarning, match="Keras cannot read it"):
        model, report = migrate.load_model(path, return_report=True)
    assert not model.compiled and report.missing[0].where == "compile"


def test_a_loss_of_the_user(tmp_path):
    @keras.saving.register_keras_serializable("mine")
    def error(y_true, y_pred):
        return keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.compile("sgd", loss=error, metrics=[error])
    model.save(tmp_path / "mine.keras")
    again, report = migrate.load_model(tmp_path / "mine.keras", return_report=True)
    assert again.loss is error and not report.changes


def test_a_policy_of_mixed_precision(tmp_path):
    policy = {"class_name": "Policy", "config": {"name": "mixed_bfloat16"}}

    def edit(parts):
        for part in parts[1:]:
            part["config"]["dtype"] = policy

    model = migrate.load_model(_edited("layer_TLU", tmp_path, edit))
    assert {layer.compute_dtype for layer in model.layers} == {"bfloat16"}
    assert {layer.variable_dtype for layer in model.layers} == {"float32"}


def test_files_that_are_no_models(tmp_path):
    weights = tmp_path / "weights.h5"
    with h5py.File(weights, "w") as file:
        file.create_group("layers")
    archive = tmp_path / "archive.keras"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme", "")
    text = tmp_path / "model.keras"
    text.write_text("no model")
    for path, reason in (
        (weights, "has weights only"),
        (archive, "has no config.json"),
        (text, "neither a .keras file nor HDF5"),
        (tmp_path, "a SavedModel holds a graph"),
    ):
        with pytest.raises(ValueError, match=reason):
            migrate.load_model(path)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        migrate.load_model(tmp_path / "none.h5")


def test_an_hdf5_file_of_keras_3_stays_compiled(tmp_path):
    """There a class that is registered has no name but the one it is registered under."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    metric = losses.LossMetric(losses.MeanAbsoluteError())
    model.compile("adam", losses.Huber(delta=3.0), metrics=[metric])
    model.evaluate(np.zeros((1, 2)), np.zeros((1, 1)), verbose=0)
    model.save(tmp_path / "model.h5")
    loaded = migrate.load_model(tmp_path / "model.h5")
    assert (type(loaded.loss), loaded.loss.delta) == (losses.Huber, 3.0)
    config = loaded.get_compile_config()
    assert config["metrics"][0]["config"]["loss"]["class_name"] == "MeanAbsoluteError"


# The names of TFA 0.23 that its `register_keras_serializable` calls give, but for metrics,
# optimizers and layers that are not activations.
OF_TFA = {
    "activations": "gelu hardshrink lisht mish rrelu snake softshrink sparsemax tanhshrink",
    "layers": "GELU Maxout Snake Sparsemax TLU",
    "losses": "ContrastiveLoss GIoULoss LiftedStructLoss NpairsLoss NpairsMultilabelLoss "
    "PinballLoss SigmoidFocalCrossEntropy SparsemaxLoss TripletHardLoss TripletSemiHardLoss "
    "WeightedKappaLoss",
}


def test_the_table_has_all_of_tfa():
    for kind, wanted in OF_TFA.items():
        assert sorted(getattr(names, kind.upper())) == wanted.split()


@pytest.mark.parametrize(
    ("tau", "expected"),
    [([0.25], 0.25), ([0.1, 0.9], [0.1, 0.9]), ([[0.1], [0.9]], None), (0.5, 0.5)],
)
def test_quantiles_of_a_list(tau, expected):
    if expected is None:
        with pytest.raises(names.NoCounterpart, match="split the outputs"):
            names.LOSSES["PinballLoss"]({"tau": tau}, 2)
    else:
        found = names.LOSSES["PinballLoss"]({"tau": tau}, 2)
        assert losses.Quantile(**found.settings).quantiles == expected


@pytest.mark.parametrize("metric", ["<lambda>", {"class_name": "function", "config": "mine"}])
def test_distances_by_a_function(metric):
    with pytest.raises(names.NoCounterpart, match="by a function of yours"):
        names.LOSSES["TripletHardLoss"]({"margin": 1.0, "distance_metric": metric}, 4)


def test_focal_of_one_output_and_of_an_unknown_number():
    rule = names.LOSSES["SigmoidFocalCrossEntropy"]
    found = rule({"alpha": 0, "gamma": 0}, 1)
    assert (found.name, found.settings["alpha"]) == ("BinaryFocalCrossentropy", None)
    with pytest.raises(names.NoCounterpart, match="does not say how many"):
        rule({}, None)


# The command.


def test_the_command(tmp_path, capsys):
    new = tmp_path / "new.keras"
    assert main([str(MODELS / "layer_Snake.h5"), str(new)]) == 0
    out, err = capsys.readouterr()
    assert "LearnedSnake(shared_axes='all')" in out
    assert "Reading" in err and f"Wrote {new}" in err
    assert main([str(MODELS / "layer_Snake.h5"), str(new)]) == 1
    assert "is there already" in capsys.readouterr().err
    loss = str(MODELS / "more_compiled.keras")
    assert main([loss, str(new), "--overwrite"]) == 3
    assert "no counterpart" in capsys.readouterr().out
    assert main([loss, str(new), "--overwrite", "--no-compile"]) == 0
    assert main([str(MODELS / "more_group_norm.h5"), str(tmp_path / "other.keras")]) == 1
    assert "no counterpart" in capsys.readouterr().err
    assert not (tmp_path / "other.keras").exists()
    with pytest.raises(SystemExit) as usage:
        main(["old.h5"])
    assert usage.value.code == 2


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="one backend is enough, the fastest")
def test_the_command_in_a_shell(tmp_path):
    command = [sys.executable, "-m", "keras_actloss.migrate"]
    arguments = [str(MODELS / "act_gelu.keras"), str(tmp_path / "new.keras"), "--gelu", "exact"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "The file names nothing of TensorFlow Addons.\n")


# Keras 2.


@pytest.mark.skipif(
    importlib.util.find_spec("keras_actloss.tf_keras") is None
    or keras.backend.backend() != "tensorflow",
    reason="needs keras_actloss.tf_keras, which is of TensorFlow",
)
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "name",
    [
        "act_gelu",
        "act_hardshrink",
        "layer_Snake",
        "layer_TLU",
        "loss_SigmoidFocalCrossEntropy",
        "loss_LiftedStructLoss",
        "loss_TripletSemiHardLoss",
        "more_multilabel",
        "more_nested",
        "more_pairs",
        "more_soft",
    ],
)
def test_in_tf_keras(name, format, tmp_path):
    import tf_keras

    model, report = _load(name, format, tf_keras=True)
    assert isinstance(model, tf_keras.Model) and not report.missing
    recorded, new = _recorded(name), tmp_path / "new.keras"
    migrate.convert(MODELS / f"{name}.{format}", new, tf_keras=True)
    # Inside TimeDistributed it looks for a layer by the bare name that it has written itself.
    bare = {"LearnedSnake": keras_actloss.tf_keras.layers.LearnedSnake}
    for found in (model, tf_keras.models.load_model(new, custom_objects=bare)):
        outputs = found.predict_on_batch(recorded["x"])
        outputs = outputs if isinstance(outputs, list) else [outputs]
        expected = [recorded[key] for key in sorted(recorded) if key.startswith("pred")]
        for got, wanted in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
        if "loss" in recorded:
            labels = {key[2:]: recorded[key] for key in recorded if key.startswith("y_")}
            y = labels or recorded["y"]
            costs = found.evaluate(recorded["x"], y, verbose=0, return_dict=True)
            np.testing.assert_allclose(costs["loss"], recorded["loss"], rtol=1e-5)
