"""What does it bring to decide for everyone at once, or with prices, when caseloads are full? Synthetic clinics."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Group as Together
from rich.table import Table

from data.synthetic.clinic import simulate
from data.synthetic.plan import Arm, Plan
from experiments.allocation_stream import Stream, extra_wait, lowest_group, mix, policies, stream_of, taken
from experiments.clinics import each, over_seeds, plans
from experiments.clinics import figure as in_words
from experiments.contest import prepare
from experiments.drawing import points
from training.assignment import allocate
from training.assignment_list import WAITS, Group, Limit, Options, WaitingList, extra_days, group_means

ELIGIBLE: tuple[int | None, ...] = (10, 20, None)
QUICK_ELIGIBLE: tuple[int | None, ...] = (20, None)
TARGET = 0.95
LIST_PLACES = 3
"""Places that each therapist has for the waiting list."""
LIST_ELIGIBLE = 20
MAX_EXTRA_DAYS = 14.0
MOST_SEVERE = 2
SEVERE = 0.5
"""SD above the mean of intake severity: nearly a third of the clients."""


def run(
    episodes: int = 10_000,
    therapists: int = 150,
    seeds: int = 20,
    arm: Arm = "base",
    eligible: Sequence[int | None] = ELIGIBLE,
    on_clinic: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Each rule's predicted and true gain, clients who come one by one and a waiting list; means over clinics."""
    made = plans(seeds, arm=arm, episodes=episodes, therapists=therapists)
    rows = each(made, partial(measure, eligible=eligible), on_clinic)
    streams = {_name(count): pd.DataFrame([row[_name(count)] for row in rows]) for count in eligible}
    whole = pd.DataFrame([row["list"] for row in rows])
    return {
        "synthetic": True,
        "arm": arm,
        "episodes": episodes,
        "therapists": therapists,
        "seeds": seeds,
        "clients": float(np.mean([row["clients"] for row in rows])),
        "target_share": TARGET,
        "one_by_one": {name: _shares(frame) for name, frame in streams.items()},
        "waiting_list": {
            "places": LIST_PLACES,
            "eligible": LIST_ELIGIBLE,
            "max_extra_days": MAX_EXTRA_DAYS,
            "most_severe": MOST_SEVERE,
            "rules": _means(whole),
        },
    }


def measure(plan: Plan, eligible: Sequence[int | None]) -> dict[str, Any]:
    """One clinic: figures `RULE.FIGURE` for each number of eligible therapists, and for a waiting list."""
    dataset, truth = simulate(plan)
    stream = stream_of(prepare(dataset, truth, plan.seed), dataset, truth, plan.seed)
    found: dict[str, Any] = {"clients": len(stream.said)}
    for count in eligible:
        among = stream.among(count)
        chosen = policies(among, count, plan.seed)
        found[_name(count)] = {
            f"{rule}.{name}": value
            for rule, one in chosen.items()
            for name, value in _figures(among, one, chosen["next_available"]).items()
        }
    return {**found, "list": _waiting_list(stream.among(LIST_ELIGIBLE))}


def _figures(stream: Stream, chosen: np.ndarray, soonest: np.ndarray) -> dict[str, float]:
    said, true = stream.gains(stream.said), stream.gains(stream.true)
    return {
        "predicted": float(taken(said, chosen).mean()),
        "true": float(taken(true, chosen).mean()),
        "unplaced": float((chosen < 0).mean()),
        "lowest_group": lowest_group(said, chosen, soonest, stream.groups),
        "lowest_group_true": lowest_group(true, chosen, soonest, stream.groups),
        "extra_days": float(extra_wait(stream, chosen).mean()),
        **mix(chosen, stream.severity, stream.risk, len(stream.places)),
    }


def _waiting_list(stream: Stream) -> dict[str, float]:
    """The first clients of the stream as one list: next available, allocated, and allocated under every constraint."""
    waiting, therapists = as_list(stream), len(stream.places)
    severe = Limit("severe", stream.severity[: waiting.clients] > SEVERE, np.full(therapists, MOST_SEVERE))
    bound = WaitingList(
        waiting.clients, waiting.options, waiting.places, (severe,), waiting.groups, MAX_EXTRA_DAYS, waiting.floor
    )
    free = WaitingList(waiting.clients, waiting.options, waiting.places)
    best, kept = allocate(free), allocate(bound)
    soonest = best.next_available
    rules = {"next_available": soonest, "allocated": best.chosen, "allocated_within_limits": kept.chosen}
    true = stream.gains(stream.true)[: waiting.clients]
    base = group_means(waiting, soonest)
    found: dict[str, float] = {}
    for rule, chosen in rules.items():
        extra = extra_days(waiting, soonest)[chosen[chosen != WAITS]]
        column = waiting.therapists(chosen)
        found |= {
            f"{rule}.predicted": float(waiting.utilities(chosen).mean()),
            f"{rule}.true": float(taken(true, column).mean()),
            f"{rule}.unplaced": float((chosen == WAITS).mean()),
            f"{rule}.lowest_group": float(np.nanmin(group_means(waiting, chosen) - base)),
            f"{rule}.extra_days": float(np.nanmean(extra)),
            f"{rule}.extra_days_max": float(np.nanmax(extra)),
            f"{rule}.over_severe_limit": _over(column, severe, therapists),
        }
        spread = mix(column, stream.severity[: waiting.clients], stream.risk[: waiting.clients], therapists)
        found |= {f"{rule}.{name}": value for name, value in spread.items()}
    return found


