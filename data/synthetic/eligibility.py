"""Who may see whom in the synthetic clinic: the hard rules, on arrays, on the day of the match."""

import datetime as dt
from dataclasses import replace

import numpy as np

from data.synthetic import words
from data.synthetic.people import NO_WISH, Clients
from data.synthetic.plan import Plan
from data.synthetic.staff import Staff

MUST, MUST_NOT = words.STRENGTHS.index("must"), words.STRENGTHS.index("must_not")


def eligible(plan: Plan, clients: Clients, day: np.ndarray, staff: Staff) -> np.ndarray:
    """(clients, therapists): every hard rule but capacity and slot holds on `day` (one day per client)."""
    when = day[:, None]
    allowed = (staff.joined <= when) & (when <= staff.stops)
    allowed &= _licensed(clients, when, staff)
    allowed &= staff.payers_from.T[clients.payer] <= when
    allowed &= staff.levels.T[clients.level]
    allowed &= clients.interpreter[:, None] | _share(clients.languages, staff.languages)
    allowed &= _share(clients.modalities, staff.modalities)
    allowed &= _age_served(plan, clients, day, staff)
    allowed &= _trained(clients, staff)
    return np.asarray(allowed & _musts(clients, staff))


def reachable(plan: Plan, clients: Clients, day: np.ndarray, staff: Staff) -> Clients:
    """The same clients, but whoever no therapist may see now asks for what the clinic has."""
    stuck = np.asarray(~eligible(plan, clients, day, staff).any(axis=1))
    english = clients.languages.copy()
    english[stuck, 0] = True
    trouble = stuck & np.isin(clients.problem, [words.PROBLEMS.index(p) for p in words.TRAINING_NEEDED])
    return replace(
        clients,
        languages=english,
        payer=np.where(stuck, 0, clients.payer),
        jurisdiction=np.where(stuck, 0, clients.jurisdiction),
        level=np.where(stuck, 0, clients.level),
        modalities=clients.modalities | stuck[:, None],
        birth_year=np.where(stuck, np.fmin(np.fmax(clients.birth_year, 1965), 2000), clients.birth_year),
        problem=np.where(trouble, 0, clients.problem),
        strength=np.where(stuck[:, None], 0, clients.strength),
    )


def matches(clients: Clients, rows: np.ndarray, staff: Staff, therapists: np.ndarray, topic: str) -> np.ndarray:
    """Whether the therapist is what the client named on this topic (rows and therapists broadcast)."""
    wish = clients.wish[rows, words.TOPICS.index(topic)]
    if topic == "modality":
        return np.asarray(staff.modalities[therapists, np.maximum(wish, 0)])
    if topic == "affirming":
        return np.asarray(staff.affirming[therapists] & (wish == 0))
    values = {"gender": staff.gender, "orientation": staff.orientation, "ethnicity": staff.ethnicity}[topic]
    return np.asarray(values[therapists] == wish)


def _licensed(clients: Clients, when: np.ndarray, staff: Staff) -> np.ndarray:
    place = clients.jurisdiction
    active = (staff.licence_from.T[place] <= when) & (when <= staff.licence_until.T[place])
    return np.asarray(active & ~staff.suspended.T[place])


def _share(wanted: np.ndarray, offered: np.ndarray) -> np.ndarray:
    return np.asarray(wanted.astype(np.float32) @ offered.T.astype(np.float32) > 0)


def _age_served(plan: Plan, clients: Clients, day: np.ndarray, staff: Staff) -> np.ndarray:
    """With the birth year alone two ages are possible, so both groups must be served."""
    unknown = np.isnan(clients.birth_year)[:, None]
    age = calendar_year(plan.as_of, day) - np.where(unknown[:, 0], 1980, clients.birth_year)
    older, younger = (np.searchsorted((13, 18, 65), years, side="right") for years in (age, age - 1))
    served = staff.ages.T[older] & staff.ages.T[younger]
    return np.where(unknown, staff.ages.all(axis=1), served)


def calendar_year(as_of: dt.date, day: np.ndarray) -> np.ndarray:
    """The year in which a day counted from `as_of` falls."""
    dates = np.datetime64(as_of, "D") + day.astype("int64").astype("timedelta64[D]")
    return np.asarray(dates.astype("datetime64[Y]").astype(int) + 1970)


def _trained(clients: Clients, staff: Staff) -> np.ndarray:
    needs = np.isin(clients.problem, [words.PROBLEMS.index(p) for p in words.TRAINING_NEEDED])
    return np.asarray(staff.trained.T[clients.problem] | ~needs[:, None])


def _musts(clients: Clients, staff: Staff) -> np.ndarray:
    rows, everyone = np.arange(len(clients.numbers))[:, None], np.arange(len(staff.ids))[None, :]
    allowed = np.ones((len(rows), len(staff.ids)), bool)
    for topic, name in enumerate(words.TOPICS):
        asked = clients.wish[:, topic] != NO_WISH
        strength = np.where(asked, clients.strength[:, topic], -1)
        firm = np.flatnonzero((strength == MUST) | (strength == MUST_NOT))
        met = matches(clients, rows[firm], staff, everyone, name)
        allowed[firm] &= np.where(strength[firm, None] == MUST, met, ~met)
    return allowed
