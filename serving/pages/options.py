"""What the form offers: the words this directory knows, and which fields its rules cannot do without."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from features.columns import Columns
from features.eligibility import unanswered
from features.practice import DAY_NAMES, DAY_PARTS, TIMES
from features.preferences import AGE_BANDS, CODE_TOPICS, SET_TOPICS, STYLE_VALUES
from features.rows import CLIENT_KINDS
from serving.answering.matcher import Matcher
from serving.pages.words import language, said

Choice = tuple[str, str]
"""A value as it is sent, and as people say it."""


@dataclass(frozen=True)
class Options:
    """What one directory can answer. Whatever is not listed can still be typed: the contract is open."""

    matcher: Matcher

    @cached_property
    def problems(self) -> list[Choice]:
        """Problems that somebody says they work with, is trained for, or needs training for."""
        words = {*self._set("specialties"), *self._set("trained_for"), *self.matcher.settings.required_training}
        return _choices(words, said)

    @cached_property
    def care_levels(self) -> list[Choice]:
        """Levels of care that somebody provides."""
        return _choices(self._set("care_levels"), said)

    @cached_property
    def payers(self) -> list[Choice]:
        """Payers that somebody can bill, as they are written."""
        return _choices(self._set("payers"), str)

    @cached_property
    def jurisdictions(self) -> list[Choice]:
        """Places in which somebody is licensed."""
        return _choices(self.matcher.directory.practice.licences.jurisdiction.vocabulary, str)

    @cached_property
    def languages(self) -> list[Choice]:
        """Languages of therapy."""
        return _choices(self._set("languages"), language)

    @cached_property
    def modalities(self) -> list[Choice]:
        """Ways of meeting, of therapists or of their free times."""
        return _choices({*self._set("modalities"), *self.matcher.directory.practice.slots.modality.vocabulary}, said)

    @cached_property
    def wishes(self) -> dict[str, list[Choice]]:
        """Topic -> what can be wished for; topics about which the directory says nothing are left out."""
        found = {topic: _choices(self._code(column), said) for topic, column in CODE_TOPICS.items()}
        found |= {topic: _choices(self._set(column), said) for topic, column in SET_TOPICS.items()}
        found["language"] = self.languages
        found["age_band"] = [(word, said(word)) for word in AGE_BANDS]
        found["style"] = [(word, _style(word)) for word in STYLE_VALUES]
        found["time"] = [(word, said(word)) for word in TIMES]
        return {topic: choices for topic, choices in found.items() if choices}

    @property
    def days(self) -> list[Choice]:
        """Days of the week."""
        return [(day, said(day)) for day in DAY_NAMES]

    @property
    def parts(self) -> list[Choice]:
        """Parts of a day, such as `am`: a day and a part together are a time."""
        return [(part, said(part)) for part in DAY_PARTS]

    @cached_property
    def needed(self) -> frozenset[str]:
        """Form fields without which a rule of this directory cannot be judged."""
        nobody = Columns.of({}, CLIENT_KINDS, 1)
        return frozenset(problem.where for problem in unanswered(self.matcher.directory.practice, nobody))

    def _set(self, name: str) -> tuple[str, ...]:
        return self.matcher.directory.practice.therapists.set(name).vocabulary

    def _code(self, name: str) -> tuple[str, ...]:
        return self.matcher.directory.practice.therapists.code(name).vocabulary


def topics_of(options: Options, words: Mapping[str, str]) -> list[tuple[str, list[Choice]]]:
    """Wishes by topic, each topic under its name."""
    return [
        (words[topic], [(f"{topic}={value}", label) for value, label in of]) for topic, of in options.wishes.items()
    ]


def _choices(words: Iterable[str], label: Callable[[str], str]) -> list[Choice]:
    return sorted(((word, label(word)) for word in words), key=lambda choice: choice[1].lower())


def _style(word: str) -> str:
    name, level = word.rsplit("_", 1)
    return f"{'Much' if level == 'high' else 'Little'} {name}"
