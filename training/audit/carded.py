"""The model card as a part of the audit."""

from collections.abc import Iterator, Sequence

from training.audit.document import Column, Finding, Part, Section, Table, Words
from training.audit.examined import Examined
from training.bundle import Bundle
from training.card.data import HTI1, Answer, Card, card_of
from training.card.differences import differences
from training.card.facts import figure
from training.card.markdown import HAZARDS_NOTE, RULES_NOTE
from training.card.model_card import NOT_FOR

ID, TITLE = "card", "What is this model, and what is it for?"
PAGE = f"section/{ID}"


def section(looked_at: Examined, previous: Bundle | None = None) -> Section:
    """The section; with a `previous` bundle, such as the champion's, also what changed since."""
    bundle = looked_at.bundle
    card = card_of(bundle.manifest, bundle)
    before = None if previous is None else card_of(previous.manifest, previous)
    return Section(
        id=ID,
        title=TITLE,
        says=tuple(_says(card, looked_at)),
        findings=tuple(_findings(card)),
        parts=tuple(_parts(card, before, looked_at)),
    )


def _says(card: Card, looked_at: Examined) -> Iterator[str]:
    manifest = looked_at.bundle.manifest
    yield (
        f"{card.name}, bundle {card.bundle_id}, learned from {manifest.dataset} as of {manifest.as_of or 'no date'}. "
        "It supports the allocation of a client among therapists who can really be seen."
    )
    yield NOT_FOR
    yield (
        "Figures on therapists are not for pay, promotion or dismissal. Therapists may see what is held on them, "
        "object to it, and opt out of learning."
    )
    yield (
        f"Of the {HTI1} questions that the United States ask of such a model {_count(card.attributes)} are answered; "
        "the others say plainly what is not known or was not done."
    )
    if card.attribute("6.i").state != "answered":
        yield "It was not tested in another service."
    if card.attribute("7.v").state != "answered":
        yield "There was no trial of its use."


def _count(answers: Sequence[Answer]) -> int:
    return sum(one.state == "answered" for one in answers)


def _findings(card: Card) -> Iterator[Finding]:
    opened = [one for one in card.attributes if one.state != "answered"]
    if opened:
        words = f"{len(opened)} of {HTI1} questions of the card are open: {', '.join(one.id for one in opened)}."
        yield Finding(level="note", words=words, page=PAGE)
    asked = [one for one in card.assessment if one.state != "answered"]
    if asked:
        words = (
            f"{len(asked)} questions of the data protection impact assessment are for the organisation to answer: "
            f"{', '.join(one.id.replace('_', ' ') for one in asked)}."
        )
        yield Finding(level="note" if card.synthetic else "look", words=words, page=PAGE)


def _parts(card: Card, before: Card | None, looked_at: Examined) -> Iterator[Part]:
    yield _answers("source-attributes", f"The {HTI1} source attributes", card.attributes)
    yield _rules(card)
    yield _hazards(card)
    yield _answers("assessment", "Data protection impact assessment", card.assessment)
    yield from (Words(title=notice.title, lines=notice.lines) for notice in card.notices)
    yield _since(card, before, looked_at)


def _answers(name: str, title: str, answers: Sequence[Answer]) -> Table:
    columns = (
        Column(name="id", label=""),
        Column(name="group", label="Part"),
        Column(name="asks", label="Question"),
        Column(name="answer", label="Answer"),
        Column(name="state", label="State"),
    )
    rows = tuple((one.id, one.group, one.asks, one.answer, one.state) for one in answers)
    return Table(id=name, title=title, columns=columns, rows=rows)


def _rules(card: Card) -> Table:
    columns = (
        Column(name="rule", label="Rule"),
        Column(name="says", label="What it asks"),
        Column(name="met", label="How it is met"),
        Column(name="open", label="Open"),
    )
    rows = tuple((one.rule, one.says, one.met, one.open) for one in card.rules)
    return Table(id="rules", title="What rules ask", columns=columns, rows=rows, note=RULES_NOTE)


def _hazards(card: Card) -> Table:
    columns = (
        Column(name="id", label=""),
        Column(name="hazard", label="Hazard"),
        Column(name="cause", label="Cause"),
        Column(name="control", label="Control"),
        Column(name="tests", label="The test that shows it"),
        Column(name="residual", label="What is left"),
    )
    rows = tuple((o.id, o.hazard, o.cause, o.control, ", ".join(o.tests), o.residual) for o in card.hazards)
    return Table(id="hazards", title="Hazard log", columns=columns, rows=rows, note=HAZARDS_NOTE)


def _since(card: Card, before: Card | None, looked_at: Examined) -> Words:
    """What changed since the card before, or beside the champion of the day of training."""
    if before is not None:
        lines = differences(card, before) or ["Nothing: data, features, controls and figures are the same."]
        return Words(title=f"What changed since bundle {before.bundle_id}", lines=tuple(lines))
    champion = looked_at.evaluation.get("champion", {})
    if "r2_over_champion" in champion:
        lines = [
            f"{name}: R2 {figure(told, 3)} more than the champion {champion['bundle_id']}, fitted before the same cut."
            for name, told in champion["r2_over_champion"].items()
        ]
        return Words(title="Beside the champion", lines=tuple(lines))
    line = "No other card was given to compare with: `therapist-fit models compare A B` sets two bundles side by side."
    return Words(title="What changed", lines=(champion.get("note", line),))
