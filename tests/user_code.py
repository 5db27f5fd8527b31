"""What users write, which type checkers must have nothing to say about; `make check` asks one."""

import numpy as np

import keras_actloss
from keras_actloss import activations, layers, losses, testing

x = np.ones((4, 3), dtype="float32")

activation = layers.LeakyReLU(negative_slope=0.1, name="leaky", dtype="float32")
gated = layers.SwiGLU(units=8, gate="first", use_bias=False, kernel_initializer="he_normal")
learned = layers.PReLU(alpha_initializer=0.25, shared_axes=[1])
y = activations.mish(x)
z = activations.softmax(x, axis=-1)

huber = losses.Huber(delta=2.0, reduction="sum", name="huber")
focal = losses.BinaryFocalCrossentropy(from_logits=True, alpha=0.25)
weighted = losses.CategoricalCrossentropy(class_weights=[1.0, 2.0, 5.0], ignore_class=2)
total = losses.WeightedSum([huber, focal], weights=[1.0, 0.5])
metrics = total.metrics()
value = huber(x, x, sample_weight=np.ones(4))
values = losses.huber(x, x, delta=0.5)
weights = losses.balanced_weights(losses.class_counts([0, 1, 1]))
found = keras_actloss.get("losses", "Huber", delta=2.0)
again = losses.Huber.from_config(huber.get_config())
report = testing.check_loss(huber, raise_on_failure=False)
messages = [outcome.message for outcome in report.failed]


class Scaled(losses.Loss):
    """A loss of one's own."""

    def __init__(self, scale: float = 1.0, name: str | None = None) -> None:
        super().__init__(reduction="sum", name=name)
        self.scale = scale


scale = Scaled(scale=2.0).scale
