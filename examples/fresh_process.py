"""What other machines do with the saved model; `quickstart.py` starts each in a process of its own.

    python fresh_process.py load model.keras inputs.npy predictions.npz
    python fresh_process.py export model.keras exported
    python fresh_process.py serve exported inputs.npy predictions.npz

Nothing is imported at the top: `serve` must run where neither Keras nor keras_actloss is installed.
"""

import sys

BLOCKED = ("keras", "keras_actloss")


def load(model_path, inputs_path, predictions_path):
    """Predict with the `.keras` file, on the backend that KERAS_BACKEND names."""
    import keras
    import numpy as np

    import keras_actloss  # noqa: F401 - importing it registers the classes that the file names

    model = keras.models.load_model(model_path)
    np.savez(predictions_path, **model.predict(np.load(inputs_path), verbose=0))


def export(model_path, exported_path):
    """Turn the `.keras` file into a TensorFlow SavedModel."""
    import keras

    import keras_actloss  # noqa: F401 - importing it registers the classes that the file names

    model = keras.models.load_model(model_path)
    model.export(exported_path, format="tf_saved_model", verbose=False)


def serve(exported_path, inputs_path, predictions_path):
    """Predict with the SavedModel, as on a server that has TensorFlow only."""
    # TensorFlow imports Keras lazily by itself: None makes every such import an ImportError.
    sys.modules.update(dict.fromkeys(BLOCKED))
    import numpy as np
    import tensorflow as tf

    model = tf.saved_model.load(exported_path)
    predictions = model.serve(tf.constant(np.load(inputs_path)))
    np.savez(predictions_path, **{name: y.numpy() for name, y in predictions.items()})
    theirs = [name for name in sys.modules if name.split(".")[0] in BLOCKED and sys.modules[name]]
    print(f"Served with {' and '.join(BLOCKED)} blocked; {len(theirs)} of their modules in memory.")


if __name__ == "__main__":
    {"load": load, "export": export, "serve": serve}[sys.argv[1]](*sys.argv[2:])
