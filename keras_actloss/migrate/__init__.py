"""Loads models that were saved with TensorFlow Addons, and saves them as models of this package.

    model = migrate.load_model("old.h5")
    print(migrate.convert("old.h5", "new.keras"))

or, in a shell, `python -m keras_actloss.migrate old.h5 new.keras`.
"""

from keras_actloss.migrate.loading import convert, load_model
from keras_actloss.migrate.report import Change, Report

__all__ = ["Change", "Report", "convert", "load_model"]
