"""Why a therapist stands where they stand, in plain words with exact numbers: the shares add up to the utility."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from features.build import FeatureSet
from features.catalog import CATALOG
from features.columns import Columns, Floats
from training.audit.words import capital
from training.parts import Parts

MOST_FOR, MOST_AGAINST = 3, 2
WORTH_SAYING = 0.01
EFFECT, REMAINDER = "effect.", "remainder"

_YES_NO: Mapping[str, tuple[str, str]] = {
    "main_problem_trained": (
        "Verified training for the main problem",
        "No verified training for the main problem on record",
    ),
    "main_problem_specialty": ("Works with the main problem", "Does not name the main problem among specialties"),
}
_SHARES: Mapping[str, str] = {
    "problems_trained": "Verified training for {} of the problems",
    "problems_specialty": "Works with {} of the problems",
    "wishes_met": "Meets {} of the wishes",
    "dislikes_hit": "Has {} of what the client would rather avoid",
}
_NUMBERS: Mapping[str, str] = {
    "interpersonal_skill": "Interpersonal skill",
    "years_practising": "{:.0f} years in practice",
    "directiveness": "How directive the style is: {:.0%} of the scale",
    "expressiveness": "How expressive the style is: {:.0%} of the scale",
    "homework": "How much work between sessions: {:.0%} of the scale",
    "severity_x_skill": "Interpersonal skill, seen together with how strong the symptoms are",
    "severity_x_years": "Years in practice, seen together with how strong the symptoms are",
    "directiveness_gap": "How near the style is to the directiveness wished for",
    "expressiveness_gap": "How near the style is to the expressiveness wished for",
    "homework_gap": "How near the style is to the work between sessions wished for",
    "cases": "Experience with clients here",
    "cases_with_problem": "Experience here with the main problem",
    "recency": "How lately the therapist began with a client here",
}
_EARLIER: Mapping[str, tuple[str, str]] = {
    "therapist": (
        "Results in earlier courses of treatment lie above what the profile suggests",
        "Results in earlier courses of treatment lie a little below what the profile suggests",
    ),
    "severity": (
        "Results with symptoms about as strong as these lie above the therapist's others",
        "Results with symptoms about as strong as these lie a little below the therapist's others",
    ),
    "strength": (
        "Results with the main problem lie above the therapist's others",
        "Results with the main problem lie a little below the therapist's others",
    ),
}
_EARLIER_OF_BOTH: Mapping[str, str] = {
    "therapist": "Results in earlier courses of treatment, against what the profile suggests",
    "severity": "Results with symptoms about as strong as these, against the therapist's others",
    "strength": "Results with the main problem, against the therapist's others",
}
_FEW_EARLIER = "What is known from earlier courses of treatment"
_REST = "Everything else together"
_TOGETHER = "How several of these facts come together"


class Part(NamedTuple):
    """One feature's, or one therapist effect's, exact share of the utility, in SD."""

    name: str
    share: float


def parts_of(parts: Parts, features: FeatureSet, least: float = 0.0) -> list[list[Part]]:
    """For each therapist the shares of the utility by feature, largest first; columns of one feature are one part.

    Features whose share is below `least` are left out; effects of the therapist stay.
    """
    names = [_part_of(column, features) for column in parts.names]
    distinct = sorted(set(names))
    place = {name: i for i, name in enumerate(distinct)}
    total = np.zeros((len(distinct), len(parts.values)))
    for name, values in zip(names, parts.values.T, strict=True):
        total[place[name]] += values
    kept = (np.abs(total) >= least) | np.array([[name.startswith(EFFECT)] for name in distinct])
    largest_first = np.argsort(-np.abs(total), axis=0, kind="stable")  # equal ones by name
    return [
        [Part(distinct[i], shares[i]) for i in order if keep[i]]
        for order, shares, keep in zip(largest_first.T.tolist(), total.T.tolist(), kept.T.tolist(), strict=True)
    ]


def in_words(
    parts: Sequence[Part],
    utility: float,
    value_of: Callable[[str], str | float | None],
    meanings: Mapping[str, str],
    few_cases: bool,
) -> list[str]:
    """The largest parts for and against, then the rest; the numbers shown add up to the utility shown.

    `value_of` gives what a feature is of this pair, `meanings` what it is in plain words; with few cases earlier
    results are told as one neutral part.
    """
    told = [part for part in (as_one(parts) if few_cases else parts) if abs(part.share) >= WORTH_SAYING]
    shown = [part for part in told if part.share > 0][:MOST_FOR] + [part for part in told if part.share < 0][
        :MOST_AGAINST
    ]
    words = [f"{_words(part, value_of, meanings)} ({part.share:+.2f})" for part in shown]
    rest = round(utility, 2) - sum(round(part.share, 2) for part in shown)
    if not shown:
        return [f"Close to the average of the therapists who can see this client ({rest + 0.0:+.2f})"]
    return words + [f"{_REST} ({rest:+.2f})"] * (abs(rest) >= 0.005)


@dataclass(frozen=True)
class Facts:
    """What is on record of some therapists as they meet one client; features are built when they are asked for."""

    features: FeatureSet
    therapists: Columns
    pairs: Mapping[str, Floats]
    """By feature, (therapists,)."""
    _built: dict[str, Floats] = field(default_factory=dict)

    def value(self, name: str, one: int) -> str | float | None:
        """What a feature of one of them is: a number, the words that apply, or None where nothing is on record."""
        if name in self.pairs:
            number = float(self.pairs[name][one])
            return None if np.isnan(number) else number
        words, here = self.features.words.get(name), self._rows(name)[one]
        if np.isnan(here).any():
            return None
        if words is None:
            return float(here[0])
        return ", ".join(word.replace("_", " ") for word, is_so in zip(words, here, strict=True) if is_so) or "other"

    def _rows(self, name: str) -> Floats:
        if name not in self._built:
            self._built[name] = self.features.build_feature(name, self.therapists)
        return self._built[name]


def _part_of(column: str, features: FeatureSet) -> str:
    if column.startswith(EFFECT):
        return ".".join(column.split(".")[:2])
    return features.feature_of.get(column, column)


def meanings_of(features: FeatureSet) -> dict[str, str]:
    """What each feature is in plain words, those that a dataset declared included."""
    return {name: feature.meaning for name, feature in CATALOG.items()} | dict(features.declared)


def as_one(parts: Sequence[Part]) -> list[Part]:
    """The therapist's effects as one part: too few cases to tell their strengths apart."""
    earlier = Part(EFFECT, sum(part.share for part in parts if part.name.startswith(EFFECT)))
    others = [part for part in parts if not part.name.startswith(EFFECT)]
    return sorted([earlier, *others], key=lambda part: (-abs(part.share), part.name))


