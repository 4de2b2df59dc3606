"""Every error a person may meet: one page, so that messages stay alike.

A message names the value, the rule it breaks and the next step. Work that can fail in several places
collects `Problem`s and raises once, with all of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """One broken rule: where it is, what stands there, what was expected, what to do next."""

    where: str
    value: str
    rule: str
    next_step: str = ""

    def __str__(self) -> str:
        step = f" -> {self.next_step}" if self.next_step else ""
        return f"{self.where}: {self.value}: {self.rule}{step}"


class TherapistFitError(Exception):
    """The work failed for a reason that a person can act on (exit code 1)."""


class ProblemsError(TherapistFitError):
    """Several rules are broken at once; `problems` has all of them."""

    def __init__(self, problems: Iterable[Problem]):
        self.problems = list(problems)
        super().__init__("\n".join(map(str, self.problems)))


class DataError(ProblemsError):
    """A dataset, a mapping or a table breaks the data contract."""


class ConfigError(ProblemsError):
    """A configuration file has unknown keys, values out of range, or asks for what may not be used."""


class PolicyError(ProblemsError):
    """A feature is missing from the policy, unsigned, or used against it."""


class GateError(ProblemsError):
    """A model may not be promoted; `problems` says which conditions it misses."""


class RequestError(ProblemsError):
    """A request to the service breaks its rules; `problems` names every field, never the value that was sent."""


class BundleError(TherapistFitError):
    """A bundle is unreadable, of another format, or no longer computes what it computed in training."""


class NotFoundError(TherapistFitError):
    """Something that was named does not exist (a dataset, a run, a model, a table)."""


class NoKeyError(TherapistFitError):
    """Nobody is known by the key that was sent: none, or one that is unknown, revoked or expired."""


class NotAllowedError(TherapistFitError):
    """The key is good, but not for this."""


class ConflictError(TherapistFitError):
    """What was asked does not go with what is on record: a place is taken, a course has ended."""


class GoneError(TherapistFitError):
    """It was here and has been erased."""


class PreconditionError(TherapistFitError):
    """Somebody else changed it in between (`If-Match`)."""


class TooManyError(TherapistFitError):
    """More requests than agreed; `seconds` is how long to wait."""

    def __init__(self, message: str, seconds: float):
        self.seconds = seconds
        super().__init__(message)


class BusyError(TherapistFitError):
    """Too much work at once: nothing was done, and the same request may be sent again."""


class JournalError(TherapistFitError):
    """An answer could not be kept, so it is not given."""


class NotReadyError(TherapistFitError):
    """The service has no bundle, no directory or no database yet."""


class DemoError(TherapistFitError):
    """A step of the demonstration failed; the message has the step's last words."""


def unreadable(path: Path, error: OSError) -> Problem:
    """The problem of a file that is there but cannot be read: a folder, no permission, a broken disk."""
    reason = (error.strerror or str(error)).lower()
    return Problem(str(path), f"cannot be read: {reason}", "must be a file that may be read", "mend it, or its rights")
