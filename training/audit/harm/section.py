"""Whether anyone was harmed and anything missed, in the data that a bundle was learned from."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.served import NOBODY_YET, RECORDED, arm_of
from training.audit.document import Finding, Part, Section
from training.audit.examined import Examined
from training.audit.harm.charts import gaps
from training.audit.harm.compare import Contrast, arm_sides, compared_all, contrasts
from training.audit.harm.counts import counts, total
from training.audit.harm.courses import ARMS, NHS_PAIR, OTHERWISE, Referrals, severity_bands
from training.audit.harm.said import compared, died, headline, judged, meanings
from training.audit.harm.tables import (
    NOT_BY_LOT,
    contrast_findings,
    contrast_table,
    group_tables,
    long_table,
    wait_table,
)
from training.audit.ranked import ranked
from training.groups import client_groups

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.object_]

PAGE = "section/harm"

ELSEWHERE = "How far the scores of each group lie from what its need explains is asked where groups are: it shows more."
TITLE = "Was anyone harmed, was anything missed?"
PERIODS = ("before", "since")
HALVES = ("upper_half", "lower_half")


def section(looked_at: Examined) -> Section:
    """What became of everyone who was referred, by how they came to their therapist and by group."""
    all_of = referrals(looked_at)
    if not all_of.size:
        return Section(id="harm", title=TITLE, says=("Nobody was referred in these data, so nothing can be said.",))
    found = compared_all(all_of)
    halves, half_of = _halves(looked_at, all_of)
    parts: list[Part] = [
        *meanings("What the words mean"),
        long_table(
            "harm_by_arm",
            "By how they came to a therapist",
            "How they came to a therapist",
            [total(all_of.size, all_of.outcomes), counts(all_of.arm, all_of.outcomes, list(ARMS))],
        ),
        *_by_period(looked_at, all_of),
        *half_of,
        *gaps(found),
        contrast_table("harm_compared", "Who had more, who had less", found),
        wait_table(all_of, {"arm": all_of.arm}, "waits_by_arm", "How long they waited", list(ARMS)),
        wait_table(all_of, all_of.groups, "waits_by_group", "How long groups waited"),
        *group_tables(all_of, list(ARMS)),
    ]
    says = (
        *headline(all_of),
        *_of_arms(looked_at, all_of),
        *compared(found),
        *_of_halves(halves),
        *_left_out(looked_at),
    )
    return Section(id="harm", title=TITLE, says=says, findings=_findings(all_of, found, halves), parts=tuple(parts))


def referrals(looked_at: Examined) -> Referrals:
    """Everyone in the data who agreed to be learned from, as known at their end."""
    episodes = looked_at.snapshot.episodes()
    clients = looked_at.history.as_of_each(np.full(len(episodes), np.datetime64("NaT")))
    rows = clients.clients(episodes["client_id"]).reset_index(drop=True)
    first, last = _scores(looked_at, episodes["episode_id"])
    referred = episodes["referred_on"].fillna(episodes["matched_on"])
    ending = episodes["ending"].astype(object).where(~episodes["ending"].isin(["ongoing", "waiting"])).fillna("")
    attended = episodes["sessions_attended"].to_numpy(dtype=np.float64, na_value=np.nan)
    scored = np.any([~np.isnan(values) for values in last.values()], axis=0) if last else np.zeros(len(episodes), bool)
    started = episodes["started_on"].notna().to_numpy(bool) | (np.nan_to_num(attended) > 0) | scored
    year = pd.Series(referred.dt.year.to_numpy())
    groups = client_groups(rows, year, np.full(len(rows), np.nan))
    waited = (episodes["started_on"] - referred).dt.days.to_numpy(dtype=np.float64, na_value=np.nan)
    return Referrals(
        arm=_arms(episodes),
        groups={
            **{name: words.to_numpy(dtype=object) for name, words in groups.items()},
            "severity_band": severity_bands(first, len(episodes)),
        },
        therapist=episodes["therapist_id"].factorize()[0].astype(np.int64),
        started=started,
        ending=ending.to_numpy(dtype=object),
        declined=(ending == "declined").to_numpy(bool),
        attended=attended,
        wait=np.where(waited >= 0, waited, np.nan),
        waiting=_still_waiting(looked_at, referred, started | (ending != "").to_numpy(bool)),
        first=first,
        last=last,
    )


def _arms(episodes: pd.DataFrame) -> Names:
    """As the service recorded it, else by who decided."""
    recorded = episodes["arm"].astype(object).where(episodes["arm"].isin(list(ARMS)))
    by = {name: arm_of(name) for name in episodes["assigned_by"].dropna().unique()}
    decided = episodes["assigned_by"].map(by).astype(object).fillna(arm_of(None))
    found = recorded.fillna(decided).mask(episodes["therapist_id"].isna(), NOBODY_YET)
    return np.asarray(found.to_numpy(dtype=object), dtype=np.object_)


def _scores(looked_at: Examined, ids: pd.Series) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Totals at intake and at the last later session, as the client gave them, by instrument."""
    measures = looked_at.snapshot.measures()
    totals = measures[
        (measures["item"] == "0")
        & (measures["rater"] == "client")
        & measures["instrument"].isin([*NHS_PAIR, *OTHERWISE])
    ]
    place = pd.Index(ids)
    first, last = {}, {}
    for name, mine in totals.groupby("instrument"):
        intake, later = mine[mine["session"] == 0], mine[mine["session"] > 0]
        first[str(name)] = _at(place, intake)
        last[str(name)] = _at(
            place, later.sort_values("session", kind="stable").drop_duplicates("episode_id", keep="last")
        )
    return first, last


