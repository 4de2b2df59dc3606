"""Whom the model has seen and whom not: kinds of clients that the directory serves, or that were referred."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.tables import AGE_GROUPS
from features.columns import Columns
from features.eligibility import spoken
from features.kinds import FEW, KINDS, kinds_of
from features.rows import CLIENT_KINDS
from training.audit.document import Column, Finding, Table
from training.audit.flow.counts import Courses
from training.audit.harm.hiding import told_apart
from training.audit.words import listed
from training.bands import FEWEST_IN_CELL, UNKNOWN, first_word

Bools = npt.NDArray[np.bool_]
Counted = tuple[int | None, int | None]
"""Learned from, referred; None where it is not shown."""

SEEN, HARDLY, NOT_SEEN = "seen", "hardly seen", "not seen"
SEEN_TABLE, NOT_SEEN_TABLE = "seen", "not_seen"
ASKED = ("birth_year", "languages", "problems", "care_level")
"""Columns of a client that say of which kinds they are."""
ABOUT = (*KINDS, "payer")
"""By what kinds are told apart: the client's age group, first language, first problem, level of care and payer."""
ABSTAINS = (
    f"For a client of an age group, language, problem or level of care of which fewer than {FEW} courses were learned "
    "from, the service tells no therapists apart: whoever is free soonest comes first, no chances are told, and the "
    "answer says so. A payer that is new changes nothing."
)
RANKS = (
    "This bundle does not say whom it has seen, so the service ranks for everybody: a kind of client that the model "
    "has not seen counts as the average client. Train again to mend it."
)
"""Of bundles that older versions made."""


@dataclass(frozen=True)
class Kind:
    """One kind of client: how many courses were learned from, and referred."""

    about: str
    value: str
    learned_from: int
    referred: int

    @property
    def status(self) -> str:
        """Whether the model has seen any."""
        return SEEN if self.learned_from >= FEW else HARDLY if self.learned_from else NOT_SEEN


def kinds(courses: Courses) -> list[Kind]:
    """Every kind of client that was referred or that therapists serve; of each attribute those never seen first."""
    found = [kind for about, values in _of_clients(courses).items() for kind in _kinds(courses, about, values)]
    return sorted(found, key=lambda kind: (ABOUT.index(kind.about), kind.learned_from, kind.value))


def learned_from(courses: Courses) -> Bools:
    """Courses with a result in any head that ranks."""
    heads = courses.looked_at.bundle.heads
    counted = [used for name, used in courses.used.items() if heads[name].info.weight > 0]
    return np.any(np.array(counted), axis=0) if counted else np.zeros(len(courses.episodes), dtype=bool)


def _kinds(courses: Courses, about: str, values: pd.Series) -> Iterator[Kind]:
    if (values == UNKNOWN).all():  # then nobody can be told to be new
        return
    used = learned_from(courses)
    learned = values[used].value_counts()
    referred = values.value_counts()
    for value in sorted(({*referred.index} | _of_directory(courses, about)) - {UNKNOWN}):
        yield Kind(about, value, int(learned.get(value, 0)), int(referred.get(value, 0)))


def _of_clients(courses: Courses) -> dict[str, pd.Series]:
    """What each course's client is of every kind, as `features.kinds` has it; and the payer."""
    clients = courses.clients
    day = courses.episodes["referred_on"].fillna(courses.episodes["matched_on"])
    rows = Columns.of(clients[list(ASKED)], CLIENT_KINDS, len(clients))
    known = kinds_of(rows.with_numbers(year=day.dt.year.to_numpy(dtype=np.float64)))
    found = {about: pd.Series([words[0] if words else UNKNOWN for words in known[about]]) for about in KINDS}
    return {**found, "payer": clients["payer"].map(first_word)}


