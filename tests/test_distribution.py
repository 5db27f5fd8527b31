"""On several devices and processes a loss has the gradient of one device with the whole batch.

`replicas.py` holds what each process computes.
"""

import keras
import numpy as np
import pytest
import replicas
from catalogue import LOSSES

pytestmark = pytest.mark.slow

# engine -> processes
ENGINES = {
    "tensorflow": {"mirrored": 1, "multi_worker": 2},
    "jax": {"devices": 2, "processes": 2},
    "torch": {"data_parallel": 2},
}[keras.backend.backend()]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_gradient_is_that_of_one_device(engine):
    results = replicas.start(engine, ENGINES[engine])
    if engine == "devices":  # What one process has found, another expects.
        results = [results[0] | results[1]]
    for found in results:
        names = [name.removeprefix("found ") for name in found if name.startswith("found ")]
        off = {}
        for name in names:
            expected = found.pop(f"expected {name}")
            assert np.any(expected), f"{name}: nothing to compare"
            if not np.allclose(found[f"found {name}"], expected, rtol=1e-5, atol=1e-6):
                off[name] = np.abs(found[f"found {name}"] - expected).max()
        assert not off
        assert not any(name.startswith("expected ") for name in found)
        if engine != "processes":  # of which one is told by its labels
            classes = {type(loss).__name__ for loss in LOSSES} - {"AcrossReplicas"}
            assert classes <= {name.split()[-1] for name in names}
