"""What policies of sending clients would have brought, read from whom the clinic sent to whom.

The clients of the test block, with the therapists who were available to each, are a log of choices. Policies rank by
a model learned before the block, so they are fixed on other data than they are valued on; so is the model of the
reward that the doubly robust value leans on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.history import History
from training.choice_log import ChoiceLog, choice_log
from training.config import HeadConfig, TrainConfig
from training.head import Head
from training.learn import Learned, Material, observation_weights
from training.offpolicy import Value, doubly_robust, effective_size, inverse_propensity, self_normalised, weights
from training.power import power_of
from training.propensity import FEWEST_CHOICES
from training.scoring import Choice, Scored, on_scale
from training.target_trial import target_trial
from training.targets import Target

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LEVEL = 0.90
LEAST_DRAWN = 30.0
"""Below this effective sample size not even a policy that draws among several therapists is valued."""


@dataclass(frozen=True)
class Reward:
    """One head's results in its SD units, of the clients of a log who have one."""

    possible: Bools
    """Which clients of the log could have had a result, shape (clients,)."""
    clients: Bools
    """Which of those have one: they stand for the others."""
    value: Floats
    """Their results."""
    weight: Floats
    """What each counts for, so that they stand for all who could have had a result; mean 1."""
    expected: Floats
    """The model's expected result of each pair of the log."""


def value(
    history: History,
    config: TrainConfig,
    material: Material,
    heads: Mapping[str, Learned],
    test: pd.DataFrame,
    seen: Scored,
    pairs: Scored,
    choice: Choice,
    goals: Mapping[str, Target],
    test_from: str | None = None,
) -> dict[str, Any]:
    """The off-policy part of an evaluation, as JSON.

    `heads` were learned from `material`, all of it before the `test` block began; `seen` are its rows, `pairs` those
    of `choice`, both scored; `goals` are the targets of the test rows by head.
    """
    ranking = {name: one.head for name, one in heads.items() if one.head.info.weight > 0}
    expected = {name: expectations(head, material, seen, pairs, choice) for name, head in ranking.items()}
    made = choice_log(history, config, material, test, pairs, choice, utility(ranking, expected)) if ranking else None
    if made is None:
        return {"note": f"no value: fewer than {FEWEST_CHOICES} clients whose therapist could have been another"}
    rewards = {
        name: reward_of(goals[name], head, seen, made, expected[name][made.pairs]) for name, head in ranking.items()
    }
    found = {
        head.name: _of_head(config, head, made, rewards[head.name], test_from)
        for head in config.heads
        if head.name in ranking
    }
    return {
        "level": LEVEL,
        "test_from": test_from,
        "ranked_by": "utility of the model learned before the test block",
        "offers_recorded": made.recorded,
        "propensity": made.propensities.as_json(),
        "heads": found,
    }


def _of_head(
    config: TrainConfig, head: HeadConfig, made: ChoiceLog, reward: Reward, test_from: str | None
) -> dict[str, Any]:
    known, possible = int(reward.clients.sum()), int(reward.possible.sum())
    if known < FEWEST_CHOICES:
        return {"note": f"no value: {known} results of clients with a choice, {FEWEST_CHOICES} are needed"}
    facts: dict[str, Any] = {
        "clients": possible,
        "therapists": len(set(made.therapist_id)),
        "offers_recorded": made.recorded,
        "test_from": test_from,
        "share_recorded": made.propensities.recorded.mean(),
        "share_known": known / possible,
    }
    return {**_figures(made, reward), "target_trial": target_trial(config, head, facts)}


def expectations(head: Head, material: Material, seen: Scored, pairs: Scored, choice: Choice) -> Floats:
    """Expected result of each pair of a choice in the head's SD units; probabilities for binary heads.

    Nothing measured after the match enters it, for heads with a landmark too: it would come of the therapist seen.
    """
    link = seen.prognosis(head)[choice.episode] + pairs.fit(head, material.place)
    return on_scale(head, link) / head.info.sd


