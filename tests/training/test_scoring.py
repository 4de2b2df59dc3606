"""Scoring past pairs reads them as training did."""

import numpy as np

from data.consent import for_learning
from data.dataset import Dataset
from data.history import History
from data.synthetic.truth import Truth
from training.run import Trained
from training.scoring import score


def test_a_pair_is_scored_from_the_columns_it_was_learned_from(trained: Trained, clinic: tuple[Dataset, Truth]) -> None:
    material = trained.material
    seen = score(History(for_learning(clinic[0])), material.episodes, material)
    for part, block in material.blocks.items():
        assert np.array_equal(seen.blocks[part], block, equal_nan=True), part
    assert np.array_equal(seen.effects, material.effects)


def test_what_is_expected_stands_on_the_scale_of_the_target(trained: Trained, clinic: tuple[Dataset, Truth]) -> None:
    material = trained.material
    seen = score(History(for_learning(clinic[0])), material.episodes.head(50), material)
    kinds = set()
    for head in trained.bundle.heads.values():
        kinds.add(head.info.kind)
        link = seen.prognosis(head) + seen.fit(head, material.place)
        said = seen.expected(head, material.place)
        assert np.allclose(said, link if head.info.kind == "gaussian" else 1 / (1 + np.exp(-link)))
    assert kinds == {"gaussian", "binary"}