def _at(place: "pd.Index[Any]", rows: pd.DataFrame) -> Floats:
    values = np.full(len(place), np.nan)
    at = place.get_indexer(rows["episode_id"])
    values[at[at >= 0]] = rows["value"].to_numpy(dtype=np.float64)[at >= 0]
    return values


def _still_waiting(looked_at: Examined, referred: pd.Series, over: npt.NDArray[np.bool_]) -> Floats:
    day = looked_at.snapshot.day
    if day is None:
        return np.full(len(referred), np.nan)
    days = (pd.Timestamp(day) - referred).dt.days.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(over | (days < 0), np.nan, days)


def _by_period(looked_at: Examined, all_of: Referrals) -> list[Part]:
    """Before the service ranked anybody, and since."""
    words = _periods(looked_at)
    if words is None:
        return []
    told = [counts(words, all_of.outcomes, PERIODS)]
    title = "Before the service was used, and since"
    return [
        long_table("harm_by_period", title, "When", told),
        wait_table(all_of, {"when": words}, "waits_by_period", "Waits before the service was used, and since", PERIODS),
    ]


def _periods(looked_at: Examined) -> Names | None:
    episodes = looked_at.snapshot.episodes()
    days = episodes["referred_on"].fillna(episodes["matched_on"])
    first = days[episodes["arm"].isin(RECORDED)].min()
    if pd.isna(first):
        return None
    return np.asarray(np.where((days >= first).to_numpy(bool), PERIODS[1], PERIODS[0]), dtype=np.object_)


def _halves(looked_at: Examined, all_of: Referrals) -> tuple[list[Contrast] | None, list[Part]]:
    """Clients that the tested model had not seen: those whose therapist it would have put in the upper half, and the
    others. None where nothing was tested or nobody had a choice."""
    order = ranked(looked_at) if looked_at.tested is not None else None
    if order is None:
        return None, []
    percentile = order.offered.percentile(order.utility)
    ids = looked_at.test["episode_id"].iloc[order.offered.rows]
    at = pd.Index(looked_at.snapshot.episodes()["episode_id"]).get_indexer(ids)
    mine = all_of.rows(at)
    words = np.where(percentile > 0.5, HALVES[0], HALVES[1]).astype(object)
    found = contrasts(list(arm_sides(mine, words, HALVES[::-1], "half")), mine.outcomes, mine.therapist)
    title = "Had the ranking been followed: clients whose therapist was in the upper half of their list, and the others"
    return found, [
        long_table("harm_by_half", title, "Therapist was in the", [counts(words, mine.outcomes, HALVES)]),
        contrast_table("halves_compared", "Upper half beside lower half", found),
    ]


def _of_arms(looked_at: Examined, all_of: Referrals) -> list[str]:
    if looked_at.snapshot.episodes()["arm"].isin(RECORDED).any():
        return [
            "How each client came to their therapist is on record as the service kept it. Who declined everyone they "
            "were shown and never had a course is not in these data; the service's own page on safety counts them."
        ]
    by = " Who is called `followed` or `next available` here was placed by an earlier program or by lot."
    drawn = by if any((all_of.arm == name).any() for name in RECORDED) else ""
    return [
        "No answer of this service is behind these data, so they cannot say how clients fared who followed it, and how "
        f"those of whom it was decided otherwise.{drawn}"
    ]


def _of_halves(halves: list[Contrast] | None) -> list[str]:
    if halves is None:
        return []
    told = [judged(one) for one in halves if one.outcome in ("deteriorated", "dropout")]
    if not told:
        return []
    return [
        "Before any use, clients whom the model had not seen are the nearest to a comparison: by chance or choice some "
        "of them saw a therapist from the upper half of the list that it would have shown. "
        + " ".join(told)
        + " They were not drawn by lot: whoever saw which therapist may have differed in ways that nobody recorded."
    ]


def _left_out(looked_at: Examined) -> list[str]:
    left = len(looked_at.dataset["episodes"]) - len(looked_at.snapshot.episodes())
    people = f"{left:,} courses are not looked at here: their clients agreed to care only, or their therapists are not "
    told = [f"{people}learned from. The service's own page on safety holds them."] if left else []
    return [
        *told,
        "Safety holds, overdue tasks, waits now and reasons for deciding otherwise are in the service's own records: "
        "see the page on safety, or audit with the service's database.",
    ]


def _findings(all_of: Referrals, found: list[Contrast], halves: list[Contrast] | None) -> tuple[Finding, ...]:
    told = contrast_findings([*found, *(halves or [])], PAGE)
    if all_of.deaths.any():
        told.insert(0, Finding(level="look", words=died(all_of), page=PAGE))
    if not any(one.level == "look" for one in told):
        none = (
            f"Of {len(found)} comparisons none, but for those by severity, shows clearly more harm."
            if found
            else "Too little is known for any comparison of groups."
        )
        words = f"{none} It is no proof that nobody was harmed. {ELSEWHERE} {NOT_BY_LOT}"
        told.append(Finding(level="note", words=words, page=PAGE))
    return tuple(told)