def _of_directory(courses: Courses, about: str) -> set[str]:
    """Kinds that therapists say they serve."""
    therapists = courses.looked_at.dataset["therapists"]
    columns = {
        "age_group": ("age_groups",),
        "language": ("languages",),
        "problem": ("trained_for", "specialties"),
        "payer": ("payers",),
        "care_level": ("care_levels",),
    }[about]
    words = {w for column in columns for cell in therapists[column].dropna() for w in str(cell).split("|") if w}
    if about == "age_group":
        words |= set(AGE_GROUPS)
    return {spoken(word) for word in words} if about == "language" else words


def tables(found: list[Kind]) -> Iterator[Table]:
    """Those not seen, or hardly, and those seen."""
    few = [kind for kind in found if kind.learned_from < FEW]
    enough = [kind for kind in found if kind.learned_from >= FEW]
    every = _told(found)
    yield _table(NOT_SEEN_TABLE, "Whom the model has not seen", few, every, f"Fewer than {FEW} courses learned from.")
    yield _table(SEEN_TABLE, "Whom the model has seen", enough, every, f"{FEW} courses learned from or more.")


def _told(found: list[Kind]) -> dict[Kind, Counted]:
    """Courses learned from and referred, of every kind; None for those too few and those that would give them away."""
    about = [kind.about for kind in found]
    learned, referred = ([getattr(kind, name) for kind in found] for name in ("learned_from", "referred"))
    apart = [told_apart(about, np.array(counts, dtype=np.int64)) for counts in (learned, referred)]
    return {
        kind: (
            kind.learned_from if apart[0][i] or not kind.learned_from else None,
            kind.referred if apart[1][i] or not kind.referred else None,
        )
        for i, kind in enumerate(found)
    }


def _table(name: str, title: str, found: list[Kind], every: Mapping[Kind, Counted], note: str) -> Table:
    columns = (
        Column(name="about", label="of"),
        Column(name="value", label="kind of client"),
        Column(name="status", label="to the model"),
        Column(name="learned_from", label="courses learned from", digits=0),
        Column(name="referred", label="courses referred", digits=0),
    )
    rows = tuple(
        (said(kind.about), kind.value, kind.status, learned, referred)
        for kind, (learned, referred) in every.items()
        if kind in found
    )
    note += (
        " Kinds that therapists serve or clients were of, by the client's first language and first problem. "
        f"Empty: 1 to {FEWEST_IN_CELL - 1}, or so few that those could be worked out: not shown."
    )
    return Table(id=name, title=title, columns=columns, rows=rows, note=note)


def said(about: str) -> str:
    """An attribute in words."""
    return about.replace("_", " ")


def lines(found: list[Kind], abstains: bool) -> Iterator[str]:
    """Who is not seen, in words, and what happens to them; `abstains` if the bundle itself says whom it has seen."""
    never = [kind for kind in found if kind.status == NOT_SEEN]
    hardly = [kind for kind in found if kind.status == HARDLY]
    missing = [said(about) for about in ABOUT if about not in {kind.about for kind in found}]
    if missing:
        yield f"Not on record of any client, so that it cannot be said who is new to the model: {listed(missing)}."
    if found and not never and not hardly:
        yield f"Of every kind of client that is served there are {FEW} courses or more to learn from."
    if never:
        yield f"The model has learned from nobody of these kinds: {listed(_word(kind) for kind in never)}."
    if hardly:
        yield f"It has learned from fewer than {FEW} courses of these: {listed(_word(kind) for kind in hardly)}."
    yield ABSTAINS if abstains else RANKS


def _word(kind: Kind) -> str:
    return f"{kind.value.replace('_', ' ')} ({said(kind.about)})"


def findings(found: list[Kind]) -> Iterator[Finding]:
    """Kinds that were referred, or that the directory serves, and of which nothing is known."""
    never = [kind for kind in found if kind.status == NOT_SEEN]
    if never:
        words = f"The model has not seen {listed(_word(kind) for kind in never)}; for them its ranking has no ground."
        yield Finding(level="look", words=words, page="section/data")
