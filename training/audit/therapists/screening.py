"""What a profile alone foretells: of a therapist the model has never seen, or of one with too few cases.

An expectation with a wide interval, and no verdict: there is no cut-off here, and none should be made from it. Light:
workers import it.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from features.columns import Codes, Columns, Sets
from training.audit.reports import NOT_FOR, RIGHTS, Expected, TherapistReport
from training.audit.therapists.effects import Effect, effects, ranking_heads, unit, usual_client
from training.audit.therapists.words import foretelling, head_label, report_lines, span
from training.bundle import Bundle
from training.fits import Prepared

Ints = npt.NDArray[np.int64]

DIGITS = 3
NO_VERDICT = (
    "This is what a profile foretells on average of therapists who share it. It is no verdict on this person, there is "
    "no cut-off, and most of what a therapist will bring is not in any profile: see them work."
)


class Screened(BaseModel):
    """What the profile of one therapist foretells."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    therapist_id: str
    expected: Mapping[str, Expected]
    """By head."""
    profile: Mapping[str, str]
    """What is on record of what the model reads; an empty text is not on record."""
    words: tuple[str, ...]
    rights: tuple[str, ...] = RIGHTS


def screen(bundle: Bundle, ids: Sequence[str], table: Mapping[str, Any], day: dt.date | None) -> list[Screened]:
    """What the profiles of some therapists foretell, whether or not the bundle has seen them.

    `table` has the columns of the table `therapists`, a value for each id.
    """
    prepared = bundle.therapists(ids, table, day)
    tests = [foretelling(head, bundle.manifest.evaluation) for head in ranking_heads(bundle)]
    records = on_record(bundle, prepared.columns)
    found = foretold(bundle, prepared)
    return [
        Screened(
            therapist_id=name,
            expected=told,
            profile=record,
            words=(*(f"{head_label(head)}: {span(one)}." for head, one in told.items()), NO_VERDICT, *tests, NOT_FOR),
        )
        for name, told, record in zip(ids, found, records, strict=True)
    ]


def foretold(bundle: Bundle, prepared: Prepared) -> list[dict[str, Expected]]:
    """By therapist, for every head that ranks, what their profile foretells."""
    client, heads = usual_client(bundle), ranking_heads(bundle)
    by_head = {head: effects(bundle, head, prepared, client, own=False) for head in heads}
    return [
        {head: expected(bundle, head, effect, i, 0) for head, effect in by_head.items()}
        for i in range(len(prepared.position))
    ]


def expected(bundle: Bundle, head: str, effect: Effect, at: int, cases: int) -> Expected:
    """One therapist's figure, of those at `at`."""
    value, low, high = ends(effect, at)
    return Expected(value=value, low=low, high=high, unit=unit(bundle.heads[head].info), cases=cases)


def ends(effect: Effect, at: int) -> tuple[float, float, float]:
    """Value, low and high of one therapist, rounded."""
    value, low, high = (round(float(part[at]), DIGITS) for part in (effect.value, effect.low, effect.high))
    return value, low, high


def report_of(
    bundle: Bundle,
    prepared: Prepared,
    row: int,
    therapist_id: str,
    day: dt.date | None,
    updated_on: dt.date | None = None,
) -> TherapistReport:
    """The report of a therapist of a directory of whom the audit has none: what the profile foretells, and no more.

    Own results are told by the audit alone, which counts them. `row` is the therapist's in `prepared`, `updated_on`
    the day their profile is of, where it is known.
    """
    one = _alone(prepared, row)
    (found,), (record,) = foretold(bundle, one), on_record(bundle, one.columns)
    report = TherapistReport(
        therapist_id=therapist_id,
        as_of=bundle.manifest.as_of or day,
        learning_opt_out=bool(one.columns.number("learning_opt_out")[0] == 1),
        cases=_cases(bundle, int(one.position[0])),
        expected=found,
        profile=record,
        profile_updated_on=updated_on,
    )
    return report.model_copy(update={"words": tuple(report_lines(report))})


def _cases(bundle: Bundle, position: int) -> int | None:
    """How many the bundle knows; None where its data have no dates."""
    known = float(bundle.records.counts["cases"][position]) if position >= 0 else 0.0
    return None if np.isnan(known) else int(known)


def _alone(prepared: Prepared, row: int) -> Prepared:
    at = np.array([row], dtype=np.int64)
    return Prepared(prepared.columns.take(at), prepared.position[at], prepared.ranking[at], prepared.base[:, at])


def on_record(bundle: Bundle, therapists: Columns) -> list[dict[str, str]]:
    """By therapist, every fact of the profile that the model reads; an empty text where it is not on record."""
    features = [one for one in bundle.features.row_features() if one.group == "therapist"]
    used = [one for one in features if one.name in bundle.features.words]
    built = {one.name.removeprefix("therapist."): _texts(one.build(therapists)) for one in used}
    return [{name: texts[i] for name, texts in built.items()} for i in range(therapists.size)]


def _texts(built: Any) -> list[str]:
    if isinstance(built, Codes):
        return ["" if at < 0 else built.vocabulary[at] for at in built.index.tolist()]
    if isinstance(built, Sets):
        members = [np.flatnonzero(row) for row in built.member]
        return ["|".join(built.vocabulary[at] for at in row) for row in members]
    return ["" if value != value else f"{value:.3g}" for value in built.tolist()]
