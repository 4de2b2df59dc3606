"""People of the synthetic clinic as tables of the data contract: therapists, licences, slots, clients, preferences."""

import numpy as np
import pandas as pd

from data.synthetic import people, staff, words
from data.synthetic.drawing import booleans, days, identifiers, integers, joined, labels
from data.synthetic.people import NO_WISH, Clients
from data.synthetic.plan import Plan
from data.synthetic.staff import Staff

_STYLES = ("style_directiveness", "style_expressiveness", "style_homework")
_TOPIC_VALUES = {
    "gender": words.GENDERS,
    "orientation": words.ORIENTATIONS,
    "ethnicity": words.ETHNICITIES,
    "modality": words.MODALITIES,
    "affirming": ("lgbtq",),
}


def therapists(plan: Plan, s: Staff, caseload: np.ndarray) -> pd.DataFrame:
    """Every version of every profile; the latest carries today's caseload, and those who left accept nobody."""
    everyone, gone = np.arange(len(s.ids)), s.stops < 0
    updated = np.flatnonzero(~np.isnan(s.updated))
    left = np.flatnonzero(gone)
    row = np.concatenate([everyone, updated, left])
    since = np.concatenate([s.joined, s.updated[updated], s.stops[left] + 1])
    version = np.repeat([0, 1, 2], [len(everyone), len(updated), len(left)])
    newest = np.maximum.reduceat(since[np.argsort(row, kind="stable")], np.searchsorted(np.sort(row), everyone))
    latest = since == newest[row]
    frame = pd.DataFrame(
        {
            "therapist_id": labels(s.ids, row),
            "profile_updated_on": days(plan.as_of, since),
            "gender": labels(words.GENDERS, s.gender[row]),
            "birth_year": integers(s.birth_year[row]),
            "ethnicity": labels(words.ETHNICITIES, s.ethnicity[row]),
            "faith": labels(words.FAITHS, s.faith[row]),
            "affirming": joined(("lgbtq",), s.affirming[row, None]),
            "practising_since": integers(s.practising_since[row]),
            "qualifications": joined(words.QUALIFICATIONS, s.qualifications[row]),
            "orientation": labels(words.ORIENTATIONS, s.orientation[row]),
            "specialties": joined(words.PROBLEMS, _specialties(s, row, since)),
            "trained_for": joined(words.PROBLEMS, s.trained[row]),
            "care_levels": joined(words.CARE_LEVELS, s.levels[row]),
            "languages": joined(words.LANGUAGES, s.languages[row]),
            "modalities": joined(words.MODALITIES, s.modalities[row]),
            "payers": joined(words.PAYERS, s.payers_from[row] <= since[:, None]),
            "age_groups": joined(words.AGE_GROUPS, s.ages[row]),
            **{name: s.styles[row, i] for i, name in enumerate(_STYLES)},
            "interpersonal_skill": np.where(s.skill_known, s.skill.round(3), np.nan)[row],
            "interpersonal_skill_source": labels(("performance_task",), np.where(s.skill_known[row], 0, -1)),
            "caseload": integers(caseload[row], latest),
            "caseload_on": days(plan.as_of, np.where(latest, 0.0, np.nan)),
            "caseload_capacity": integers(s.capacity[row]),
            "accepts_new": booleans(version < 2),
            "learning_opt_out": booleans(s.opt_out[row]),
            "empathy_rating": s.empathy[row].round(3),
            "practice_area": s.area[row].round(3),
            **{name: s.noise[row, i] for i, name in enumerate(staff.NOISE)},
        }
    )
    return frame.sort_values(["therapist_id", "profile_updated_on"], ignore_index=True)


def _specialties(s: Staff, row: np.ndarray, since: np.ndarray) -> np.ndarray:
    held = s.specialties[row]
    added = np.flatnonzero((s.added_specialty[row] >= 0) & (since >= np.nan_to_num(s.updated[row], nan=np.inf)))
    held[added, s.added_specialty[row[added]]] = True
    return np.asarray(held)


def licences(plan: Plan, s: Staff) -> pd.DataFrame:
    """One row per therapist and jurisdiction, those that ended or are suspended included."""
    row, place = np.nonzero(np.isfinite(s.licence_from))
    home = place == s.licence_from.argmin(axis=1)[row]
    return pd.DataFrame(
        {
            "therapist_id": labels(s.ids, row),
            "jurisdiction": labels(words.JURISDICTIONS, place),
            "kind": labels(("full", "telehealth"), np.where(home, 0, 1)),
            "valid_from": days(plan.as_of, s.licence_from[row, place]),
            "valid_until": days(plan.as_of, s.licence_until[row, place]),
            "status": labels(("active", "suspended"), s.suspended[row, place].astype(int)),
        }
    )


