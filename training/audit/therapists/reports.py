"""A report for every therapist of a dataset: what each may see of themselves."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.audit.reports import FEWEST_CASES, Expected, TherapistReport
from training.audit.therapists.caseload import mixes
from training.audit.therapists.effects import HALF, Effect, usual_client
from training.audit.therapists.exposure import Shown, exposures
from training.audit.therapists.known import Known
from training.audit.therapists.screening import ends, expected, on_record
from training.audit.therapists.words import report_lines

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Kind:
    """What is told of one head for one kind of client: effects of all therapists, and who has cases enough."""

    of: str
    effect: Effect
    cases: Ints
    enough: npt.NDArray[np.bool_]


class _Head:
    """What is told of one head, of all therapists."""

    def __init__(self, known: Known, head: str):
        self._bundle, self._head = known.looked_at.bundle, head
        self._effect = known.told(head)
        self._cases = np.where(known.named(head), known.result_counts[head], 0)
        self._kinds = list(_kinds(known, head))

    def told(self, i: int) -> Expected:
        """Of the therapist at i."""
        kinds = {one.of: (int(one.cases[i]), *ends(one.effect, i)) for one in self._kinds if one.enough[i]}
        whole = expected(self._bundle, self._head, self._effect, i, int(self._cases[i]))
        return whole.model_copy(update={"by_kind": kinds}) if kinds else whole


def reports(known: Known, shown: Shown | None) -> dict[str, TherapistReport]:
    """By therapist id."""
    bundle = known.looked_at.bundle
    everyone = {head: _Head(known, head) for head in known.heads}
    caseloads, seen = mixes(known), exposures(known, shown)
    records = on_record(bundle, known.prepared.columns)
    updated, unlearned = _days(known), [head for head in known.heads if not known.learns(head)]
    found = {}
    for i, name in enumerate(known.ids):
        told = {head: one.told(i) for head, one in everyone.items()}
        report = TherapistReport(
            therapist_id=name,
            as_of=bundle.manifest.as_of,
            basis="own_results" if any(one.cases for one in told.values()) else "profile",
            learning_opt_out=bool(known.opted_out[i]),
            cases=None if known.opted_out[i] else int(known.seen[i]),
            expected=told,
            caseload=caseloads[i],
            exposure=seen[i],
            profile=records[i],
            profile_updated_on=updated[i],
        )
        lines = tuple(report_lines(report, shown.clients if shown else None, unlearned))
        found[name] = report.model_copy(update={"words": lines})
    return found


def _kinds(known: Known, head: str) -> Iterator[_Kind]:
    """Milder and more severe clients, and main problems, wherever anybody has 15 known results with them."""
    bundle, cases = known.looked_at.bundle, known.cases
    rows = {
        "severity.milder": (cases.severity < 0, usual_client(bundle, severity=-HALF)),
        "severity.more_severe": (cases.severity >= 0, usual_client(bundle, severity=HALF)),
    }
    rows |= {
        f"problem.{word}": (cases.problem == word, usual_client(bundle, problem=word))
        for word in bundle.design.problems
    }
    for of, (mine, client) in rows.items():
        count = known.results(head, mine)
        enough = (count >= FEWEST_CASES) & known.named(head)
        if enough.any():
            yield _Kind(of, known.expected(head, client), count, enough)


def _days(known: Known) -> list[dt.date | None]:
    return [None if pd.isna(day) else pd.Timestamp(day).date() for day in known.profiles["profile_updated_on"]]
