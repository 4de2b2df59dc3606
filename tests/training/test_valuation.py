"""The off-policy part of an evaluation, on the small clinic."""

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from data.consent import for_learning
from data.history import History
from features.policy import Policy
from training.choice_log import ChoiceLog, choice_log
from training.choosing import choose
from training.config import HeadConfig, SplitConfig, TrainConfig
from training.learn import Learned, Material, learn_head
from training.material import gather
from training.offpolicy import LEAST_SIZE, Value
from training.power import smallest_gain
from training.propensity import FEWEST_CHOICES
from training.scoring import Choice, Scored, choices, score
from training.split import blocks
from training.targets import Target, intake_sds, learnable, target
from training.trial import cut
from training.valuation import LEAST_DRAWN, estimates, expectations, reward_of, shown, utility, value

if TYPE_CHECKING:
    from data.dataset import Dataset
    from data.synthetic.truth import Truth

HEADS = (
    HeadConfig(name="outcome", source="outcome", weight=1.0),
    HeadConfig(name="retention", source="retention", weight=0.5),
)
CONFIG = TrainConfig(heads=HEADS, split=SplitConfig(test_share=0.3))


@dataclass(frozen=True)
class Block:
    """A test block as the evaluation has it in hand."""

    history: History
    material: Material
    heads: dict[str, Learned]
    test: pd.DataFrame
    seen: Scored
    pairs: Scored
    choice: Choice
    goals: dict[str, Target]

    def valued(self, **changed: Any) -> dict[str, Any]:
        b = replace(self, **changed)
        return value(b.history, CONFIG, b.material, b.heads, b.test, b.seen, b.pairs, b.choice, b.goals, "2025-06-01")

    def log(self) -> ChoiceLog:
        heads = {name: one.head for name, one in self.heads.items()}
        said = {n: expectations(h, self.material, self.seen, self.pairs, self.choice) for n, h in heads.items()}
        made = choice_log(self.history, CONFIG, self.material, self.test, self.pairs, self.choice, utility(heads, said))
        assert made is not None
        return made


@pytest.fixture(scope="module")
def block(clinic: "tuple[Dataset, Truth]") -> Block:
    dataset = clinic[0]
    history = History(for_learning(dataset))
    episodes = learnable(history.latest(), CONFIG.split.wait_weeks)
    parts = blocks(episodes, CONFIG.split, CONFIG.seed)
    snapshot, earlier = cut(history, CONFIG, parts, episodes)
    material = gather(history, earlier, choose(CONFIG, dataset, Policy.read()), CONFIG)
    sds = intake_sds(snapshot, CONFIG.outcome.instruments)
    heads = {}
    for head in HEADS:
        learned = learn_head(head, material, target(head, snapshot, earlier, CONFIG.outcome, sds), CONFIG, CONFIG.fit)
        assert isinstance(learned, Learned)
        heads[head.name] = learned
    test = episodes[parts.test].reset_index(drop=True)
    choice = choices(history, test, 0)
    everyone = test.iloc[choice.episode].assign(therapist_id=choice.therapist_id).reset_index(drop=True)
    goals = {head.name: target(head, history.latest(), test, CONFIG.outcome, sds) for head in HEADS}
    seen, pairs = score(history, test, material), score(history, everyone, material)
    return Block(history, material, heads, test, seen, pairs, choice, goals)


@pytest.fixture(scope="module")
def valued(block: Block) -> dict[str, Any]:
    return block.valued()


def test_every_head_that_ranks_has_a_value_for_every_policy_a_power_line_and_its_trial(valued: dict[str, Any]) -> None:
    assert set(valued["heads"]) == {"outcome", "retention"}
    for found in valued["heads"].values():
        assert set(found["policies"]) == {"logged", "argmax", "top_tenth", "next_available"}
        assert found["policies"]["top_tenth"]["dr"]["low"] < found["policies"]["top_tenth"]["dr"]["high"]
        assert "past choices alone would show a gain" in found["power"]["words"]
        assert "2025-06-01" in found["target_trial"]["eligibility"]
    json.dumps(valued, allow_nan=False)


