"""Docstrings of classes, made of those of their functions and of their bases."""

import inspect
import re

# What stands before these sections of a function's docstring holds for its class as it is.
_TITLE = re.compile(
    r"^(Args|Call arguments|Weights|Shapes|Raises|Example|Related|Reference):$", re.MULTILINE
)


def _sections(text):
    """The lines before the first section, and each section by its title."""
    head, *rest = _TITLE.split(inspect.cleandoc(text or ""))
    return {"": head.rstrip(), **dict(zip(rest[::2], rest[1::2], strict=True))}


def _entries(sections, title):
    """What a section says of each argument; one entry may be of several."""
    found = {}
    for entry in re.split(r"^    (?=\S)", sections.get(title, ""), flags=re.MULTILINE)[1:]:
        names, _, told = entry.partition(":")
        found.update(dict.fromkeys(re.split(r",\s+", names), told.strip()))
    return found


def _argument(name, default, known):
    """What to say of an argument; an entry for `*_initializer` is of all that end so."""
    told = known.get(name) or known.get(f"*_{name.rpartition('_')[2]}", "")
    if re.search(r"Defaults\s+to", told) or default is inspect.Parameter.empty:
        return told
    default = f"Defaults to `{default!r}`.".replace("'", '"')
    before = f"    {name}: {told}".rpartition("\n")[2]
    return told + (" " if len(before) + len(default) < 100 else "\n        ") + default


class ClassDoc:
    """The docstring of a class: its own lines, then that of its function, with its own arguments.

    What the function's does not tell of them is in the docstring of the class or of a base. Made
    when it is read, for to make all takes longer than to import the package.

    Args:
        own: The docstring that the class was written with, or `None`.
        fn: Its function.
    """

    def __init__(self, own, fn):
        self.own, self.fn = own, fn

    def __get__(self, thing, cls):
        own = _sections(self.own or f"Class form of `{self.fn.__name__}`.")
        of_fn = _sections(self.fn.__doc__)
        head = f"{own.pop('')}\n\n{of_fn.pop('')}".rstrip()
        told = _entries(of_fn, "Args")
        if told:
            made = self._of_arguments(cls, own, told)
            own = {title: _listed(entries) for title, entries in made.items() if entries}
            del of_fn["Args"]
        parts = (f"\n\n{title}:{text.rstrip()}" for title, text in {**own, **of_fn}.items())
        return head + "".join(parts)

    def _of_arguments(self, cls, own, told):
        known, of_call = {}, {}
        for ancestor in reversed(cls.__mro__[1:]):
            sections = _sections(ancestor.__doc__)
            known |= _entries(sections, "Args")
            of_call |= _entries(sections, "Call arguments")
        known |= told | _entries(own, "Args")
        of_call |= told | ({"inputs": f"`x`. {told['x']}"} if "x" in told else {})
        made, called = (
            inspect.signature(call).parameters for call in (cls, getattr(cls, cls._called))
        )
        return {
            "Args": {name: _argument(name, p.default, known) for name, p in made.items()},
            "Call arguments": {name: of_call[name] for name in called if name in of_call},
            "Weights": {
                name: re.sub(r"\s+Defaults\s+to .*", "", entry, flags=re.DOTALL)
                for name, entry in told.items()
                if f"{name}_initializer" in made
            },
        }


def _listed(entries):
    return "".join(f"\n    {name}: {told}" for name, told in entries.items())
