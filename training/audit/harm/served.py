"""What became of everybody who was referred to a service, from its records: harm by arm and group, waits, reasons."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from data.served import Referral
from training.audit.document import Cell, Column, Finding, Part, Table
from training.audit.harm.compare import ARM, compared_all
from training.audit.harm.counts import counts, total
from training.audit.harm.courses import ARMS, NHS_PAIR, OTHERWISE, Referrals, severity_bands
from training.audit.harm.rates import percent
from training.audit.harm.said import compared, died, headline, meanings
from training.audit.harm.tables import (
    contrast_findings,
    contrast_table,
    group_tables,
    label,
    long_table,
    wait_table,
)
from training.bands import FEWEST_IN_CELL, UNKNOWN, age_bands, fifths, first_word

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.object_]

PERIODS = ("before the service", "with earlier models", "with the model now")
"""When a client was referred."""
_WORDS = {
    "gender": "gender",
    "ethnicity": "ethnicity",
    "language": "languages",
    "payer": "payer",
    "problem": "problems",
    "disability": "disability",
    "sexual_orientation": "sexual_orientation",
}
"""Attribute -> the column of a request."""


def columns(records: Sequence[Referral], now: dt.datetime) -> Referrals:
    """The records as columns, one row each in their order; attributes that are known of nobody are left out."""
    days, begun = _dates(one.referred_on for one in records), _dates(one.started_on for one in records)
    over = np.array([one.ended_on is not None or one.declined or one.expired for one in records], dtype=bool)
    attended = _numbers(one.sessions_attended for one in records)
    started = ~np.isnat(begun) | (np.nan_to_num(attended) > 0) | np.array([bool(one.last) for one in records], bool)
    waited = _days(begun - days)
    waiting = _days(np.full(len(days), np.datetime64(now.date())) - days)
    instruments = [*NHS_PAIR, *OTHERWISE]
    first = {name: _numbers(one.intake.get(name) for one in records) for name in instruments}
    people = {name: place for place, name in enumerate(sorted({one.therapist_id or "" for one in records} - {""}))}
    return Referrals(
        arm=_names(one.arm for one in records),
        groups=_groups(records, days, first),
        therapist=np.array([people.get(one.therapist_id or "", -1) for one in records], dtype=np.int64),
        started=started,
        ending=_names(one.ending or "" for one in records),
        declined=np.array([one.declined for one in records], dtype=bool),
        attended=attended,
        wait=np.where(waited >= 0, waited, np.nan),
        waiting=np.where(started | over | (waiting < 0), np.nan, waiting),
        first=first,
        last={name: _numbers(one.last.get(name) for one in records) for name in instruments},
    )


def _groups(
    records: Sequence[Referral], days: npt.NDArray[np.datetime64], first: Mapping[str, Floats]
) -> Mapping[str, Names]:
    year = np.where(np.isnat(days), np.nan, days.astype("datetime64[Y]").astype(float) + 1970)
    clients = [one.client for one in records]
    found = {name: _names(_word(client.get(column)) for client in clients) for name, column in _WORDS.items()}
    found["age_band"] = age_bands(year - _numbers(client.get("birth_year") for client in clients))
    found["deprivation"] = fifths(_numbers(client.get("deprivation_decile") for client in clients))
    known = {name: words for name, words in found.items() if (words != UNKNOWN).any()}
    return {**known, "severity_band": severity_bands(first, len(records))}


def _word(cell: object) -> str:
    return {True: "yes", False: "no"}[cell] if isinstance(cell, bool) else first_word(cell)


def periods(records: Sequence[Referral], first: dt.datetime | None, newest: tuple[str, dt.datetime] | None) -> Names:
    """When each was referred: by the model that answered them; who was not ranked, by the day of the referral against
    the first answer of the service and the first of the model that answers now."""
    bundle, since = newest or (None, None)
    starts = [moment.date() for moment in (first, since) if moment is not None]

    def period(one: Referral) -> str:
        if one.bundle_id is not None:
            return PERIODS[2] if one.bundle_id == bundle else PERIODS[1]
        if one.referred_on is None:
            return UNKNOWN
        passed = sum(one.referred_on >= day for day in starts)
        return PERIODS[2] if passed and len(set(starts)) == 1 else PERIODS[passed]

    return _names(period(one) for one in records)


def harm_of(
    records: Sequence[Referral], when: Names, now: dt.datetime, page: str
) -> tuple[list[str], list[Finding], list[Part]]:
    """Sentences, findings and tables about what became of the clients of a service."""
    if not records:
        return ["Nobody has been referred yet."], [], []
    all_of = columns(records, now)
    found = compared_all(all_of)
    parts: list[Part] = [
        *meanings("How clients came to a therapist, and what may have gone wrong"),
        long_table(
            "harm_by_arm",
            "What became of everybody referred",
            "How they came to a therapist",
            [total(all_of.size, all_of.outcomes), counts(all_of.arm, all_of.outcomes, list(ARMS))],
        ),
        long_table("harm_by_period", "Before and after", "Referred", [counts(when, all_of.outcomes, PERIODS)]),
        contrast_table("harm_compared", "Who had more, who had less", found),
        wait_table(all_of, {"when": when}, "waits_by_period", "Waits before and after", PERIODS),
        wait_table(all_of, {ARM: all_of.arm}, "waits_by_arm", "Waits by how they came to a therapist", list(ARMS)),
        wait_table(all_of, all_of.groups, "waits_by_group", "Waits of groups"),
        *group_tables(all_of, list(ARMS)),
    ]
    findings = contrast_findings(found, page)
    if all_of.deaths.any():
        findings.insert(0, Finding(level="look", words=died(all_of), page=page))
    return [*headline(all_of), *compared(found)], findings, parts


def reason_table(made: Counter[tuple[str, str, str]], newest: str | None) -> Table:
    """Why it was decided otherwise or declined, with earlier models and with the one that answers now."""
    decided = Counter[bool]()
    for (bundle, _, _), times in made.items():
        decided[bundle == newest] += times
    reasons = sorted({(kind, reason) for _, kind, reason in made if kind in ("overridden", "declined")})
    rows: list[tuple[Cell, ...]] = []
    for kind, reason in reasons:
        cells: list[Cell] = []
        for now in (False, True):
            times = sum(
                n for (bundle, k, r), n in made.items() if (k, r) == (kind, reason) and (bundle == newest) == now
            )
            enough = decided[now] >= FEWEST_IN_CELL
            cells += [times if enough else None, percent(times, decided[now]) if enough else None]
        rows.append((label(kind), label(reason), *cells))
    of = [(name, unit) for name in ("before", "now") for unit in ("answers", "%")]
    told = {"before": "With earlier models", "now": "With the model now"}
    shown = [
        Column(name=f"{name}_{'share' if unit == '%' else 'times'}", label=told[name], unit=unit, digits=unit == "%")
        for name, unit in of
    ]
    return Table(
        id="reasons",
        title="Why it was decided otherwise, or declined",
        columns=(Column(name="kind", label="What was decided"), Column(name="reason", label="Why"), *shown),
        rows=tuple(rows),
        note="Of all answers of which it is on record what was decided; not shown where they are fewer than "
        f"{FEWEST_IN_CELL}.",
    )


def _names(values: Iterable[str]) -> Names:
    return np.array([*values, None], dtype=object)[:-1]


def _numbers(values: Iterable[float | int | None]) -> Floats:
    return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)


def _dates(values: Iterable[dt.date | None]) -> npt.NDArray[np.datetime64]:
    return np.array([*values], dtype="datetime64[D]")


def _days(spans: npt.NDArray[np.timedelta64]) -> Floats:
    return np.where(np.isnat(spans), np.nan, spans.astype("timedelta64[D]").astype(float))
