"""What the evaluation estimates, written as the trial it stands in for (Hernan and Robins 2016, "Using big data to
emulate a target trial when a randomized trial is not available", American Journal of Epidemiology 183).
"""

from typing import Any

from training.config import HeadConfig, TrainConfig
from training.offpolicy import TOP_SHARE

STRATEGIES = {
    "argmax": "see the therapist whom the model ranks first among those available",
    "top_tenth": f"see one drawn evenly from the top {TOP_SHARE:.0%} of those available, at least one",
    "next_available": "see whoever is free first, taken as an even draw from those available",
    "logged": "see whom the clinic chose",
}
ASSUMPTIONS = {
    "no unmeasured confounding": (
        "given what was recorded before the match, who saw whom says nothing more of the result",
        "people who send clients know something that is not recorded (severity seen in a talk, say): values are "
        "biased, and intervals hold the truth too seldom",
    ),
    "positivity": (
        "every therapist whom a strategy picks had some chance of being chosen",
        "hard habits, or strategies far from practice: effective sizes fall, propensities are clipped, and a value "
        "may be not estimable",
    ),
    "consistency": (
        "a client sent by the model would do as one whom the clinic sent to the same therapist",
        "the recommendation itself changes hopes or care",
    ),
    "no interference": (
        "whom one client sees does not change how another does",
        "all are sent to the same few: caseloads fill and waits grow, which the strategies here leave out",
    ),
    "missing at random": (
        "given the client's data, a missing result says nothing of the result",
        "those who do badly stop answering, more so with some therapists",
    ),
    "stability": ("therapists and clients of the test block are like those to come", "staff or referrals change"),
}


def target_trial(config: TrainConfig, head: HeadConfig, facts: dict[str, Any]) -> dict[str, Any]:
    """The estimand of one head's values as a trial.

    `facts` are those of the log: `clients`, `therapists`, `offers_recorded`, `test_from` (None in undated data),
    `share_recorded` (of propensities) and `share_known` (of results).
    """
    when = "clients held out" if facts["test_from"] is None else f"matched from {facts['test_from']} on"
    offered = "recorded offers" if facts["offers_recorded"] else "guessed: who was seeing new clients around the day"
    return {
        "eligibility": f"{facts['clients']:,} courses of treatment, {when}, that began with a choice of two or more "
        f"therapists ({facts['therapists']:,} in all; those who opted out of learning are left out)",
        "available": offered,
        "strategies": STRATEGIES,
        "strategies_fixed_on": "data from before the test block",
        "assignment": f"not random: propensities within each client's choice, {facts['share_recorded']:.0%} recorded "
        "and the rest estimated; clients are compared as if drawn by them",
        "time_zero": "the day of the match; nothing learned later enters a strategy or a propensity",
        "follow_up": _follow_up(config, head),
        "outcome": f"{head.name} ({head.source}), upwards is better, in SD; known for {facts['share_known']:.0%}, "
        "who stand for the others by weights",
        "contrast": "mean result under a strategy, and its difference from next_available, over these clients",
        "assumptions": {
            name: {"holds_if": holds, "broken_by": broken} for name, (holds, broken) in ASSUMPTIONS.items()
        },
    }


def _follow_up(config: TrainConfig, head: HeadConfig) -> str:
    if head.source == "outcome":
        return f"to the last score within {config.outcome.weeks} weeks of the match, whether or not therapy was ended"
    if head.source == "alliance":
        return "to sessions 3 to 5 (session 2 where there is none)"
    if head.source in ("retention", "early_dropout"):
        return "to the ending; endings that are neither planned nor dropout are censored"
    return f"to {head.source.removeprefix('measure:').replace('@', ' at session ')}"
