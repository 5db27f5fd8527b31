"""Every loss on several replicas of every engine, beside one device with the whole batch.

KERAS_BACKEND=torch python replicas.py data_parallel 0 addresses.json results.npz

`start` runs the processes of an engine and gives what each of them has found. A case adds to its
predictions a weight with an entry for each of them, so that what the engine makes of the gradients
shows entry by entry.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROWS = 8
# What each of two replicas gets.
UNEVEN, EVEN = (0, 5, 8), (0, 4, 8)
# A mask leaves four rows of the first and one of the second, two rows have no label at all.
KEEP = np.array([1, 1, 1, 0, 1, 1, 0, 0], bool)
UNLABELED = [0, 6]
# Of the three rows that are left two are of one group, with different replicas.
GROUPS = np.array([0, 1, 0, 0, 1, 1, 0, 1], "int32")
WEIGHTS = np.array([1, 0.5, 2, 1, 0, 3, 1, 0.25], "float32")

# seconds, after which something hangs
TIMEOUT = 600


# The process that tests.


def start(engine, processes=1):
    """Results of each process of `engine`, or all that they have said if one fails."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        addresses = [f"127.0.0.1:{port}" for port in _free_ports(processes)]
        (folder / "addresses.json").write_text(json.dumps(addresses))
        running = []
        for i in range(processes):
            arguments = [engine, str(i), folder / "addresses.json", folder / f"{i}.npz"]
            with (folder / f"{i}.txt").open("w") as said:
                running.append(
                    subprocess.Popen(
                        [sys.executable, __file__, *arguments], stdout=said, stderr=said
                    )
                )
        end = time.monotonic() + TIMEOUT
        # The others would wait for one that has failed.
        while not (late := time.monotonic() > end):
            codes = {process.poll() for process in running}
            if codes == {0} or codes - {None, 0}:
                break
            time.sleep(0.1)
        for process in running:
            process.kill()
            process.wait()
        if any(process.returncode for process in running):
            said = [(folder / f"{i}.txt").read_text() for i in range(processes)]
            how = f"did not end within {TIMEOUT} seconds" if late else "failed"
            raise AssertionError(f"{engine} {how}:\n" + "\n----\n".join(said))
        return [dict(np.load(folder / f"{i}.npz")) for i in range(processes)]


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


# What is computed.


class Case(NamedTuple):
    """A loss with its data, and what it should be on one device."""

    loss: Any
    reference: Any
    y_true: np.ndarray
    y_pred: np.ndarray
    keep: np.ndarray


def _unlabeled(loss, y_true):
    """Labels of which some rows are ignored."""
    ignored = getattr(loss, "ignore_class", None)
    if ignored is None:
        return y_true
    y_true, rows = y_true.copy(), UNLABELED
    if loss.labels == "onehot":
        axis = getattr(loss, "axis", -1) % y_true.ndim
        shape = [1] * y_true.ndim
        shape[axis] = -1
        y_true[rows] = np.eye(y_true.shape[axis])[ignored].reshape(shape)
    else:
        y_true[rows] = ignored
    return y_true


def _across(loss):
    from keras_actloss import losses

    if isinstance(loss, losses.WeightedSum):
        return losses.WeightedSum([_across(part) for part in loss.losses], loss.weights)
    return losses.AcrossReplicas(loss)


def _plain():
    """The losses of the catalogue, and some with another reduction."""
    from catalogue import LOSSES

    from keras_actloss import losses

    plain = [x.loss if isinstance(x, losses.AcrossReplicas) else x for x in LOSSES]
    for reduction in ("mean_with_sample_weight", "sum"):
        plain += [
            losses.MeanSquaredError(reduction=reduction),
            losses.SparseCategoricalCrossentropy(ignore_class=-1, reduction=reduction),
            losses.Dice(per="batch", encoding="ids", ignore_class=-1, reduction=reduction),
        ]
    return plain


def whole_cases(wrap):
    """Each loss as one of the whole batch, however masks and ignored labels are spread.

    Args:
        wrap: Whether a loss, given whether it couples samples, has to be told so.
    """
    from keras_actloss.testing.examples import labeled_predictions

    for loss in _plain():
        y_true, y_pred = labeled_predictions(loss, batch=ROWS)
        y_true = GROUPS if loss.labels == "groups" else y_true
        asked = _across(loss) if wrap(loss.couples_samples) else loss
        yield Case(asked, loss, _unlabeled(loss, y_true), y_pred, KEEP)