def slots(plan: Plan, s: Staff, caseload: np.ndarray, rng: np.random.Generator, weeks: int = 4) -> pd.DataFrame:
    """Appointments in the weeks after `as_of`: free ones only with therapists who have a place."""
    taking = np.flatnonzero(s.stops > 0)
    many = rng.poisson(5.0, len(taking)) + 1
    row = np.repeat(taking, many)
    day = 1 + rng.integers(0, 7 * weeks, len(row))
    weekday = (np.datetime64(plan.as_of, "D") + day).astype("datetime64[D]").view("int64") + 3
    day = day + np.where(weekday % 7 >= 5, 7 - weekday % 7, 0)  # no weekends
    hour = 16 + rng.integers(0, 9, len(row))  # 9:00 to 17:00 on the Pacific coast, in UTC
    key = np.unique(np.column_stack([row, day * 100 + hour]), axis=0)
    row, start = key[:, 0], np.datetime64(plan.as_of, "us") + (key[:, 1] // 100).astype("timedelta64[D]")
    start = start + (key[:, 1] % 100).astype("timedelta64[h]")
    status = np.where(rng.random(len(row)) < 0.25, 2, np.where(rng.random(len(row)) < 0.05, 1, 0))
    status = np.where((caseload >= s.capacity)[row], 2, status)
    pick = rng.random((len(row), 3)) * s.modalities[row]
    return pd.DataFrame(
        {
            "therapist_id": labels(s.ids, row),
            "starts_at": pd.Series(start).astype("datetime64[us]").dt.tz_localize("UTC"),
            "ends_at": pd.Series(start + np.timedelta64(50, "m")).astype("datetime64[us]").dt.tz_localize("UTC"),
            "modality": labels(words.MODALITIES, pick.argmax(axis=1)),
            "status": labels(("free", "held", "booked"), status),
        }
    )


def clients(c: Clients) -> pd.DataFrame:
    """The clients; the severity that the arm `hidden` plants is in no column."""
    count = len(words.PROBLEMS)
    seconds = ("", *words.PROBLEMS)
    pairs = [a if b in ("", a) else f"{a}|{b}" for a in words.PROBLEMS for b in seconds]
    return pd.DataFrame(
        {
            "client_id": identifiers("c", c.numbers),
            "birth_year": integers(c.birth_year),
            "gender": labels(words.GENDERS, c.gender),
            "ethnicity": labels(words.ETHNICITIES, c.ethnicity),
            "languages": joined(words.LANGUAGES, c.languages),
            "interpreter": booleans(c.interpreter),
            "jurisdiction": labels(words.JURISDICTIONS, c.jurisdiction),
            "payer": labels(words.PAYERS, c.payer),
            "modalities": joined(words.MODALITIES, c.modalities),
            "problems": labels(pairs, c.problem * (count + 1) + c.second_problem + 1),
            "care_level": labels(words.CARE_LEVELS, c.level),
            "prior_episodes": integers(c.prior_episodes),
            "expectancy": c.expectancy.round(3),
            "motivation": c.motivation.round(3),
            "social_support": c.support.round(3),
            "employment": labels(words.EMPLOYMENT, c.employment),
            "deprivation_decile": integers(c.deprivation),
            "long_term_condition": booleans(c.long_term),
            "disability": booleans(c.disability),
            "sexual_orientation": labels(words.SEXUAL_ORIENTATIONS, c.sexual_orientation),
            **{name: c.styles[:, i] for i, name in enumerate(_STYLES)},
            "availability": joined(words.HALF_DAYS, c.half_days),
            "data_use": labels(("care_and_learning", "care_only"), c.care_only.astype(int)),
            "home_area": c.area.round(3),
            **{name: c.noise[:, i] for i, name in enumerate(people.NOISE)},
        }
    )


def preferences(c: Clients) -> pd.DataFrame:
    """One row per wish."""
    row, topic = np.nonzero(c.wish != NO_WISH)
    values = [value for name in words.TOPICS for value in _TOPIC_VALUES[name]]
    offset = np.concatenate([[0], np.cumsum([len(_TOPIC_VALUES[name]) for name in words.TOPICS])[:-1]])
    return pd.DataFrame(
        {
            "client_id": identifiers("c", c.numbers).iloc[row].reset_index(drop=True),
            "about": labels(words.TOPICS, topic),
            "value": labels(values, offset[topic] + c.wish[row, topic]),
            "strength": labels(words.STRENGTHS, c.strength[row, topic]),
        }
    )
