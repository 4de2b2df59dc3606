"""Who may be seen: the hard rules, over the whole directory at once.

A rule applies if the directory lists it. Then what is unknown about a therapist excludes them, and what is unknown
about the client stops the judgement, naming the field. The first seven rules never relax.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from data.errors import Problem, RequestError
from data.manifest import RULES, Rule
from data.tables import AGE_GROUPS
from features.columns import Bools, Columns, Ints, Pairs
from features.practice import Ask, Practice, at_wanted_times, bookable_slots, known, the_code, the_words
from features.preferences import TOPICS, met

NEVER_RELAX: tuple[Rule, ...] = RULES[:7]
FIRST_AGE = (0, 13, 18, 65)
"""Age at which each of the age groups begins."""
LICENSED_BY_STATE = ("US",)
"""Countries without a licence of their own: a client there is in a state, and a licence holds in a state."""


@dataclass(frozen=True)
class Judgement:
    """For every therapist the rules that exclude them, and what a softer rule would bring."""

    failed: npt.NDArray[np.uint16]
    """Bit i is set where the i-th of `RULES` excludes."""
    checked: tuple[Rule, ...]
    bookable: Bools
    """Which slots the client could take, row by row of `Slots`."""
    first: Ints
    """Row of the first of them of each therapist, -1 where there is none."""
    brought: Mapping[Rule, Bools]
    """By rule that may relax: who would be eligible if it did, and is not; rules that bring nobody are left out."""

    @property
    def relaxations(self) -> dict[Rule, int]:
        """Rule -> how many more therapists would be eligible if it relaxed."""
        return {rule: int(np.count_nonzero(more)) for rule, more in self.brought.items()}

    @cached_property
    def eligible(self) -> Bools:
        """Therapists that no rule excludes."""
        return np.equal(self.failed, 0)

    @property
    def not_checked(self) -> tuple[Rule, ...]:
        """Rules that could not be judged, in their order."""
        return tuple(rule for rule in RULES if rule not in self.checked)

    def counts(self) -> dict[str, int]:
        """Exclusions by the first rule that failed; with the eligible they add up to the directory."""
        lowest = self.failed & (~self.failed + np.uint16(1))
        return {
            rule: count for i, rule in enumerate(RULES) if (count := int(np.count_nonzero(lowest == np.uint16(1 << i))))
        }

    def rules_failed(self, row: int) -> tuple[Rule, ...]:
        """Every rule that excludes this therapist."""
        return tuple(rule for i, rule in enumerate(RULES) if self.failed[row] >> i & 1)


def judge(practice: Practice, ask: Ask) -> Judgement:
    """Judges every therapist of the directory for one client. Raises RequestError where the client is unknown."""
    missing = unanswered(practice, ask.client)
    if missing:
        raise RequestError(missing)
    size = practice.therapists.size
    free = bookable_slots(practice.slots, ask, any_modality=False)
    bookable = at_wanted_times(practice.slots, ask, free)
    first = practice.slots.first(bookable, size)
    first_free = first if bookable is free else practice.slots.first(free, size)
    failed = np.zeros(size, dtype=np.uint16)
    checked = tuple(rule for rule in RULES if _applies(rule, practice, ask))
    for i, rule in enumerate(RULES):
        if rule in checked:
            fails = first_free < 0 if rule == "slot" else _JUDGES[rule](practice, ask)
            failed |= fails.astype(np.uint16) << np.uint16(i)
    return Judgement(failed, checked, bookable, first, _relaxed(failed, checked, practice, ask))


def unanswered(practice: Practice, client: Columns) -> list[Problem]:
    """The client fields that a rule of this directory needs and the request leaves unknown."""
    problems = []
    for rule, name in _FIELD_OF.items():
        if rule in practice.rules and not known(client, name) and not _excused(rule, practice, client):
            rule_words = f"the directory checks {rule}, which cannot be judged without it"
            problems.append(Problem(f"client.{name}", "unknown", rule_words, f"give client.{name}"))
    if (
        "licence" in practice.rules
        and known(client, "jurisdiction")
        and the_code(client, "jurisdiction") in LICENSED_BY_STATE
    ):
        rule_words = "licences here are given by states, so the country alone cannot be judged"
        problems.append(Problem("client.jurisdiction", "a country", rule_words, "name the state, such as US-CA"))
    return problems


def age_groups_of(birth_year: int, year: int) -> tuple[str, ...]:
    """The age groups a person may be in during `year`: one, or two where the birthday decides."""
    ages = (max(year - birth_year - 1, 0), max(year - birth_year, 0))
    return tuple(dict.fromkeys(AGE_GROUPS[int(np.searchsorted(FIRST_AGE, age, side="right")) - 1] for age in ages))


def covers(licence: str, jurisdiction: str) -> bool:
    """Whether a licence of one place holds in another: `GB` covers `GB-ENG`, but `US` covers no state."""
    if licence in LICENSED_BY_STATE:
        return False
    return licence == jurisdiction or jurisdiction.startswith(f"{licence}-")


def spoken(tag: str) -> str:
    """A BCP 47 tag without region and script: `en-GB` and `en` are spoken alike, `zh-yue` and `zh-cmn` are not."""
    first, *rest = tag.lower().split("-")
    return "-".join([first, *(part for part in rest[:1] if len(part) == 3 and part.isalpha())])


def _applies(rule: Rule, practice: Practice, ask: Ask) -> bool:
    """A conflict is named by the request, so it is checked whether or not the directory lists the rule."""
    if rule == "conflict":
        return rule in practice.rules or len(ask.conflicts) > 0
    return rule in practice.rules and not (rule == "training" and not practice.required_training)


_FIELD_OF: Mapping[Rule, str] = {
    "licence": "jurisdiction",
    "age_group": "birth_year",
    "care_level": "care_level",
    "training": "problems",
    "payer": "payer",
    "language": "languages",
    "modality": "modalities",
}


ASKED_OF_CLIENT = frozenset({*_FIELD_OF.values(), "interpreter"})
"""Fields of the client without which a rule may not be judged, and the one that excuses another."""


def _excused(rule: Rule, practice: Practice, client: Columns) -> bool:
    return (rule == "language" and _interpreted(client)) or (rule == "training" and not practice.required_training)


def _interpreted(client: Columns) -> bool:
    return bool(client.number("interpreter")[0] == 1)


def _conflict(practice: Practice, ask: Ask) -> Bools:
    fails = np.zeros(practice.therapists.size, dtype=bool)
    fails[ask.conflicts] = True
    return fails


def _licence(practice: Practice, ask: Ask) -> Bools:
    licences, place = practice.licences, the_code(ask.client, "jurisdiction")
    holds = np.array([*(covers(word, place) for word in licences.jurisdiction.vocabulary), False])
    valid = holds[licences.jurisdiction.index] & licences.active & (licences.valid_from <= ask.day)
    valid &= np.isnat(licences.valid_until) | (ask.day <= licences.valid_until)
    fails = np.ones(practice.therapists.size, dtype=bool)
    fails[licences.therapist[valid]] = False
    return fails


def _age_group(practice: Practice, ask: Ask) -> Bools:
    year = int(ask.day.astype("datetime64[Y]").astype(np.int64)) + 1970
    groups = age_groups_of(int(ask.client.number("birth_year")[0]), year)
    return ~_has_all(practice.therapists, "age_groups", groups)


def _care_level(practice: Practice, ask: Ask) -> Bools:
    return ~_has_all(practice.therapists, "care_levels", (the_code(ask.client, "care_level"),))


def _training(practice: Practice, ask: Ask) -> Bools:
    needed = {practice.required_training.get(problem) for problem in the_words(ask.client, "problems")} - {None}
    if not needed:
        return np.zeros(practice.therapists.size, dtype=bool)
    return ~_has_all(practice.therapists, "trained_for", tuple(str(training) for training in needed))


def _payer(practice: Practice, ask: Ask) -> Bools:
    return ~_has_all(practice.therapists, "payers", (the_code(ask.client, "payer"),))


def _language(practice: Practice, ask: Ask) -> Bools:
    if _interpreted(ask.client):
        return np.zeros(practice.therapists.size, dtype=bool)
    wanted = {spoken(word) for word in the_words(ask.client, "languages")}
    offered = practice.therapists.set("languages").vocabulary
    return ~_has_any(practice.therapists, "languages", [word for word in offered if spoken(word) in wanted])


def _modality(practice: Practice, ask: Ask) -> Bools:
    return ~_has_any(practice.therapists, "modalities", the_words(ask.client, "modalities"))


def _must(practice: Practice, ask: Ask) -> Bools:
    return _unmet(practice, ask, any_modality=False)


def _unmet(practice: Practice, ask: Ask, any_modality: bool) -> Bools:
    """Who does not meet every wish that must, or must not, be; slots answer those about times."""
    pairs = Pairs.of_one(np.arange(practice.therapists.size))
    fails = np.zeros(practice.therapists.size, dtype=bool)
    for strength, needed in (("must", 1.0), ("must_not", 0.0)):
        for topic in TOPICS:
            if known(ask.client, f"{strength}.{topic}"):
                fails |= met(topic, strength, ask.client, practice.therapists, pairs) != needed
    if known(ask.client, "must.time") or known(ask.client, "must_not.time"):
        bookable = bookable_slots(practice.slots, ask, any_modality)
        fails |= _slot(practice, at_wanted_times(practice.slots, ask, bookable))
    return fails


def _capacity(practice: Practice, _ask: Ask) -> Bools:
    therapists = practice.therapists
    has_place = np.less(therapists.number("open_cases"), therapists.number("caseload_capacity"))
    fails: Bools = ~(has_place & (therapists.number("accepts_new") == 1))
    return fails


def _slot(practice: Practice, bookable: Bools) -> Bools:
    fails: Bools = practice.slots.first(bookable, practice.therapists.size) < 0
    return fails


_JUDGES: Mapping[Rule, Callable[[Practice, Ask], Bools]] = {
    "conflict": _conflict,
    "licence": _licence,
    "age_group": _age_group,
    "care_level": _care_level,
    "training": _training,
    "payer": _payer,
    "language": _language,
    "modality": _modality,
    "must": _must,
    "capacity": _capacity,
}


def _has_all(therapists: Columns, name: str, words: tuple[str, ...]) -> Bools:
    """Whether each therapist is on record with all the words; an unknown set has none."""
    values = therapists.set(name)
    has = values.known.copy()
    for word in words:
        has &= values.member[:, values.vocabulary.index(word)] if word in values.vocabulary else False
    return has


def _has_any(therapists: Columns, name: str, words: list[str]) -> Bools:
    values = therapists.set(name)
    has = np.zeros(therapists.size, dtype=bool)
    for word in words:
        if word in values.vocabulary:
            has |= values.member[:, values.vocabulary.index(word)]
    return has


def _relaxed(
    failed: npt.NDArray[np.uint16], checked: Sequence[Rule], practice: Practice, ask: Ask
) -> dict[Rule, Bools]:
    """Whom each rule that may relax would bring if it did, everything else judged as before.

    A later start gives up today's full caseload and today's slots together, and only for those who take new clients.
    """
    must, capacity, slot = (np.uint16(1 << RULES.index(rule)) for rule in RULES[8:])
    full = practice.therapists.number("open_cases") >= practice.therapists.number("caseload_capacity")
    full &= practice.therapists.number("accepts_new") == 1
    brought: dict[Rule, Bools] = {
        "modality": _any_way(failed, checked, practice, ask),
        "must": failed == must,
        "capacity": (failed & capacity != 0) & (failed & ~(capacity | slot) == 0) & full,
        "slot": failed == slot,
    }
    return {rule: more for rule, more in brought.items() if more.any()}


def _any_way(failed: npt.NDArray[np.uint16], checked: Sequence[Rule], practice: Practice, ask: Ask) -> Bools:
    """Who else would be eligible if any way of meeting would do: it opens slots of every modality, also for wishes."""
    modality, must, slot = (np.uint16(1 << RULES.index(rule)) for rule in ("modality", "must", "slot"))
    more: Bools = (failed != 0) & (failed & ~(modality | must | slot) == 0)
    if more.any():
        if "slot" in checked:
            more &= ~_slot(practice, bookable_slots(practice.slots, ask, any_modality=True))
        if "must" in checked:
            more &= ~_unmet(practice, ask, any_modality=True)
    return more
