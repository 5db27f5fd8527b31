"""Rewrites configs: what names TensorFlow Addons (TFA) is replaced by what names this package."""

from keras_actloss.core.registry import PACKAGE
from keras_actloss.migrate import keras2
from keras_actloss.migrate.names import (
    ACTIVATIONS,
    LAYERS,
    LAYERS_OF_KERAS_2,
    LOSS_FUNCTIONS,
    LOSSES,
    OF_A_BATCH,
    OTHER_LAYERS,
    Found,
    NoCounterpart,
)

ADDONS = "Addons>"
# The class names under which Keras saves a function.
_FUNCTIONS = ("function", "Function")

_NO_REDUCTION = (
    "with no reduction, its default, TFA showed the mean of the batch and trained on the sum; now "
    "both are the mean, for which SGD wants a learning rate as many times larger"
)


_OPERATOR = (
    "an op of TensorFlow between layers, which Keras 3 has no layer for; load the file in Keras 2, "
    "tf_keras=True or --tf-keras, where it is as it was"
)


def _is_function(node):
    return isinstance(node, dict) and node.get("class_name") in _FUNCTIONS


def _name_in(node):
    """What a config names of TFA, or None: a string, a function, or an object of a class."""
    if not isinstance(node, dict):
        names = [node]
    elif _is_function(node):
        names = [node.get("config")]
    else:
        names = [node.get("registered_name"), node.get("class_name")]
    found = [n for n in names if isinstance(n, str) and n.startswith(ADDONS)]
    return found[0].removeprefix(ADDONS) if found else None


def _below(where, config, default):
    name = config.get("name") or default or ""
    return f"{where}/{name}" if where and name else where or name


def _plain(value):
    """A setting; of an array its entries."""
    is_array = isinstance(value, dict) and value.get("class_name") in ("__numpy__", "__tensor__")
    return value["config"]["value"] if is_array else value


def _entry(found):
    """The config of an object in the form that every loader of Keras 3 and of Keras 2 takes."""
    settings = {
        key: [_entry(v) if isinstance(v, Found) else v for v in value]
        if isinstance(value, list)
        else value
        for key, value in found.settings.items()
    }
    name = f"{PACKAGE}>{found.name}"
    return {"class_name": name, "config": settings, "registered_name": name}


