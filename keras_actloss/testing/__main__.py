"""`python -m keras_actloss.testing Huber`: all checks of public objects, on the chosen backend.

Settings may follow a name, `"Huber(delta=2.0)"`; a class that has no default for one needs it.
"""

import ast
import inspect
import sys
from typing import Any

import keras

import keras_actloss
from keras_actloss.core.registry import CATALOGUE
from keras_actloss.testing import check_activation, check_loss


def _needs_settings(cls):
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    return any(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)


def _name_and_settings(text):
    name, bracket, arguments = text.partition("(")
    call: Any = ast.parse(f"dict({arguments if bracket else ')'}", mode="eval").body
    if call.args:
        raise SystemExit(f'{text}: name each setting, as in "Huber(delta=2.0)"')
    return name, {k.arg: ast.literal_eval(k.value) for k in call.keywords}


def main(texts):
    classes = {
        name: (kind, thing)
        for kind in ("layers", "losses")
        for name, thing in CATALOGUE[kind].items()
        if isinstance(thing, type)
    }
    wanted = [_name_and_settings(text) for text in texts]
    wanted = wanted or [(n, {}) for n, (_, cls) in classes.items() if not _needs_settings(cls)]
    unknown = [name for name, _ in wanted if name not in classes]
    if unknown:
        raise SystemExit(f"no class {', '.join(unknown)}; known: {', '.join(classes)}")
    print(f"keras_actloss {keras_actloss.__version__} on {keras.backend.backend()}")
    failed = 0
    for name, settings in wanted:
        kind, cls = classes[name]
        check = check_loss if kind == "losses" else check_activation
        report = check(cls(**settings), raise_on_failure=False)
        print(report)
        failed += len(report.failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
