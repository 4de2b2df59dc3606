"""An answer as lines of text: one line begins with rank and therapist for each recommendation, reasons below it."""

from collections.abc import Mapping
from typing import Any

from serving.answering.recommend import days_in_words

HEADER = f"{'rank':<5}{'therapist':<14}{'ties':<6}{'utility (80 % interval)':<28}{'next free':<22}wait"


def lines(answer: Mapping[str, Any]) -> list[str]:
    """The whole answer of `POST /v1/recommendations`, as parsed JSON, for a person to read."""
    counts = answer["counts"]
    shown = [f"{counts['eligible']} of {counts['considered']} therapists can see this client on {answer['as_of']}"]
    shown += [f"  excluded by {rule}: {count}" for rule, count in answer["excluded"].items()]
    if answer["rules_not_checked"]:
        shown.append(f"  not checked: {', '.join(answer['rules_not_checked'])}")
    if answer["relaxations"]:
        shown.append(
            "Softer rules would bring (one therapist may be in several of these lines, and is excluded above):"
        )
        shown += [f"  {one['words']}" for one in answer["relaxations"]]
    shown += [f"Safety: {answer['safety']['words']}"]
    if answer["recommendations"]:
        shown += ["", _difference(answer), "", HEADER]
        for one in answer["recommendations"]:
            shown += _recommendation(one)
    if answer["versus_soonest"]:
        shown += ["", answer["versus_soonest"]["words"]]
    if answer["next_step"]:
        shown += ["", "What happens next:", *(f"  {words}" for words in answer["next_step"].values())]
    shown += ["", *answer["notes"]] if answer["notes"] else []
    model = answer["model"]
    return [*shown, "", f"Model {model['version']}, bundle {model['bundle_id']}.", *model["notes"]]


def _difference(answer: Mapping[str, Any]) -> str:
    if answer["meaningful_difference"]:
        return (
            "The first group is worth preferring to the average of those who can see this client; "
            "within a group, take whoever is free soonest."
        )
    return "No difference between these therapists is sure enough to matter, so the soonest free time comes first."


def _recommendation(one: Mapping[str, Any]) -> list[str]:
    utility, slots = one["utility"], one["next_slots"]
    interval = f"{utility['mean']:+.2f} ({utility['low']:+.2f} to {utility['high']:+.2f})"
    when = slots[0]["starts_at"][:16].replace("T", " ") + " UTC" if slots else "not known"
    wait = "not known" if one["wait_days"] is None else days_in_words(one["wait_days"])
    first = f"{one['rank']:<5}{one['therapist_id']:<14}{one['tie_group'] or '-':<6}{interval:<28}{when:<22}{wait}"
    return [first, *(f"     {words}" for words in one["reasons"]), *(f"     ! {words}" for words in one["cautions"])]