def _words(part: Part, value_of: Callable[[str], str | float | None], meanings: Mapping[str, str]) -> str:
    if part.name == EFFECT:
        return _FEW_EARLIER
    if part.name.startswith(EFFECT):
        better, lower = _EARLIER[part.name.removeprefix(EFFECT)]
        return better if part.share > 0 else lower
    if part.name == REMAINDER:
        return _TOGETHER
    meaning, value = meanings.get(part.name, part.name), value_of(part.name)
    if value is None:
        return f"Not on record: {meaning}"
    if isinstance(value, str):
        return f"{capital(meaning)}: {value}"
    if part.name in _YES_NO:
        return _YES_NO[part.name][0 if value > 0 else 1]
    if part.name in _SHARES:
        return _SHARES[part.name].format("none" if value == 0 else "all" if value == 1 else f"{value:.0%}")
    return _NUMBERS.get(part.name, f"{capital(meaning)}: {{:g}}").format(value)


def side_by_side(name: str, facts: Facts, meanings: Mapping[str, str]) -> str:
    """What a part is about, with what is on record of the first of two therapists and of the second."""
    if name == EFFECT:
        return _FEW_EARLIER
    if name.startswith(EFFECT):
        return _EARLIER_OF_BOTH[name.removeprefix(EFFECT)]
    if name == REMAINDER:
        return _TOGETHER
    if "{" not in _NUMBERS.get(name, "{"):  # what the model reads is no number for people
        return _NUMBERS[name]
    one, other = (_said(name, facts.value(name, i)) for i in (0, 1))
    return f"{capital(meanings.get(name, name))}: {one} against {other}"


def _said(name: str, value: str | float | None) -> str:
    if value is None:
        return "not on record"
    if isinstance(value, str):
        return value
    if name in _YES_NO:
        return "yes" if value > 0 else "no"
    return f"{value:.0%}" if name in _SHARES else f"{round(value, 2):g}"
