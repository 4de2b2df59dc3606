"""A report for every therapist of a dataset: what each may see of themselves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.audit.reports import FEWEST_CASES, Expected, Exposure, TherapistReport
from training.audit.screening import expected, on_record
from training.audit.therapists_caseload import mixes
from training.audit.therapists_effects import HALF, Effect, usual_client
from training.audit.therapists_exposure import Shown
from training.audit.therapists_known import Known
from training.audit.therapists_words import report_lines
from training.calibration import FEWEST_IN_CELL

Ints = npt.NDArray[np.int64]

LEAST_OFFERED = FEWEST_IN_CELL


@dataclass(frozen=True)
class _Kind:
    """What is told of one head for one kind of client: effects of all therapists, and who has cases enough."""

    head: str
    of: str
    effect: Effect
    cases: Ints
    enough: npt.NDArray[np.bool_]


def reports(known: Known, shown: Shown | None) -> dict[str, TherapistReport]:
    """By therapist id."""
    bundle = known.looked_at.bundle
    everyone = {head: known.told(head) for head in known.heads}
    kinds = [kind for head in known.heads for kind in _kinds(known, head)]
    caseloads, exposures = mixes(known), _exposures(known, shown)
    records = on_record(bundle, known.prepared.columns)
    updated = _days(known)
    found = {}
    for i, name in enumerate(known.ids):
        told = [_told(known, head, effect, i) for head, effect in everyone.items()]
        told += [expected(bundle, k.head, k.effect, i, int(k.cases[i]), k.of) for k in kinds if k.enough[i]]
        report = TherapistReport(
            therapist_id=name,
            as_of=bundle.manifest.as_of,
            basis="own_results" if any(one.cases for one in told) else "profile",
            learning_opt_out=bool(known.opted_out[i]),
            cases=None if known.opted_out[i] else int(known.seen[i]),
            expected=tuple(told),
            caseload=caseloads[i],
            exposure=exposures[i],
            profile=records[i],
            profile_updated_on=updated[i],
        )
        lines = tuple(report_lines(report, shown.clients if shown else None))
        found[name] = report.model_copy(update={"words": lines})
    return found


def _told(known: Known, head: str, effect: Effect, i: int) -> Expected:
    cases = int(known.result_counts[head][i]) if known.named(head)[i] else 0
    return expected(known.looked_at.bundle, head, effect, i, cases)


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
            yield _Kind(head, of, known.expected(head, client), count, enough)


def _exposures(known: Known, shown: Shown | None) -> Sequence[Exposure | None]:
    """None for who was available to fewer than 10 clients."""
    if shown is None:
        return [None] * len(known.ids)
    times = {way: shown.exposure(way).round().astype(np.int64) for way in ("first", "first_five", "seen")}
    return [
        Exposure(offered=int(offered), **{way: int(values[i]) for way, values in times.items()})
        if offered >= LEAST_OFFERED
        else None
        for i, offered in enumerate(shown.times_offered)
    ]


def _days(known: Known) -> list[object]:
    return [None if pd.isna(day) else pd.Timestamp(day).date() for day in known.profiles["profile_updated_on"]]
