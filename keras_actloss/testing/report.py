"""Running checks and telling a person what came out."""

import dataclasses
import unittest


class NotApplicable(unittest.SkipTest):
    """A check has nothing to look at in this object; the message says why. Test runners skip it."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one check said: `status` is `"passed"`, `"failed"` or `"skipped"`."""

    check: str
    status: str
    message: str = ""


@dataclasses.dataclass(frozen=True)
class Report:
    """The outcomes of all checks of one object; `print` it to read it."""

    subject: str
    outcomes: tuple[Outcome, ...]

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The outcomes of the checks that failed."""
        return tuple(o for o in self.outcomes if o.status == "failed")

    def __str__(self):
        counts = [
            sum(o.status == s for o in self.outcomes) for s in ("passed", "failed", "skipped")
        ]
        lines = ["{}: {} passed, {} failed, {} not applicable".format(self.subject, *counts)]
        marks = {"passed": "ok  ", "failed": "FAIL", "skipped": "-   "}
        for outcome in self.outcomes:
            title = outcome.check.removeprefix("check_").replace("_", " ")
            message = outcome.message.replace("\n", "\n         ")
            lines.append(f"  {marks[outcome.status]} {title}" + (f": {message}" if message else ""))
        return "\n".join(lines)


def outcome_of(check, *arguments, of=""):
    """What a check says of `arguments`; `of` names which of several things they are."""
    name = f"{of}{check.__name__.removeprefix('check_')}" if of else check.__name__
    try:
        check(*arguments)
        return Outcome(name, "passed")
    except NotApplicable as reason:
        return Outcome(name, "skipped", str(reason))
    except Exception as error:  # Whatever a user's class raises is that check's finding.
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        return Outcome(name, "failed", f"{kind}{error}")


def run(subject, checks, *arguments):
    """A report of `checks`, each called with `arguments`."""
    return Report(subject, tuple(outcome_of(check, *arguments) for check in checks))


def settle(report, raise_on_failure):
    """The report, or an AssertionError that carries it."""
    if report.failed and raise_on_failure:
        raise AssertionError(str(report))
    return report


def ensure(condition, message):
    """Fail the running check with `message` unless `condition` holds."""
    if not condition:
        raise AssertionError(message)
