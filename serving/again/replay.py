"""Answers derived again and held against what was answered: are the bytes, the ranks and the numbers the same."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from data.errors import TherapistFitError
from serving.again.past import Past, told

TOLERANCE = 1e-9
"""Largest difference of a utility, in SD, that counts as none."""


@dataclass(frozen=True)
class Replayed:
    """One answer, derived again."""

    recommendation_id: str
    bytes_equal: bool
    ranks_equal: bool
    skew: float
    """Largest difference of a utility or an end of its interval, in SD."""
    fields: tuple[str, ...]
    """Fields that differ, such as `recommendations.wait_days`."""
    problem: str = ""
    """Why it could not be derived again; empty if it was."""

    @property
    def stands(self) -> bool:
        """Whether it was derived again with the same ranks and, but for rounding, the same utilities."""
        return not self.problem and self.ranks_equal and self.skew <= TOLERANCE


@dataclass(frozen=True)
class Report:
    """Several answers, derived again."""

    answers: Sequence[Replayed]

    @property
    def stands(self) -> bool:
        """Whether every one does."""
        return all(one.stands for one in self.answers)

    @property
    def skew(self) -> float:
        """The largest."""
        return max((one.skew for one in self.answers), default=0.0)

    def counts(self) -> dict[str, int]:
        """How many were asked for, derived, and came out the same."""
        derived = [one for one in self.answers if not one.problem]
        return {
            "asked": len(self.answers),
            "derived": len(derived),
            "bytes_equal": sum(one.bytes_equal for one in derived),
            "ranks_equal": sum(one.ranks_equal for one in derived),
            "stand": sum(one.stands for one in derived),
        }


def replay(past: Past, tenant: str, rows: Iterable[sa.Row[Any]]) -> Iterator[Replayed]:
    """Derives rows of the journal again, one after the other."""
    for row in rows:
        try:
            again = past.again(tenant, row).answered().answer.model_dump_json().encode()
        except TherapistFitError as error:
            yield Replayed(row.recommendation_id, False, False, 0.0, (), str(error))
            continue
        yield against(row.recommendation_id, told(row), json.loads(again), row.answer == again)


def against(recommendation_id: str, before: dict[str, Any], again: dict[str, Any], bytes_equal: bool) -> Replayed:
    """Two answers, as parsed JSON."""
    ranks = [[one["therapist_id"] for one in answer["recommendations"]] for answer in (before, again)]
    return Replayed(
        recommendation_id,
        bytes_equal,
        ranks[0] == ranks[1],
        _skew(before, again),
        tuple(sorted(_differing(before, again))),
    )


def _skew(before: dict[str, Any], again: dict[str, Any]) -> float:
    now = {one["therapist_id"]: one["utility"] for one in again["recommendations"]}
    gaps = [
        abs(now[one["therapist_id"]][end] - value)
        for one in before["recommendations"]
        if one["therapist_id"] in now
        for end, value in one["utility"].items()
    ]
    return max(gaps, default=0.0)


def _differing(before: Any, again: Any, where: str = "") -> set[str]:
    """Names of the fields that differ; entries of a list go by the list's name."""
    if isinstance(before, dict) and isinstance(again, dict):
        return {
            path
            for name in before.keys() | again.keys()
            for path in _differing(before.get(name), again.get(name), f"{where}.{name}" if where else name)
        }
    if isinstance(before, list) and isinstance(again, list) and len(before) == len(again):
        return {path for one, other in zip(before, again, strict=True) for path in _differing(one, other, where)}
    return set() if before == again else {where}
