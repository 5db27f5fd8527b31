"""Settings of all tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest
from hypothesis import settings

from keras_actloss.testing import NotApplicable

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=25)
# For `make nightly`: twenty times as many, and others each time.
settings.register_profile("nightly", deadline=None, print_blob=True, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """What does not apply, to an object or to this Keras, is skipped and says why."""
    try:
        return (yield)
    except NotApplicable as reason:
        pytest.skip(str(reason))


@pytest.fixture(autouse=True)
def same_start():
    """Every test starts from the same seed and Keras's own global settings."""
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
