"""Settings of all tests."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest
from hypothesis import settings

# JAX compiles each op anew for each shape.
few = 8 if keras.backend.backend() == "jax" else 25
settings.register_profile("suite", deadline=None, derandomize=True, max_examples=few)
# For `make nightly`: many times as many, and others each time.
settings.register_profile("nightly", deadline=None, print_blob=True, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

# Takes a third of the time.
QUICK_TO_COMPILE = "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0"


def pytest_addoption(parser):
    parser.addoption(
        "--xla",
        choices=["full", "quick"],
        help="full: only tests that depend on what XLA makes of a program; quick: only the others, "
        "which then compile without its optimizations. Both are run without this option.",
    )


def pytest_configure(config):
    if config.getoption("xla") == "quick":
        os.environ["XLA_FLAGS"] = QUICK_TO_COMPILE


def pytest_collection_modifyitems(config, items):
    part = config.getoption("xla")
    if part is None:
        return
    chosen = [x for x in items if (x.get_closest_marker("optimized") is None) == (part == "quick")]
    config.hook.pytest_deselected(items=list(set(items) - set(chosen)))
    items[:] = chosen


def pytest_sessionfinish(session, exitstatus):
    """What `-k` names may be in the other part."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and session.config.getoption("xla"):
        session.exitstatus = pytest.ExitCode.OK


@pytest.fixture(autouse=True, scope="session")
def little_garbage():
    """Ten thousand tests and their libraries are no garbage to look through again and again."""
    keras.utils.set_random_seed(0)  # It imports TensorFlow, whatever the backend.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(autouse=True)
def same_start():
    """Every test starts from the same seed and Keras's own global settings."""
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