def local_cases(parts, fractions, couples=True):
    """Losses that are left to the replicas: those that couple samples, or those that do not."""
    from keras_actloss.testing.examples import labeled_predictions

    def reference(loss):
        def value(y_true, y_pred, weight):
            return sum(
                fraction * loss(y_true[a:b], y_pred[a:b], weight[a:b])
                for a, b, fraction in zip(parts, parts[1:], fractions, strict=False)
            )

        return value

    for loss in _plain():
        if loss.couples_samples == couples and loss.reduction == "sum_over_batch_size":
            y_true, y_pred = labeled_predictions(loss, batch=ROWS)
            expected = reference(loss) if couples else loss
            yield Case(loss, expected, y_true, y_pred, np.ones(ROWS, bool))


def pixel_cases():
    """Losses of the whole batch, with a weight for each pixel."""
    from keras import ops

    from keras_actloss import losses

    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 4, (ROWS, 3)).astype("int32")
    y_pred = rng.normal(size=(ROWS, 3, 4)).astype("float32")

    def of_pixels(loss):
        def value(y_true, y_pred, weight):
            rising = np.arange(1, y_pred.shape[1] + 1, dtype="float32")
            return loss(y_true, y_pred, ops.expand_dims(weight, 1) * rising)

        return value

    for cls in (losses.Dice, losses.MatthewsCorrelation, losses.LovaszSoftmax):
        loss = cls(from_logits=True, encoding="ids", per="batch")
        yield Case(of_pixels(losses.AcrossReplicas(loss)), of_pixels(loss), y_true, y_pred, KEEP)


def build_model(cases):
    """From predictions to predictions, each with a mask and with a weight for each entry."""
    import keras
    from keras import ops

    class Shift(keras.layers.Layer):
        def __init__(self, shape, **kwargs):
            super().__init__(**kwargs)
            self.shift = self.add_weight(shape=shape, initializer="zeros", name="shift")

        def call(self, inputs):
            y_pred, rows, _ = inputs
            return y_pred + ops.take(self.shift, rows, axis=0)

        def compute_mask(self, inputs, previous_mask):
            return ops.cast(inputs[2], "bool")

        def compute_output_shape(self, shapes):
            return shapes[0]

    rows, inputs, outputs = keras.Input((), dtype="int32", name="rows"), {}, {}
    for i, case in enumerate(cases):
        y_pred = keras.Input(case.y_pred.shape[1:], name=f"p{i:03}")
        keep = keras.Input((), dtype="bool", name=f"k{i:03}")
        outputs[f"y{i:03}"] = Shift(case.y_pred.shape, name=f"y{i:03}")([y_pred, rows, keep])
        inputs |= {f"p{i:03}": y_pred, f"k{i:03}": keep}
    return keras.Model({"rows": rows, **inputs}, outputs)


def data(cases, part=slice(None)):
    """Inputs, labels and weights of a part of the batch."""
    inputs = {"rows": np.arange(ROWS, dtype="int32")}
    for i, case in enumerate(cases):
        inputs |= {f"p{i:03}": case.y_pred, f"k{i:03}": case.keep}
    labels = {f"y{i:03}": case.y_true for i, case in enumerate(cases)}
    inputs, labels = ({k: v[part] for k, v in x.items()} for x in (inputs, labels))
    return inputs, labels, WEIGHTS[part]


def values(losses, outputs, labels, weight):
    """The value of each loss of the outputs of the model."""
    from keras import ops

    found = [
        loss(ops.convert_to_tensor(labels[f"y{i:03}"]), outputs[f"y{i:03}"], weight)
        for i, loss in enumerate(losses)
    ]
    return ops.stack(found)


def slopes(kind, cases, gradients, found):
    """The gradients of the weights of all cases and the values of their losses, by name."""
    losses = [getattr(case.loss, "loss", case.loss) for case in cases]
    names = [f"{kind} {i} {type(loss).__name__}" for i, loss in enumerate(losses)]
    assert [g.shape for g in gradients] == [case.y_pred.shape for case in cases], "another order"
    return {**dict(zip(names, gradients, strict=True)), f"{kind} values": np.array(found)}


def small_model():
    """A model with a learned activation."""
    import keras

    from keras_actloss import layers

    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(8, name="hidden"),
            layers.PReLU(name="activation"),
            keras.layers.Dense(3),
        ]
    )


