"""The model card as data: every question that it answers, from the run where the run can know.

Static texts are in `texts/*.toml`; `facts` fills in what the run found. What neither can know says so: an
answer that begins with "Not known" or "Not done" counts as open.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from training.bundle import Bundle, Manifest
from training.card.facts import facts_of
from training.card.run import Ran, ran_of

State = Literal["answered", "not known", "not done"]
HTI1 = 31
"""Source attributes that 45 CFR 170.315(b)(11)(iv)(B) lists."""


@dataclass(frozen=True)
class Answer:
    """One question and what there is to say."""

    id: str
    group: str
    """Category of the rule, or step of the assessment."""
    asks: str
    answer: str

    @property
    def state(self) -> State:
        """Whether it is answered, or plainly open."""
        opened: tuple[State, State] = ("not known", "not done")
        return next((state for state in opened if self.answer.lower().startswith(state)), "answered")


@dataclass(frozen=True)
class Point:
    """One rule: what it says, how it is met, and what is open."""

    rule: str
    says: str
    met: str
    open: str


@dataclass(frozen=True)
class Hazard:
    """One line of the hazard log."""

    id: str
    hazard: str
    cause: str
    control: str
    tests: tuple[str, ...]
    """`file::name` of each test that shows the control."""
    residual: str


@dataclass(frozen=True)
class Notice:
    """What people are told, in plain words."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Card:
    """A bundle in words that stand without the program."""

    name: str
    bundle_id: str
    synthetic: bool
    attributes: tuple[Answer, ...]
    """The 31 source attributes of HTI-1, in the order of the rule."""
    rules: tuple[Point, ...]
    hazards: tuple[Hazard, ...]
    assessment: tuple[Answer, ...]
    notices: tuple[Notice, ...]
    """For clients, then for therapists."""
    run: Ran

    def attribute(self, name: str) -> Answer:
        """The source attribute of that id, such as `7.i`. Raises KeyError if there is none."""
        return {one.id: one for one in self.attributes}[name]

    @property
    def open(self) -> tuple[Answer, ...]:
        """Source attributes and questions that are not answered."""
        return tuple(one for one in (*self.attributes, *self.assessment) if one.state != "answered")


def card_of(manifest: Manifest, bundle: Bundle) -> Card:
    """The card of a bundle; `manifest` may know more of it than the bundle's own (while a run is being kept)."""
    hazards = tuple(Hazard(**{**one, "tests": tuple(one["tests"])}) for one in texts("hazards")["hazard"])
    attributes = texts("attributes")
    facts = facts_of(manifest, bundle, attributes["traits"], len(hazards))
    own: Mapping[str, str] = manifest.config.get("card", {})
    notices = texts("notices")
    return Card(
        name=manifest.name,
        bundle_id=manifest.bundle_id,
        synthetic=manifest.synthetic,
        attributes=tuple(
            Answer(one["id"], one["category"], one["asks"], own.get(one["id"]) or _filled(one["answer"], facts))
            for one in attributes["attribute"]
        ),
        rules=tuple(
            Point(one["rule"], one["says"], _filled(one["met"], facts), _filled(one["open"], facts))
            for one in texts("regulation")["point"]
        ),
        hazards=hazards,
        assessment=tuple(
            Answer(
                one["id"], one["step"], one["question"], own.get(f"dpia.{one['id']}") or _filled(one["answer"], facts)
            )
            for one in texts("dpia")["question"]
        ),
        notices=tuple(
            Notice(one["title"], tuple(_filled(line, facts) for line in one["lines"]))
            for one in (notices["client"], notices["therapist"])
        ),
        run=ran_of(manifest, bundle),
    )


def _filled(text: str, facts: Mapping[str, str]) -> str:
    return " ".join(text.format_map(facts).split())


@cache
def texts(name: str) -> dict[str, Any]:
    """One of the files of static texts, read once."""
    return tomllib.loads(files("training").joinpath("card", "texts", f"{name}.toml").read_text(encoding="utf-8"))
