"""The progress of an example that trains several networks in a row."""

import keras


class Progress(keras.callbacks.Callback):
    """One bar for all trainings, where Keras has one for each epoch."""

    def __init__(self, trainings, epochs):
        super().__init__()
        self.bar = keras.utils.Progbar(trainings * epochs, unit_name="epoch")
        self.done = 0

    def on_epoch_end(self, epoch, logs=None):
        self.done += 1
        self.bar.update(self.done)
