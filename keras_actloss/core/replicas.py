"""The replicas on which an engine trains one model, each with its part of the batch.

TensorFlow adds up the gradients of its replicas, torch takes the mean of those of its processes. On
JAX one program sees the whole batch, whatever its devices are: there are no replicas.
"""

import keras
from keras import ops

from keras_actloss.core import tensors
from keras_actloss.core.numerics import with_gradient


class _Strategy:
    """A replica of `tf.distribute`. All of them run the same step, so one may wait for the others.

    While Keras builds a model, and for what is computed beside the replicas, there is but one.
    """

    waits = True

    def __init__(self):
        import tensorflow as tf

        self.engine = tf
        self.context = tf.distribute.get_replica_context()
        self.number = 1 if self.context is None else self.context.num_replicas_in_sync
        # As Keras multiplies its losses, for their sum to be the mean.
        self.share = 1 / self.number

    @property
    def rank(self):
        return self.context.replica_id_in_sync_group

    def add(self, x):
        return self.context.all_reduce("sum", x)

    def gather(self, x, sizes):
        rows = self.context.all_gather(x, axis=0)
        return self.engine.ensure_shape(rows, [None, *x.shape[1:]])  # Unknown while tracing.


class _Processes:
    """A process of `torch.distributed`. Another may be elsewhere, so it waits only if asked to."""

    waits = False
    share = 1

    def __init__(self):
        import torch.distributed

        self.engine = torch.distributed
        started = self.engine.is_available() and self.engine.is_initialized()
        self.number = self.engine.get_world_size() if started else 1

    @property
    def rank(self):
        return self.engine.get_rank()

    def add(self, x):
        """The collective of torch, which has no gradient: every process has one to add to it."""

        def total(x):
            x = x.detach().clone()
            self.engine.all_reduce(x)
            return x

        return with_gradient(total, lambda upstream, x: total(upstream))(x)

    def gather(self, x, sizes):
        # torch.distributed.all_gather wants as many rows of each process.
        before, after = (int(sum(s)) for s in (sizes[: self.rank], sizes[self.rank + 1 :]))
        return self.add(ops.pad(x, [(before, after)] + [(0, 0)] * (x.ndim - 1)))


class _One:
    """The only replica."""

    waits = False
    share = 1
    number = 1


_ENGINES = {"tensorflow": _Strategy, "torch": _Processes}


def _engine():
    return _ENGINES.get(keras.backend.backend(), _One)()


def number():
    """How many replicas share the batch."""
    return _engine().number


def share():
    """What Keras multiplies the loss of a replica with."""
    return _engine().share


def quotient(total, count, waits):
    """`total / count` or 0, of all replicas if they wait for each other; `total` without a count.

    Where the engine adds up gradients, it is shared out among the replicas.
    """
    engine = _engine()
    if engine.number > 1 and (waits or engine.waits):
        counts = [] if count is None else [ops.cast(count, total.dtype)]
        total, *count = ops.unstack(engine.add(ops.stack([total, *counts])), 1 + len(counts))
        count = count[0] if count else None
    if isinstance(count, int):  # No batch of unknown size, and nothing to guard.
        total = total / max(count, 1)
    elif count is not None:
        count = ops.cast(count, total.dtype)
        total = ops.where(count == 0, 0.0, total / ops.where(count == 0, 1.0, count))
    return total if engine.share == 1 else total * engine.share


class Rows:
    """Rows of a batch that lie with different replicas.

    Args:
        count: How many lie with this one.
    """

    def __init__(self, count):
        self.engine = _engine()
        mine = ops.arange(self.engine.number) == self.engine.rank
        self.sizes = self.engine.add(ops.where(mine, ops.cast(count, "int32"), 0))

    def gather(self, x):
        """Those of all replicas; a gradient of any of them comes back to its replica."""
        dtype = tensors.dtype_of(x)
        if tensors.is_float(dtype):
            return self.engine.gather(x, self.sizes)
        return ops.cast(self.engine.gather(ops.cast(x, "int32"), self.sizes), dtype)

    def own(self, x):
        """Those of this replica, of what has been computed of all."""
        first = ops.sum(self.sizes[: self.engine.rank])
        return x[first : first + self.sizes[self.engine.rank]]