def as_list(stream: Stream) -> WaitingList:
    """The first clients of a stream as a waiting list, with the first appointments of every therapist."""
    therapists = len(stream.places)
    clients = min(LIST_PLACES * therapists, len(stream.said))
    gains = stream.gains(stream.said)[:clients]
    client, therapist = np.nonzero(stream.eligible[:clients])
    client, therapist = np.repeat(client, LIST_PLACES), np.repeat(therapist, LIST_PLACES)
    number = np.tile(np.arange(LIST_PLACES), len(client) // LIST_PLACES)
    options = Options(
        client, therapist, gains[client, therapist], stream.days[therapist, number], therapist * LIST_PLACES + number
    )
    groups = tuple(Group(name, mask[:clients]) for name, mask in stream.groups.items() if mask[:clients].any())
    return WaitingList(clients, options, np.full(therapists, LIST_PLACES), groups=groups)


def _over(column: np.ndarray, limit: Limit, therapists: int) -> float:
    """Share of therapists with more clients of the kind than the limit allows."""
    load = np.bincount(column[(column >= 0) & limit.counted], minlength=therapists)
    return float((load > limit.most).mean())


def _shares(frame: pd.DataFrame) -> dict[str, Any]:
    """Means over clinics, and shares of what hindsight brings over chance, in predicted utility and in truth."""
    found = _means(frame)
    for rule, figures in found.items():
        for kind in ("predicted", "true"):
            over = frame[f"{rule}.{kind}"] - frame[f"random.{kind}"]
            figures[f"share_{kind}"] = over_seeds(over, frame[f"optimum.{kind}"] - frame[f"random.{kind}"])
    return found


def _means(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name in frame:
        rule, _, kind = str(name).partition(".")
        found.setdefault(rule, {})[kind] = over_seeds(frame[name])
    return found


def _name(count: int | None) -> str:
    return "all" if count is None else str(count)


def table(result: dict[str, Any]) -> Together:
    """One table for clients who come one by one, one for a waiting list."""
    title = (
        f"SYNTHETIC: arm {result['arm']}, {result['seeds']} clinics, {result['clients']:.0f} clients one by one for as "
        "many places; shares of (hindsight optimum - random)"
    )
    one = Table("eligible", "rule", "predicted (SD)", "share", "true (SD)", "true share", "unplaced", title=title)
    one.add_column("lowest group", justify="right")
    one.add_column("extra days", justify="right")
    one.add_column("severity SD, max", justify="right")
    for count, rules in result["one_by_one"].items():
        for rule, figures in rules.items():
            shares = (in_words(figures["share_predicted"]), in_words(figures["share_true"]))
            one.add_row(count, rule, _mean(figures, "predicted"), shares[0], _mean(figures, "true"), shares[1],
                        _mean(figures, "unplaced"), _mean(figures, "lowest_group"), _mean(figures, "extra_days", 1),
                        _spread(figures))  # fmt: skip
    listed = result["waiting_list"]
    title = (
        f"SYNTHETIC: a waiting list at once, {listed['places']} places each, {listed['eligible']} eligible; limits: "
        f"at most {listed['max_extra_days']:g} extra days, {listed['most_severe']} severe clients, floor on groups"
    )
    two = Table("rule", "predicted (SD)", "true (SD)", "unplaced", "lowest group", title=title)
    for words in ("extra days", "most extra days", "over the severe limit", "severity SD, max"):
        two.add_column(words, justify="right")
    for rule, figures in listed["rules"].items():
        two.add_row(rule, *(_mean(figures, name) for name in ("predicted", "true", "unplaced", "lowest_group")),
                    _mean(figures, "extra_days", 1), _mean(figures, "extra_days_max", 1),
                    _mean(figures, "over_severe_limit"), _spread(figures))  # fmt: skip
    return Together(one, two)


def _mean(figures: dict[str, Any], name: str, digits: int = 3) -> str:
    return f"{figures[name]['value']:.{digits}f}"


def _spread(figures: dict[str, Any]) -> str:
    return f"{figures['severity_sd']['value']:.2f}, {figures['severity_max']['value']:.2f}"


def figure(result: dict[str, Any], path: Path) -> Path:
    """Shares of (hindsight optimum - random), by rule and number of eligible therapists."""
    series = {
        f"{kind}, {count} eligible": {rule: figures[f"share_{kind}"] for rule, figures in rules.items()}
        for count, rules in result["one_by_one"].items()
        for kind in ("predicted", "true")
    }
    title = f"SYNTHETIC: what each rule keeps of (hindsight optimum - random), clients one by one, {result['arm']}"
    return points(series, title, "share", path)
