"""What all families share; users find it through `keras_actloss` and its public modules."""
