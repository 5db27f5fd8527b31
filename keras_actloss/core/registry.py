"""The names under which Keras saves what this package offers, and how to find an object by name."""

import difflib
from typing import Any

import keras

PACKAGE = "keras_actloss"

# Old registered name -> the class that answers to it now. A released name is never reused.
ALIASES: dict[str, type] = {}

# kind ("activations", "layers", "losses") -> public name -> object, in order of definition.
CATALOGUE: dict[str, dict[str, object]] = {"activations": {}, "layers": {}, "losses": {}}


def register(kind):
    """Decorator: record an object of `kind` in the catalogue and under its frozen name in Keras."""

    def decorate(thing):
        CATALOGUE[kind][thing.__name__] = thing
        return keras.saving.register_keras_serializable(PACKAGE)(thing)

    return decorate


def add_alias(old_name, cls):
    """Let files that name `keras_actloss>old_name` load as `cls`."""
    ALIASES[f"{PACKAGE}>{old_name}"] = cls
    keras.saving.get_custom_objects()[f"{PACKAGE}>{old_name}"] = cls


def find(kind, name, owner):
    """The object of that name, or an error in the name of `owner` that says which are near."""
    names = CATALOGUE[kind]
    if name not in names:
        close = [known for known in names if known.lower() == name.lower()]
        close = close or difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names)}"
        raise ValueError(f"{owner}: {kind} has no {name!r}; {hint}")
    return names[name]


def get(kind: str, name: str, /, **settings: Any) -> Any:
    """The layer, loss or function of this package with that name.

    Keras resolves strings for its own objects only, so `compile(loss="Huber")` is Keras's Huber.
    This is the lookup for ours.

    Args:
        kind: `"activations"`, `"layers"` or `"losses"`.
        name: The public name. A class name gives an instance, a function name the function.
        settings: Arguments of the class's constructor.

    Returns:
        An instance of the class, or the function.

    Raises:
        TypeError: If the name is no text.
        ValueError: If there is no such kind or name, or a function is given settings.

    Example:

    >>> keras_actloss.get("losses", "Huber", delta=2.0).delta
    2.0
    """
    if not isinstance(kind, str) or kind not in CATALOGUE:
        raise ValueError(f"get: kind must be one of {sorted(CATALOGUE)}, got {kind!r}")
    if not isinstance(name, str):
        raise TypeError(f"get: name must be a public name as text, got {name!r}")
    found = find(kind, name, "get")
    if isinstance(found, type):
        return found(**settings)
    if settings:
        raise ValueError(
            f"get: {name} is a function and takes no settings here, got {sorted(settings)}; "
            "name its class instead"
        )
    return found
