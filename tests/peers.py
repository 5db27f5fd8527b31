"""Values and gradients of ours beside a function of PyTorch, in float64."""

import numpy as np
import torch

from keras_actloss.testing.backend import value_and_gradient


def of_torch(x):
    """An array as a tensor: whole numbers as ids, others in float64."""
    x = np.asarray(x)
    return torch.tensor(x, dtype=torch.int64 if x.dtype.kind == "i" else torch.float64)


def compare(ours, theirs, x, upstream, rtol=2e-5, atol=(2e-6, 2e-6)):
    """`ours(array)` has the value and the gradient of `theirs(tensor)` at `x`."""
    got = value_and_gradient(ours, x, upstream)
    leaf = of_torch(x).requires_grad_()
    value = theirs(leaf)
    (value * of_torch(upstream)).sum().backward()
    for here, there, tolerance in zip(got, (value.detach(), leaf.grad), atol, strict=True):
        np.testing.assert_allclose(here, there.numpy(), rtol, tolerance)