def utility(heads: Mapping[str, Head], expected: Mapping[str, Floats]) -> Floats:
    """Weighted mean of the heads' expectations: within one client's choice it orders pairs as the utility does."""
    weight = np.array([head.info.weight for head in heads.values()])
    return np.asarray((weight / weight.sum()) @ np.array([expected[name] for name in heads]))


def reward_of(goal: Target, head: Head, seen: Scored, made: ChoiceLog, expected: Floats) -> Reward:
    """The results of a log's clients in SD units; `expected` are the model's of the log's pairs.

    Clients without a result are stood for by weights, not by the model: many lack the intake score that it leans on.
    """
    possible, known = goal.possible[made.rows], goal.known[made.rows]
    rows = made.rows[known]
    weight = observation_weights(goal, seen.blocks["client"])[rows]
    return Reward(possible, known, goal.value[rows] / head.info.sd, weight / max(float(weight.mean()), 1e-12), expected)


def estimates(made: ChoiceLog, reward: Reward, level: float = LEVEL) -> dict[str, dict[str, Value]]:
    """Policy -> estimator (`ips`, `snips`, `dr`, and `gain`: doubly robust, over next-available) -> value.

    Doubly robust errors count by therapist: the model errs alike for clients of one. Weighted rewards count by client:
    whom a policy sends to a therapist is the policy, not chance.
    """
    here = reward.clients
    own, cluster = made.propensities.assigned[here], made.seen[here]
    logged = reward.expected[made.assigned][here]
    terms: dict[str, tuple[Floats, Floats]] = {"logged": (np.ones(len(own)), logged)}
    for name, probability in made.policies().items():
        brought: Floats = np.bincount(made.position, probability * reward.expected).astype(np.float64)[here]
        terms[name] = (weights(probability[made.assigned][here], own), brought)
    terms = {name: (ratio, _standing_for(brought, reward.weight)) for name, (ratio, brought) in terms.items()}
    chance, average = terms["next_available"]
    found = {}
    for name, (ratio, brought) in terms.items():
        weight = ratio * reward.weight
        against = (ratio - chance) * reward.weight
        gain = doubly_robust(reward.value, against, logged, brought - average, level, cluster)
        found[name] = {
            "ips": inverse_propensity(reward.value, weight, level),
            "snips": self_normalised(reward.value, weight, level),
            "dr": doubly_robust(reward.value, weight, logged, brought, level, cluster),
            "gain": replace(gain, effective=effective_size(weight)),
        }
    return found


def _standing_for(values: Floats, weight: Floats) -> Floats:
    """Rows whose plain mean is the weighted mean, and whose spread is that of the weighted deviations."""
    mean = float(np.average(values, weights=weight))
    return mean + weight * (values - mean)


def shown(policy: str, one: Value) -> bool:
    """Whether the log says enough of the policy for its value to be shown."""
    return one.estimable or (policy != "argmax" and one.effective >= LEAST_DRAWN)


def _figures(made: ChoiceLog, reward: Reward) -> dict[str, Any]:
    """Values of every policy and the power line, as JSON; what is not estimable is said, not shown."""
    found = estimates(made, reward)
    policies = {}
    for name, by in found.items():
        told, told_of = shown(name, by["dr"]), by["dr"].effective
        rough = told and not by["dr"].estimable
        policies[name] = {
            "effective_size": told_of,
            "clients": by["dr"].rows,
            "estimable": told,
            "warning": f"rough: the log says as much as {told_of:.0f} rows" if rough else by["dr"].warning,
            **{estimator: _interval(one) if told else "not estimable" for estimator, one in by.items()},
        }
    therapists = len(set(made.seen[reward.clients]))
    power = power_of(found["top_tenth"]["gain"].se, len(reward.value), therapists)
    return {"policies": policies, "power": power.as_json()}


def _interval(one: Value) -> dict[str, float]:
    return {"value": one.value, "low": one.low, "high": one.high, "se": one.se}
