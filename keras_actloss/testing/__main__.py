"""`python -m keras_actloss.testing Huber`: all checks of public objects, on the chosen backend."""

import sys

import keras

import keras_actloss
from keras_actloss.core.registry import CATALOGUE
from keras_actloss.testing import check_activation, check_loss


def main(names):
    classes = {
        name: (kind, thing)
        for kind in ("layers", "losses")
        for name, thing in CATALOGUE[kind].items()
        if isinstance(thing, type)
    }
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise SystemExit(f"no class {', '.join(unknown)}; known: {', '.join(classes)}")
    print(f"keras_actloss {keras_actloss.__version__} on {keras.backend.backend()}")
    failed = 0
    for name in names or classes:
        kind, cls = classes[name]
        check = check_loss if kind == "losses" else check_activation
        report = check(cls(), raise_on_failure=False)
        print(report)
        failed += len(report.failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
