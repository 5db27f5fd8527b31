"""What became of each object of TensorFlow Addons in a file."""

from dataclasses import dataclass, field
from typing import NamedTuple

from keras_actloss.migrate.names import Found


class Change(NamedTuple):
    """An object of the file: where it is, its name there, what it is now or None, and why."""

    where: str
    old: str
    new: str | None
    note: str = ""


@dataclass
class Report:
    """What became of each object of TensorFlow Addons in a file; as text, a table of it.

    Attributes:
        changes: Named tuples `(where, old, new, note)`, in the order of the file; `new` is `None`
            for what has no counterpart, and `note` says why.
        missing: Those without a counterpart.
    """

    changes: list[Change] = field(default_factory=list)

    @property
    def missing(self):
        return [change for change in self.changes if change.new is None]

    def add(self, where, old, new, note=""):
        self.changes.append(Change(where, old, shown(new) if new else None, note))

    def __str__(self):
        if not self.changes:
            return "The file names nothing of TensorFlow Addons."
        rows = [(c.where, c.old, c.new or "no counterpart", c.note) for c in self.changes]
        where, old = (max(len(row[i]) for row in rows) for i in range(2))
        lines = []
        for row in rows:
            lines.append(f"{row[0]:{where}}  {row[1]:{old}}  {row[2]}")
            if row[3]:
                lines.append(f"{'':{where}}  {row[3]}")
        return "\n".join(lines)


def shown(found):
    """A constructor's call as text, without the initializers and the like of a layer's config."""
    if not isinstance(found, Found):
        return str(found)
    settings = ", ".join(
        f"{name}=[{', '.join(map(shown, value))}]"
        if isinstance(value, list)
        else f"{name}={value!r}"
        for name, value in found.settings.items()
        if value is not None and not isinstance(value, dict)
    )
    return f"{found.name}({settings})"
