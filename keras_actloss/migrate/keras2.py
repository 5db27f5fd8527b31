"""Configs that Keras 2 wrote, in the words of Keras 3; Keras 2 reads what comes out as well."""

import re

# Names in files, not imports: where releases of Keras 2 say that a functional model is from.
_FUNCTIONAL = tuple(
    f"{place}.functional" for place in ("keras.engine", "keras.src.engine", "tf_keras.src.engine")
)
# What Keras 2 made of an op of TensorFlow between the layers of a functional model.
OPERATORS = ("TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "InstanceProperty")
# Arguments with the value that says nothing: the first is gone, the other misread in HDF5.
_SILENT = ("time_major", False), ("Attention.score_mode", "dot")
# Arguments that are gone and said nothing whatever they were, of the layers that had them.
_GONE = re.compile(
    r"(Depthwise|Separable)Conv.D\.groups|Conv.DTranspose\.groups"
    r"|SeparableConv.D\.kernel_(initializer|regularizer|constraint)"
    r"|MultiHeadAttention\.((query|key|value)_shape|softmax_robust_masking)"
    r"|Random\w+\.rng_type"
    r"|SpatialDropout.D\.(noise_shape|trainable)"
    r"|Discretization\.trainable"
)
# Layers whose first state Keras 2 put behind their input.
_RECURRENT = re.compile(r"Bidirectional|ConvLSTM.D|GRU|LSTM|(Simple)?RNN")
_PARTS = ("initializer", "regularizer", "constraint")
_GONE_OF_OPTIMIZERS = ("jit_compile", "is_legacy_optimizer", "decay")
# Names of functions that Keras 3 does not know, Keras 2 knows both.
_RENAMED = {
    "huber_loss": "huber",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
}
# A metric that Keras made of the name of a function.
_OF_FUNCTION = "MeanMetricWrapper"


def layer(node):
    """The config of a layer or a model, without regard to those inside."""
    name = node.get("registered_name") or node["class_name"]
    config = {
        key: value
        for key, value in node["config"].items()
        if (key, value) not in _SILENT
        and (f"{name}.{key}", value) not in _SILENT
        and not _GONE.fullmatch(f"{name}.{key}")
    }
    axis = config.get("axis")
    if isinstance(axis, list) and len(axis) == 1 and not node.get("registered_name"):
        (config["axis"],) = axis
    dtype = config.get("dtype")
    if isinstance(dtype, dict) and dtype.get("class_name") == "Policy":
        config["dtype"] = dtype["config"]["name"]
    layers = config.get("layers")
    if isinstance(layers, list) and _is_input(*layers[:1]):
        config["layers"] = [_without_input_shape(layer) for layer in layers]
    if isinstance(layers, list) and "output_layers" in config:
        config = graph(config)
    node = node | {"config": config}
    shape = (node.get("build_config") or {}).get("input_shape")
    of_several = _RECURRENT.fullmatch(name) and shape and isinstance(shape[0], list)
    if of_several or (shape and name == "MultiHeadAttention"):
        del node["build_config"]  # Keras 3 wants the shape of one input, or that of each by name.
    if node.get("module") in _FUNCTIONAL:
        node |= {"module": "keras", "class_name": "Model", "registered_name": None}
    return node


def _is_input(node=None):
    return isinstance(node, dict) and node.get("class_name") == "InputLayer"


def _without_input_shape(node):
    """A layer of a model that has an input of its own, without what it was given for one."""
    if _is_input(node):
        return node
    config = {k: v for k, v in node["config"].items() if k != "batch_input_shape"}
    return node | {"config": config}


def graph(config):
    """The config of a functional model, with its nodes counted as Keras 3 does.

    In Keras 2 the first node of a model is its own input, and calls of it in another model count
    from 1. Keras 3 counts them from 0, but for a functional model among the outputs. Where a model
    has one input or output, Keras 2 has a list of one, for which Keras 3 makes a list.
    """
    layers = config["layers"]
    calls = {layer["name"]: len(layer["inbound_nodes"]) for layer in layers}
    functional = {layer["name"] for layer in layers if "input_layers" in layer["config"]}
    inner = {layer["name"] for layer in layers if "layers" in layer["config"]}
    both = [layer["inbound_nodes"] for layer in layers], config["output_layers"]
    last = {name: max(_references(both, name), default=0) for name in inner}
    # Others, as a sequential model without an input, have no node of their own.
    inner = {name for name in inner if last[name] == calls[name]}
    layers = [
        layer | {"inbound_nodes": [_call(node, layer["class_name"]) for node in nodes]}
        for layer in layers
        for nodes in [_less_one(layer["inbound_nodes"], inner)]
    ]
    ends = {
        "input_layers": config["input_layers"],
        "output_layers": _less_one(config["output_layers"], inner - functional),
    }
    one = {key: end[0] for key, end in ends.items() if isinstance(end, list) and len(end) == 1}
    return config | {"layers": layers} | ends | one


def _is_reference(node):
    is_long = isinstance(node, list) and len(node) > 2
    return is_long and isinstance(node[0], str) and isinstance(node[1], int)


def _references(node, name):
    """The numbers of the nodes of the layer of that name which `node` refers to."""
    if _is_reference(node):
        return [node[1]] if node[0] == name else []
    if isinstance(node, dict):
        node = node.values()
    elif not isinstance(node, (list, tuple)):
        return []
    return [number for item in node for number in _references(item, name)]


def _less_one(node, names):
    """What refers to a node of one of the layers, with 1 taken from its number."""
    if _is_reference(node) and node[0] in names:
        return [node[0], node[1] - 1, *node[2:]]
    if isinstance(node, dict):
        return {key: _less_one(value, names) for key, value in node.items()}
    return [_less_one(item, names) for item in node] if isinstance(node, list) else node


def _call(node, name):
    """A call of a layer of class `name`; in Keras 3's form if it has tensors beside the first."""
    if not node or not all(map(_is_reference, node)):
        return node
    more = dict(*node[0][3:])
    if len(node) > 1 and _RECURRENT.fullmatch(name):
        more["initial_state"], node = node[1:], node[:1]
    found = _tensors(more)
    if found == more:
        return node
    first = [_tensors(reference[:3]) for reference in node]
    return {"args": first if len(first) == 1 else [first], "kwargs": found}


def _tensors(node):
    """`node` with a tensor of Keras 3 for each reference, whose shape is read from elsewhere."""
    if _is_reference(node):
        config = {"shape": [], "dtype": "float32", "keras_history": node[:3]}
        return {"class_name": "__keras_tensor__", "config": config}
    if isinstance(node, dict):
        return {key: _tensors(value) for key, value in node.items()}
    return [_tensors(item) for item in node] if isinstance(node, list) else node


def parts(config):
    """The settings of a layer, with the modules of initializers and the like."""

    def named(key, value):
        kind = key.rpartition("_")[2]
        if kind not in _PARTS or not isinstance(value, dict) or "class_name" not in value:
            return value
        return _in_module(value, f"keras.{kind}s")

    return {key: named(key, value) for key, value in config.items()}


def _is_object(node):
    """Whether a config is of an object, not a name or a function."""
    return isinstance(node, dict) and isinstance(node.get("config"), dict)


def _renamed(node):
    return _RENAMED.get(node, node) if isinstance(node, str) else node


def loss(node):
    if not _is_object(node):
        return _renamed(node)
    config = {k: v for k, v in node["config"].items() if (k, v) != ("reduction", "auto")}
    config.pop("fn", None)
    return _in_module(node | {"config": config}, "keras.losses")


def metric(node):
    if not _is_object(node):
        return _renamed(node)
    if node["class_name"] == _OF_FUNCTION and isinstance(node["config"].get("fn"), str):
        return node["config"]["fn"]
    return _in_module(node, "keras.metrics")


def unscaled(node):
    """An optimizer without the scaling of its loss, which Keras adds where the policy wants it."""
    scaled = _is_object(node) and node["class_name"].startswith("LossScaleOptimizer")
    # Not that of Keras 3, which always is dynamic.
    return node["config"]["inner_optimizer"] if scaled and "dynamic" in node["config"] else node


def _named(node):
    """A schedule, which cannot be called without a name, with its own."""
    if not _is_object(node):
        return node
    return node | {"config": {k: v for k, v in node["config"].items() if (k, v) != ("name", None)}}


def optimizer(node):
    if not _is_object(node):
        return node
    config = {k: v for k, v in node["config"].items() if k not in _GONE_OF_OPTIMIZERS}
    if "learning_rate" in config:
        config["learning_rate"] = _named(config["learning_rate"])
    name = node["class_name"].removeprefix("Custom>")
    node = _in_module(node | {"class_name": name, "config": config}, "keras.optimizers")
    if node["module"].startswith("keras.optimizers."):  # As `experimental`.
        node["module"] = "keras.optimizers"
    return node


def _in_module(node, module):
    """A node of a class that a package has registered, or of one in a module of Keras."""
    name = node["class_name"]
    if ">" in name:
        return {"module": None, "registered_name": name, **node}
    return {"module": module, "registered_name": None, **node}
