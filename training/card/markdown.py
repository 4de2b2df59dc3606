"""The card's questions, rules, hazards and notices in Markdown."""

from collections.abc import Iterator, Sequence

from training.card.data import HTI1, Answer, Card

RULES_NOTE = "From secondary sources and in part from memory: have it checked by counsel."
HAZARDS_NOTE = "Each control is shown by the tests named beside it. Likelihoods are for the service to rate."
LIKE = (
    "As the United States ask of predictive decision support in certified records systems (45 CFR "
    "170.315(b)(11)(iv)(B)), put in our words. What the run cannot know says so."
)


def markdown(card: Card) -> Iterator[str]:
    """Lines of the chapters that follow the figures."""
    yield f"## The {HTI1} source attributes"
    yield ""
    yield LIKE
    yield ""
    yield _opened(card.attributes)
    yield ""
    yield from _answers(card.attributes)
    yield "## What rules ask"
    yield ""
    yield RULES_NOTE
    yield ""
    yield from _table(
        ("rule", "what it asks", "how it is met", "open"), [(o.rule, o.says, o.met, o.open) for o in card.rules]
    )
    yield "## Hazard log"
    yield ""
    yield HAZARDS_NOTE
    yield ""
    yield from _table(
        ("", "hazard", "cause", "control", "shown by", "what is left"),
        [(o.id, o.hazard, o.cause, o.control, ", ".join(f"`{t}`" for t in o.tests), o.residual) for o in card.hazards],
    )
    yield "## Data protection impact assessment"
    yield ""
    yield _opened(card.assessment)
    yield ""
    yield from _answers(card.assessment)
    for notice in card.notices:
        yield f"## Notice: {notice.title}"
        yield ""
        for line in notice.lines:
            yield line
            yield ""


def _opened(answers: Sequence[Answer]) -> str:
    opened = [one.id for one in answers if one.state != "answered"]
    return (
        f"{len(answers)} questions; open: {len(opened)} ({', '.join(opened)})."
        if opened
        else f"All {len(answers)} answered."
    )


def _answers(answers: Sequence[Answer]) -> Iterator[str]:
    group = ""
    for one in answers:
        if one.group != group:
            group = one.group
            yield f"### {group}"
            yield ""
        yield f"- **{one.id}** {one.asks}: {one.answer}"
    yield ""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|---" * len(header) + "|"
    yield from ("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows)
    yield ""