def small_data(rows):
    """What to fit: vectors, class ids of which some are ignored, and weights."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3)).astype("float32")
    ids = rng.integers(0, 3, rows).astype("int32")
    ids[[0, 1, 3, 12]] = -1
    return x, ids, rng.uniform(0, 2, rows).astype("float32")


def outcome(loss, model, history):
    """Weights and losses by name."""
    weights = {f"{loss.name} weight {i}": w for i, w in enumerate(model.get_weights())}
    return {f"{loss.name} history": np.array(history.history["loss"]), **weights}


def fitted(loss, rows=17):
    """The small model after two epochs; of 17 rows the last batch is one."""
    import keras

    model, (x, ids, weight) = small_model(), small_data(rows)
    model.compile(keras.optimizers.SGD(0.5), loss)
    history = model.fit(x, ids, ROWS, 2, 0, sample_weight=weight, shuffle=False)
    return outcome(loss, model, history)


def fitted_by_keras_2(loss, rows):
    """A model of Keras 2 after two epochs with these rows, and the twin of a loss."""
    import tensorflow as tf
    import tf_keras

    from keras_actloss.tf_keras import layers, twin

    tf_keras.utils.set_random_seed(0)
    dense = tf_keras.layers.Dense
    model = tf_keras.Sequential([tf_keras.Input((3,)), dense(8), layers.PReLU(), dense(3)])
    model.compile(tf_keras.optimizers.SGD(0.5), twin(type(loss)).from_config(loss.get_config()))
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    dataset = tf.data.Dataset.from_tensor_slices(tuple(x[rows] for x in small_data(2 * ROWS)))
    # A strategy halves the batches, and Keras counts the steps before.
    dataset = dataset.batch(ROWS).repeat().with_options(options)
    history = model.fit(dataset, epochs=2, steps_per_epoch=2, verbose=0)
    return outcome(loss, model, history)


def save(path, found, expected):
    found = {f"found {name}": array for name, array in found.items()}
    np.savez(path, **found, **{f"expected {name}": array for name, array in expected.items()})


# Engines. Each is a function of the number of this process, all addresses, and the file to write.


def _tensorflow_step(model, losses, optimizer):
    """A custom loop, as the guides of TensorFlow and Keras have it."""
    import tensorflow as tf

    def step(inputs, labels, weight):
        with tf.GradientTape() as tape:
            found = values(losses, model(inputs), labels, weight)
            total = tf.reduce_sum(found)
        gradients = tape.gradient(total, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return found

    return step


def _stepped(cases, strategy, distributed):
    """Gradients and values of a step of a new model in the scope of a strategy."""
    import keras
    import tensorflow as tf

    with strategy.scope():
        model, optimizer = build_model(cases), keras.optimizers.SGD(1.0)
        optimizer.build(model.trainable_variables)
    losses = [case.loss if distributed else case.reference for case in cases]
    step = _tensorflow_step(model, losses, optimizer)

    def part(context):
        rows = slice(*UNEVEN[context.replica_id_in_sync_group :][:2])
        return tf.nest.map_structure(tf.constant, data(cases, rows if distributed else slice(None)))

    parts = strategy.experimental_distribute_values_from_function(part)
    found = strategy.reduce("sum", strategy.run(step, args=parts), axis=None)
    return slopes("step", cases, [-w for w in model.get_weights()], found)


def _tensorflow(strategy):
    """What a strategy finds, and what is expected."""
    import tensorflow as tf

    fractions = np.diff(UNEVEN) / ROWS
    cases = [
        *whole_cases(wrap=lambda couples: couples),
        *pixel_cases(),
        *local_cases(UNEVEN, fractions),
    ]
    found = _stepped(cases, strategy, distributed=True)
    return found, _stepped(cases, tf.distribute.get_strategy(), distributed=False)


def _fitting_losses():
    from keras_actloss import losses

    return [
        losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1),
        losses.AcrossReplicas(losses.Dice(from_logits=True, per="batch", encoding="ids")),
    ]


def mirrored(index, addresses, path):
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    found, expected = _tensorflow(strategy)
    for loss in _fitting_losses():
        with strategy.scope():
            found |= fitted(loss)
        expected |= fitted(loss)
    save(path, found, expected)


def multi_worker(index, addresses, path):
    cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    os.environ["TF_CONFIG"] = json.dumps(cluster)
    import tensorflow as tf

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    found, expected = _tensorflow(strategy)
    # Keras 3 cannot, whatever the loss is.
    rows = np.arange(2 * ROWS)
    for loss in _fitting_losses():
        with strategy.scope():
            found |= fitted_by_keras_2(loss, rows[rows % ROWS // (ROWS // 2) == index])
        expected |= fitted_by_keras_2(loss, rows)
    save(path, found, expected)


def data_parallel(index, addresses, path):
    """DistributedDataParallel of torch."""
    import keras
    import torch

    torch.distributed.init_process_group(
        "gloo", f"tcp://{addresses[0]}", rank=index, world_size=len(addresses)
    )

    def stepped(kind, cases, parts=None):
        """Gradients and values of a step, of this process's part or of all."""
        module = model = build_model(cases)
        if parts:
            module = torch.nn.parallel.DistributedDataParallel(model)
        rows = slice(*parts[index : index + 2]) if parts else slice(None)
        inputs, labels, weight = data(cases, rows)
        outputs = module(keras.tree.map_structure(torch.tensor, inputs))
        losses = [case.loss if parts else case.reference for case in cases]
        found = values(losses, outputs, labels, weight)
        found.sum().backward()
        gradients = [w.value.grad.numpy() for w in model.weights]
        return slopes(kind, cases, gradients, found.detach())

    cases = [*whole_cases(wrap=lambda couples: True), *pixel_cases()]
    found, expected = stepped("step", cases, UNEVEN), stepped("step", cases)
    # What asks nobody: with even parts and nothing ignored, the mean of means is right.
    for couples in (False, True):
        kind, cases = f"alone, couples={couples}", list(local_cases(EVEN, [0.5, 0.5], couples))
        found |= stepped(kind, cases, EVEN)
        expected |= stepped(kind, cases)
        # A value is that of one's own part.
        del found[f"{kind} values"], expected[f"{kind} values"]
    save(path, found, expected)
    torch.distributed.destroy_process_group()


