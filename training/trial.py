"""The test of a configuration: learn from what was known before the test block, then look at the block once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from data.history import History, Snapshot
from training.baselines import PATIENT_ONLY, THERAPIST_MEAN, Scores, learn_baselines
from training.choosing import Chosen
from training.config import TrainConfig
from training.conformal import Conformal, Credible
from training.evaluate import Offered
from training.groups import groups_of
from training.held_out import therapists_held_out
from training.intervals import intervals_of
from training.learn import Learned, Material, learn_head
from training.material import gather
from training.scoring import choices, score
from training.split import Blocks
from training.targets import intake_sds, learnable, target
from training.tested import CONTENDERS, Tested
from training.valuation import value

Say = Callable[[str], None]

PEERS = ("preferences_only", "therapist_severity_problem", "top_rule", "neighbours", "one_model")
"""Baselines of the ranking beside the contenders, which share the model's way to score."""


@dataclass(frozen=True)
class Trial:
    """Heads learned before the cut, beside their baselines: contender -> head name -> head."""

    material: Material
    heads: Mapping[str, Mapping[str, Learned]]
    peers: Mapping[str, Mapping[str, Scores]]
    """Head name -> baseline -> scores of pairs, for the heads that rank."""
    intervals: Mapping[str, Conformal | Credible]
    """Conformal intervals of the heads for scores, credible ones of those for probabilities."""
    held_out: Mapping[str, dict[str, Any]]
    """What the profile alone foretells, for the heads that rank."""
    sds: dict[str, float]
    left_out: dict[str, str]


def learn_before(
    history: History, config: TrainConfig, chosen: Chosen, snapshot: Snapshot, episodes: pd.DataFrame, say: Say
) -> Trial:
    """Learns every head and its baselines from `episodes` with the results known in `snapshot`."""
    material = gather(history, episodes, chosen, config)
    sds = intake_sds(snapshot, config.outcome.instruments)
    heads: dict[str, dict[str, Learned]] = {name: {} for name in CONTENDERS}
    goals, left_out = {}, {}
    for head in config.heads:
        say(f"test: {head.name}")
        goal = target(head, snapshot, episodes, config.outcome, sds)
        full = learn_head(head, material, goal, config, config.fit)
        if isinstance(full, str):
            left_out[head.name] = full
            continue
        heads["model"][head.name], goals[head.name] = full, goal
        for contender, parts in (("therapist_mean", THERAPIST_MEAN), ("patient_only", PATIENT_ONLY)):
            beside = learn_head(head, material, goal, config, parts, full.first)
            assert not isinstance(beside, str)  # the same labels were enough above
            heads[contender][head.name] = beside
    say("test: baselines")
    model = heads["model"]
    ranking = [head for head in config.heads if head.weight > 0 and head.name in model]
    return Trial(
        material=material,
        heads=heads,
        peers={h.name: learn_baselines(h, material, goals[h.name], config, model[h.name], PEERS) for h in ranking},
        intervals={name: intervals_of(material, one, config) for name, one in model.items()},
        held_out={h.name: therapists_held_out(h, material, goals[h.name], config, model[h.name]) for h in ranking},
        sds=sds,
        left_out=left_out,
    )


def cut(history: History, config: TrainConfig, blocks: Blocks, episodes: pd.DataFrame) -> tuple[Snapshot, pd.DataFrame]:
    """What was known when the test block began, and the episodes old enough by then; undated: all but the test rows."""
    if blocks.test_from is None:
        return history.as_of(None), episodes[~blocks.test].reset_index(drop=True)
    snapshot = history.as_of(blocks.test_from)
    return snapshot, learnable(snapshot, config.split.wait_weeks)


def evaluate(
    history: History, config: TrainConfig, trial: Trial, blocks: Blocks, episodes: pd.DataFrame, say: Say
) -> dict[str, Any]:
    """Every figure of the evaluation on the test block, as JSON."""
    test = episodes[blocks.test].reset_index(drop=True)
    snapshot = history.latest()
    say("test: evaluation")
    seen = score(history, test, trial.material)
    choice = choices(history, test, config.seed)
    everyone = test.iloc[choice.episode].assign(therapist_id=choice.therapist_id).reset_index(drop=True)
    pairs = score(history, everyone, trial.material)
    offered = Offered(choice.episode, choice.assigned)
    learned = [head for head in config.heads if head.name not in trial.left_out]
    goals = {head.name: target(head, snapshot, test, config.outcome, trial.sds) for head in learned}
    groups = groups_of(history, test, seen, trial.material)
    table = Tested(
        config, trial.material, trial.heads, trial.peers, trial.intervals, test, seen, pairs, offered, goals, groups
    )
    result = {head.name: table.head(head) for head in learned}
    for name, found in trial.held_out.items():
        result[name]["therapists_held_out"] = found
    from_day = None if blocks.test_from is None else blocks.test_from.isoformat()
    model = trial.heads["model"]
    return {
        "forward": blocks.forward,
        "test_from": from_day,
        "learned_from": len(trial.material.episodes),
        "test_episodes": len(test),
        "clients_with_choice": len(offered.rows),
        "therapists_a_choice": float(len(choice.episode) / max(len(offered.rows), 1)),
        "offers_recorded": choice.recorded,
        "share_with_offers": choice.share,
        "therapists_tested": int(test["therapist_id"].nunique()),
        "heads": result,
        "utility": table.utility(),
        "off_policy": value(history, config, trial.material, model, test, seen, pairs, choice, goals, from_day),
        "left_out": trial.left_out,
    }