class Rewriter:
    """Replaces what names TFA in the configs of one file, and notes it in a report.

    Args:
        report: The `Report` to add to.
        gelu: What a bare `"gelu"` was, `"tanh"` or `"exact"`.
        custom_objects: Names that the user has classes for.
        for_keras_3: Whether Keras 3 will read what comes out, or Keras 2.
        steep: Whether `"hard_sigmoid"` was that of Keras 2 and will be that of Keras 3.
    """

    def __init__(self, report, gelu="tanh", custom_objects=(), for_keras_3=True, steep=False):
        self.report = report
        self.for_keras_3 = for_keras_3
        self.steep = steep
        self.gelu = gelu
        self.custom_objects = custom_objects

    def _given(self, where, name):
        """Whether the user has a class for that name, which Keras will find by itself."""
        given = ADDONS + name in self.custom_objects
        if given:
            self.report.add(where, ADDONS + name, "of custom_objects")
        return given

    def model(self, node, where=""):
        """The config of a model, a layer or a part of one, rewritten."""
        if isinstance(node, list):
            return [self.model(item, where) for item in node]
        if not isinstance(node, dict):
            return node
        if "class_name" in node and isinstance(node.get("config"), dict):
            name = _name_in(node)
            if self.for_keras_3:
                node = keras2.layer(node)
            where = _below(where, node["config"], name)
            if name is not None and not self._given(where, name):
                return self._layer(node, name, where)
            cls = node.get("registered_name") or node["class_name"]
            if self.for_keras_3 and cls not in self.custom_objects:
                if cls in LAYERS_OF_KERAS_2:
                    return self._replaced(node, cls, LAYERS_OF_KERAS_2[cls], where)
                if cls in keras2.OPERATORS:
                    self.report.add(where, cls, None, _OPERATOR)
        return {key: self._member(key, value, where) for key, value in node.items()}

    def _member(self, key, value, where):
        if not key.endswith("activation"):
            return self.model(value, where)
        where, name = f"{where}, {key}", _name_in(value)
        bare = value["config"] if _is_function(value) else value
        if bare == "gelu" and self.gelu == "tanh":
            note = "taken for TFA's, the tanh form; if it was Keras's own, load with gelu=\"exact\""
            return self._activation(value, "gelu", where, bare, note)
        if bare == "hard_sigmoid" and self.steep:
            return self._hard_sigmoid(value, where)
        if name is None or (isinstance(value, dict) and not _is_function(value)):
            return self.model(value, where)
        return self._activation(value, name, where, ADDONS + name)

    def _activation(self, node, name, where, old, note=""):
        if ADDONS + name in self.custom_objects and self._given(where, name):
            return node
        found = ACTIVATIONS.get(name)
        if found is None:
            self.report.add(where, old, None, f"TFA 0.23 has no activation {name}")
            return node
        self.report.add(where, old, found, note)
        return _entry(found)

    def _hard_sigmoid(self, node, where):
        name = "hard_sigmoid"
        if name not in self.custom_objects:
            reason = (
                "it was steeper in Keras 2, hard_sigmoid(1.2 * x) of today; pass a function of "
                f"that, custom_objects={{'{name}': ...}}"
            )
            self.report.add(where, name, None, reason)
            return node
        self.report.add(where, name, "of custom_objects")
        # By the name alone Keras would take its own.
        return {"class_name": "function", "config": name, "module": None, "registered_name": name}

    def _layer(self, node, name, where):
        if name not in LAYERS:
            reason = OTHER_LAYERS.get(
                name,
                "this package has activations and losses; pass a class that reads its config, "
                f"custom_objects={{'{ADDONS}{name}': ...}}",
            )
            self.report.add(where, ADDONS + name, None, reason)
            return node
        return self._replaced(node, ADDONS + name, LAYERS[name], where)

    def _replaced(self, node, old, rule, where):
        config = keras2.parts(node["config"])
        config.pop("batch_input_shape", None)
        own = {k: v for k, v in config.items() if k not in ("name", "trainable", "dtype")}
        self.report.add(where, old, Found(rule.name, own | rule.settings), rule.note)
        kept = {key: value for key, value in node.items() if key != "module"}
        return kept | _entry(Found(rule.name, config | rule.settings))

    def compiled(self, config, outputs):
        """The compile config of a `.keras` file, rewritten, without what says nothing.

        Args:
            config: The config, with what it names in any of the forms that Keras 2 had.
            outputs: Sizes of the last axes of the model's outputs by name, `None` if unknown.
        """
        config = {key: value for key, value in config.items() if value is not None}
        rules = {"loss": self._loss, "metrics": self._metric, "weighted_metrics": self._metric}
        for key, rule in rules.items():
            if key in config:
                config[key] = self._by_output(config[key], rule, f"compile, {key}", outputs)
        if "optimizer" in config:
            config["optimizer"] = self._optimizer(config["optimizer"])
        return config

    def _by_output(self, node, rule, where, outputs):
        """Losses or metrics: one for all outputs, or by their names, or in their order."""
        if isinstance(node, dict) and "class_name" not in node:
            if rule == self._loss and set(node) < set(outputs):
                node = dict.fromkeys(outputs) | node  # Outputs without a loss.
            return {
                name: self._by_output(value, rule, f"{where} of {name}", {name: outputs.get(name)})
                for name, value in node.items()
            }
        if isinstance(node, list):
            if len(node) == 1 and isinstance(node[0], list):
                node = node[0]  # An HDF5 file has a list of metrics for its one output.
            if rule == self._loss or all(isinstance(item, list) for item in node):
                names = list(outputs) if len(outputs) == len(node) else map(str, range(len(node)))
                named = self._by_output(dict(zip(names, node, strict=True)), rule, where, outputs)
                return list(named.values())
            found = [self._by_output(value, rule, where, outputs) for value in node]
            found = [item for item in found if item is not None]
            # Keras 3 takes a flat list for one of each output, Keras 2 took all of it for each.
            every = len(outputs) > 1 and len(found) != len(outputs)
            return dict.fromkeys(outputs, found) if every else found
        return node if node is None else rule(node, where, outputs)

    def _loss(self, node, where, outputs):
        name = node if isinstance(node, str) and node in LOSS_FUNCTIONS else _name_in(node)
        if name is None or self._given(where, name):
            return keras2.loss(node)
        config = {} if isinstance(node, str) or _is_function(node) else node["config"]
        config = {key: _plain(value) for key, value in config.items()}
        loss, sizes = LOSS_FUNCTIONS.get(name, name), set(outputs.values())
        try:
            if loss not in LOSSES:
                raise NoCounterpart("TFA 0.23 saves no such loss")
            found = LOSSES[loss](config, sizes.pop() if len(sizes) == 1 else None)
        except NoCounterpart as reason:
            self.report.add(where, ADDONS + name, None, str(reason))
            return None
        reduction, note = config.get("reduction", "auto"), found.note
        if reduction == "none" and loss not in OF_A_BATCH:
            note = "; ".join(filter(None, (note, _NO_REDUCTION)))
        if reduction != "sum" or loss in OF_A_BATCH:
            reduction = "sum_over_batch_size"
        self.report.add(where, ADDONS + name, found, note)
        kept = {"reduction": reduction, "name": config.get("name")}
        return _entry(Found(found.name, found.settings | kept))

    def _metric(self, node, where, outputs):
        name = _name_in(node)
        if name is None or self._given(where, name):
            return keras2.metric(node)
        reason = "left out, since this package has no metrics; compile again with one of Keras"
        self.report.add(where, ADDONS + name, None, reason)
        return None

    def _optimizer(self, node):
        node = keras2.unscaled(node)
        where, name = "compile, optimizer", _name_in(node)
        if name is None or self._given(where, name):
            return keras2.optimizer(node)
        reason = "this package has no optimizers; name one with optimizer="
        self.report.add(where, ADDONS + name, None, reason)
        return None
