"""An allocation as lines of text for a person to read."""

from collections.abc import Iterator

from serving.placing.allocation_answer import AllocationAnswer, Placed, Spread

_WORTH = 0.005
"""SD: cheaper places are not printed."""
HEADER = f"{'client':<14}{'therapist':<14}{'utility':<9}{'first session':<22}{'wait':<10}next available"


def lines(answer: AllocationAnswer) -> list[str]:
    """Counts, who is proposed, who is held, who waits and why, what binds, and what it does to caseloads."""
    return list(_lines(answer))


def _lines(answer: AllocationAnswer) -> Iterator[str]:
    counts = answer.counts
    yield (
        f"{counts.waiting} waiting on {answer.as_of}, {counts.places} places: {counts.placed} placed, "
        f"{counts.held} held for a clinician, {counts.unplaced} wait on"
    )
    yield (
        f"Mean predicted utility of those placed: {_number(answer.utility)} SD; "
        f"by next available: {_number(answer.utility_next_available)} SD"
    )
    if answer.assignments:
        yield from ("", HEADER)
        for placed in answer.assignments:
            yield from _placed(placed)
    for held in answer.held:
        kept = "a place is set aside" if held.place_set_aside else "no place is free for them yet; they keep their turn"
        yield from ("", f"held      {held.client_id}: {held.words} ({kept})", f"          {held.next_step.contact}")
    for one in answer.unassigned:
        yield from ("", f"waits on  {one.client_id}: {one.words}", f"          next: {one.next_step}")
    yield from _rest(answer)


def _placed(one: Placed) -> Iterator[str]:
    when = one.starts_at.strftime("%Y-%m-%d %H:%M UTC") if one.starts_at else "not known"
    other = one.next_available
    by = f"{other.therapist_id} {other.utility:+.2f} {_days(other.wait_days)}" if other else "nobody left in their turn"
    yield f"{one.client_id:<14}{one.therapist_id:<14}{one.utility:<+9.2f}{when:<22}{_days(one.wait_days):<10}{by}"
    if one.safety.status == "flagged":
        yield f"              ! {one.safety.words}"


def _rest(answer: AllocationAnswer) -> Iterator[str]:
    for title, words in (("What binds:", answer.binding), ("Floors that could not be kept:", answer.missed_floors)):
        if words:
            yield from ("", title, *(f"  {one}" for one in words))
    if answer.groups:
        yield from ("", "Mean predicted utility by group (allocated, next available):")
        for group in answer.groups:
            yield (
                f"  {group.group:<34}{group.clients:>4} clients  "
                f"{_number(group.allocated)}  {_number(group.next_available)}"
            )
    dearest = sorted((one for one in answer.prices.items() if one[1] >= _WORTH), key=lambda one: (-one[1], one[0]))
    if dearest:
        yield from ("", "Prices (SD that one more place would add):")
        yield "  " + ", ".join(f"{name} {price:.2f}" for name, price in dearest)
    yield from (
        "",
        "Caseloads, mean severity over therapists (SD, highest), most severe and most at-risk cases with one:",
    )
    for name, spread in answer.spread.items():
        yield f"  {name.replace('_', ' '):<16}{_spread(spread)}"
    if answer.rules_not_checked:
        yield f"Not checked: {', '.join(answer.rules_not_checked)}"
    yield from ("", *answer.notes) if answer.notes else ()
    yield from ("", f"Model {answer.model.version}, bundle {answer.model.bundle_id}.", *answer.model.notes)


def _spread(spread: Spread) -> str:
    mean, sd, high = (_number(value, "") for value in (spread.severity_mean, spread.severity_sd, spread.severity_max))
    return f"{mean} ({sd}, {high}), {spread.severe_max} and {spread.risk_max}"


def _number(value: float | None, sign: str = "+") -> str:
    return "not known" if value is None else f"{value:{sign}.3f}"


def _days(value: int | None) -> str:
    return "not known" if value is None else f"{value} d"