def _one_step(cases, rows=slice(None)):
    """Gradients of a step of `fit`, and the losses that it reports."""
    import keras

    model = build_model(cases)
    model.compile(
        keras.optimizers.SGD(1.0), {f"y{i:03}": case.reference for i, case in enumerate(cases)}
    )
    inputs, labels, weight = data(cases, rows)
    weights = dict.fromkeys(labels, weight)
    history = model.fit(inputs, labels, ROWS, 1, 0, sample_weight=weights).history
    found = [history[f"y{i:03}_loss"][0] for i in range(len(cases))]
    return slopes("step", cases, [-w for w in model.get_weights()], found)


def _traced_step(kind, cases):
    """Gradients and values of a step that JAX compiles, with the data where Keras wants it."""
    import jax
    import keras

    distribution = keras.distribution.distribution()

    def placed(x):
        if distribution is None:
            return x
        return keras.distribution.distribute_tensor(x, distribution.get_data_layout(x.shape))

    model, losses = build_model(cases), [case.reference for case in cases]

    def total(weights, inputs, labels, weight):
        outputs, _ = model.stateless_call(weights, [], inputs)
        found = values(losses, outputs, labels, weight)
        return found.sum(), found

    weights = [w.value for w in model.weights]
    inputs = keras.tree.map_structure(placed, data(cases))
    gradients, found = jax.jit(jax.grad(total, has_aux=True))(weights, *inputs)
    return slopes(kind, cases, gradients, found)


def _devices_of_jax(count):
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={count} {flags}"


def devices(index, addresses, path):
    """Keras on 8 devices of JAX, and the second process on one."""
    _devices_of_jax(8)
    import keras

    several = index == 0
    if several:
        keras.distribution.set_distribution(keras.distribution.DataParallel())
    # One case of each class, for compiling takes longest, and of all in one program twice as long.
    by_class = {type(case.loss): case for case in whole_cases(wrap=lambda couples: False)}
    cases, results = list(by_class.values()), {}
    for i in range(0, len(cases), 10):
        results |= _traced_step(f"step from {i}", cases[i : i + 10])
    if several:
        mesh = keras.distribution.DeviceMesh((4, 2), ("batch", "model"))
        layout = keras.distribution.LayoutMap(mesh)
        layout[".*hidden/kernel"] = (None, "model")
        layout[".*activation/alpha"] = ("model",)
        keras.distribution.set_distribution(
            keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch")
        )
        alpha = small_model().get_layer("activation").alpha.value
        assert tuple(alpha.sharding.spec) == ("model",), "half of it lies on each device"
    for loss in _fitting_losses():
        results |= fitted(loss, rows=16)
    save(path, *(results, {}) if several else ({}, results))


def processes(index, addresses, path):
    """DataParallel of Keras over two processes of JAX with two devices each."""
    _devices_of_jax(2)
    import keras

    keras.distribution.initialize(",".join(addresses), len(addresses), index)
    kinds = {}
    for case in whole_cases(wrap=lambda couples: False):
        kinds.setdefault((case.loss.labels, case.loss.couples_samples), case)
    cases = list(kinds.values())
    expected = _one_step(cases)
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    found = _one_step(cases, slice(*EVEN[index : index + 2]))
    # Without a compiler too, of labels that no process can look at.
    for case in cases:
        if case.loss.labels == "ids":
            arrays = [_spread(x[slice(*EVEN[index : index + 2])]) for x in case[2:4]]
            found["eager"] = np.array(case.loss(*arrays))
            expected["eager"] = np.array(case.loss(*case[2:4]))
    save(path, found, expected)


def _spread(rows):
    """An array of the rows of all processes."""
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    mesh = Mesh(jax.devices(), ("batch",))
    return jax.make_array_from_process_local_data(NamedSharding(mesh, PartitionSpec("batch")), rows)


if __name__ == "__main__":
    engine, index, addresses, path = sys.argv[1:]
    addresses = json.loads(Path(addresses).read_text())
    globals()[engine](int(index), addresses, path)