def test_an_argmax_that_the_log_says_too_little_of_is_said_and_not_shown(valued: dict[str, Any]) -> None:
    found = valued["heads"]["outcome"]["policies"]["argmax"]
    assert found["effective_size"] < LEAST_SIZE
    assert found["dr"] == found["ips"] == found["gain"] == "not estimable"
    assert "not estimable" in found["warning"]
    drawn = valued["heads"]["outcome"]["policies"]["top_tenth"]
    assert LEAST_DRAWN < drawn["effective_size"] < LEAST_SIZE
    assert drawn["warning"].startswith("rough")
    assert drawn["dr"]["low"] < drawn["dr"]["high"]


def test_the_logged_policy_is_worth_the_mean_result_and_next_available_gains_nothing_over_itself(
    block: Block, valued: dict[str, Any]
) -> None:
    policies = valued["heads"]["retention"]["policies"]
    goal = block.goals["retention"]
    mean = goal.value[goal.known].mean() / block.heads["retention"].head.info.sd
    assert policies["logged"]["ips"]["value"] == pytest.approx(mean, rel=0.05)  # of clients with a choice, weighted
    assert policies["next_available"]["gain"]["value"] == pytest.approx(0.0, abs=1e-12)


def test_recorded_propensities_are_used_and_counted(block: Block, valued: dict[str, Any]) -> None:
    made = block.log()
    recorded = block.test["propensity"].notna().to_numpy()[made.rows]
    assert valued["propensity"]["share_recorded"] == recorded.mean()
    assert 0.05 < recorded.mean() < 0.3


def test_a_therapist_who_opted_out_is_in_no_choice_and_no_policy(block: Block, clinic: "tuple[Dataset, Truth]") -> None:
    therapists = clinic[0]["therapists"]
    opted_out = set(therapists.loc[therapists["learning_opt_out"].fillna(False), "therapist_id"])
    assert opted_out & set(block.choice.therapist_id)
    made = block.log()
    assert not opted_out & set(made.therapist_id)
    assert (np.bincount(made.position) > 1).all()
    assert np.bincount(made.position, made.assigned).tolist() == [1] * len(made.rows)


def test_a_missing_result_is_stood_for_by_others_and_no_guess_of_it_counts(block: Block) -> None:
    made, head = block.log(), block.heads["outcome"].head
    said = expectations(head, block.material, block.seen, block.pairs, block.choice)[made.pairs]
    reward = reward_of(block.goals["outcome"], head, block.seen, made, said)
    assert 0.7 < reward.clients.sum() / reward.possible.sum() < 1
    assert reward.possible[reward.clients].all()
    assert reward.weight.mean() == pytest.approx(1.0)
    other = replace(reward, expected=np.where(reward.clients[made.position], reward.expected, 99.0))
    for name, by in estimates(made, reward).items():
        assert estimates(made, other)[name]["dr"].value == by["dr"].value


def test_too_few_choices_are_said_and_not_valued(block: Block) -> None:
    few = block.choice.episode < np.unique(block.choice.episode)[FEWEST_CHOICES - 20]
    choice = replace(
        block.choice,
        episode=block.choice.episode[few],
        therapist_id=block.choice.therapist_id[few],
        assigned=block.choice.assigned[few],
    )
    test = block.test
    everyone = test.iloc[choice.episode].assign(therapist_id=choice.therapist_id).reset_index(drop=True)
    found = block.valued(choice=choice, pairs=score(block.history, everyone, block.material))
    assert "fewer than 100 clients" in found["note"]
    assert block.valued(heads={})["note"]


def test_a_first_choice_needs_a_hundred_rows_and_a_draw_among_several_thirty() -> None:
    def of(size: float) -> Value:
        return Value(0.0, 0.1, -0.2, 0.2, size, 500)

    assert [shown("argmax", of(size)) for size in (29, 99, 100)] == [False, False, True]
    assert [shown("top_tenth", of(size)) for size in (29, 30, 100)] == [False, True, True]


def test_the_power_line_is_that_of_the_gain_with_errors_by_therapist(block: Block, valued: dict[str, Any]) -> None:
    found = valued["heads"]["outcome"]
    made = block.log()
    therapists = len(set(made.seen[block.goals["outcome"].known[made.rows]]))
    se = found["policies"]["top_tenth"]["gain"]["se"]
    assert found["power"]["smallest_gain"] == pytest.approx(smallest_gain(se, therapists))
    assert found["power"]["therapists"] == therapists
