"""What the model has to beat: simpler ways to choose a therapist, learned from the same rows as the heads.

Each baseline is a function from scored pairs to one score a pair, higher is better, in units of the target (for a
binary head its probability). Only differences between the therapists of one client mean anything.

- `next_available`: whoever is free first, which is unrelated to fit: the same for all.
- `patient_only`: the prognosis alone, which expects the same of every therapist.
- `preferences_only`: share of the wishes a therapist meets less the share of dislikes (that share is its unit: what it
  claims means nothing until it is held against results).
- `therapist_mean`: the prognosis and a shrunken therapist mean.
- `therapist_severity_problem`: the same with a slope on severity and strengths by main problem, and no columns.
- `top_rule`: a therapist is effective, neutral or ineffective in each problem domain (see `top_rule`).
- `neighbours`: how those of the therapist's clients fared who are most like this one, shrunken.
- `one_model`: one boosted model of client, therapist and match; `one_model_with_id` also knows who the therapist is.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors

from training.binary import sigmoid
from training.config import FitConfig, HeadConfig, TrainConfig
from training.learn import Learned, Material, learn_head
from training.scoring import Scored
from training.targets import Target

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Scores = Callable[[Scored], Floats]

PATIENT_ONLY = FitConfig(therapist=False, slope=False, strengths=False, columns=False)
THERAPIST_MEAN = FitConfig(therapist=True, slope=False, strengths=False, columns=False)
SEVERITY_PROBLEM = FitConfig(columns=False)

FEWEST_IN_DOMAIN = 15
"""Cases a therapist needs in a domain to be anything but neutral there (Kraus et al. 2011, Constantino et al. 2021)."""
RELIABLY = 1.2815515655446004
"""Standard errors by which a mean must lie off 0: its 80 % interval leaves 0 out."""
NEIGHBOURS = 15
NOISE_TO_THERAPIST = 19.0
"""Variance within therapists over that between them where they make 5 % of the difference."""


def learn_baselines(
    head: HeadConfig,
    material: Material,
    goal: Target,
    config: TrainConfig,
    learned: Learned,
    names: Collection[str] | None = None,
) -> dict[str, Scores]:
    """All baselines of a head by name, or those in `names`; `learned` is the head they stand beside.

    They share its rows, weights and first prognosis, so that they differ from it in nothing else.
    """
    recipes: Mapping[str, Callable[[], Scores]] = {
        "next_available": lambda: indifferent,
        "patient_only": lambda: indifferent,
        "preferences_only": lambda: preferences_only(material),
        "therapist_mean": lambda: mixed(head, material, goal, config, THERAPIST_MEAN, learned),
        "therapist_severity_problem": lambda: mixed(head, material, goal, config, SEVERITY_PROBLEM, learned),
        "top_rule": lambda: top_rule(material, learned),
        "neighbours": lambda: neighbours(material, learned),
        "one_model": lambda: one_model(material, learned, config.seed),
        "one_model_with_id": lambda: one_model(material, learned, config.seed, with_id=True),
    }
    return {name: recipe() for name, recipe in recipes.items() if names is None or name in names}


def indifferent(scored: Scored) -> Floats:
    """The same score for every pair."""
    return np.zeros(len(scored.therapist_id))


def preferences_only(material: Material) -> Scores:
    """Share of the client's wishes that the therapist meets less that of dislikes; 0 where neither is on record."""
    columns = material.features.columns_of("pair")
    signs = [(columns.index(n), s) for n, s in (("wishes_met", 1.0), ("dislikes_hit", -1.0)) if n in columns]

    def scores(scored: Scored) -> Floats:
        pair = scored.blocks["pair"]
        return np.asarray(sum((sign * np.nan_to_num(pair[:, i]) for i, sign in signs), np.zeros(len(pair))))

    return scores


def mixed(
    head: HeadConfig, material: Material, goal: Target, config: TrainConfig, parts: FitConfig, learned: Learned
) -> Scores:
    """A mixed fit with fewer parts, on the prognosis that the full model started from."""
    found = learn_head(head, material, goal, config, parts, learned.first)
    assert not isinstance(found, str)  # the same labels were enough for `learned`
    return of_head(found, material)


def of_head(learned: Learned, material: Material) -> Scores:
    """What a head says of pairs, in units of the target; log odds by the slope of the mean chance."""
    chance = float(np.average(learned.target, weights=learned.weight))
    unit = chance * (1 - chance) if learned.head.info.kind == "binary" else 1.0
    return lambda scored: unit * scored.fit(learned.head, material.place)


def risk_adjusted(learned: Learned) -> Floats:
    """Target less what was to be expected of the client, in units of the target, for each row learned from."""
    expected = learned.first.crossed
    return learned.target - (sigmoid(expected) if learned.head.info.kind == "binary" else expected)


def top_rule(material: Material, learned: Learned) -> Scores:
    """A therapist is effective, neutral or ineffective in each domain; a client's score is the mean over their domains.

    As in the one trial of matching (Constantino et al. 2021): effective where the average client reliably exceeded
    the risk-adjusted expectation, ineffective where they fell short of it, neutral between, or with fewer than 15
    cases. There every client was scored in all twelve domains; here the outcome is general, so all clients count in
    one general domain, and in that of each problem they named. Each class is worth its mean over all therapists.
    """
    residual, domains = risk_adjusted(learned), _domains(material, material.blocks)[learned.rows]
    therapist, count = material.therapist[learned.rows], len(material.therapist_ids)
    cases, total, squares = (
        np.column_stack([np.bincount(therapist, weights=w * d, minlength=count) for d in domains.T])
        for w in (np.ones(len(residual)), residual, residual**2)
    )
    mean = total / np.maximum(cases, 1)
    spread = np.sqrt(np.maximum(squares / np.maximum(cases, 1) - mean**2, 0) / np.maximum(cases - 1, 1))
    side = np.where((cases >= FEWEST_IN_DOMAIN) & (np.abs(mean) > RELIABLY * spread), np.sign(mean), 0.0)
    worth = np.zeros((count + 1, domains.shape[1]))  # the last row: therapists without any case
    for sign in (-1.0, 1.0):
        these = side == sign
        if these.any():
            worth[:-1][these] = np.average(mean[these], weights=cases[these])

    def scores(scored: Scored) -> Floats:
        mine = _domains(material, scored.blocks)
        return np.asarray((worth[_places(material, scored)] * mine).sum(axis=1) / mine.sum(axis=1))

    return scores


def _domains(material: Material, blocks: Mapping[str, Floats]) -> Floats:
    """1 for the general domain and for every problem named, shape (rows, 1 + problems)."""
    columns = material.features.columns_of("client")
    problem = [i for i, name in enumerate(columns) if name.startswith("problem.")]
    problem = problem or [i for i, name in enumerate(columns) if name.startswith("main_problem.")]
    named = np.nan_to_num(blocks["client"][:, problem])
    return np.column_stack([np.ones(len(named)), named])


def _places(material: Material, scored: Scored) -> Ints:
    """Position of each pair's therapist; -1 for those without any case."""
    return np.array([material.place.get(name, -1) for name in scored.therapist_id], dtype=np.int64)


def neighbours(material: Material, learned: Learned) -> Scores:
    """Mean risk-adjusted result of those of the therapist's clients who are most like this one, shrunken to 0.

    Likeness is the distance between standardised client columns; unknown values count as average.
    """
    residual, therapist = risk_adjusted(learned), material.therapist[learned.rows]
    known = material.design.client(material.blocks["client"])[learned.rows]

    def scores(scored: Scored) -> Floats:
        place, asked = _places(material, scored), material.design.client(scored.blocks["client"])
        found = np.zeros(len(place))
        for one in np.unique(place[place >= 0]) if known.shape[1] else ():
            cases, pairs = np.flatnonzero(therapist == one), np.flatnonzero(place == one)
            if len(cases):
                near = min(NEIGHBOURS, len(cases))
                index = NearestNeighbors(n_neighbors=near, algorithm="brute").fit(known[cases])
                at = index.kneighbors(asked[pairs], return_distance=False)
                found[pairs] = residual[cases][at].sum(axis=1) / (near + NOISE_TO_THERAPIST)
        return found

    return scores


def one_model(material: Material, learned: Learned, seed: int, with_id: bool = False) -> Scores:
    """One boosted model of everything known of client, therapist and match, its rounds cross-validated by client.

    `with_id` also gives it the therapist as a category.
    """

    def wide(blocks: Mapping[str, Floats], place: Ints) -> Floats:
        columns = [blocks[part] for part in ("client", "therapist", "pair")]
        return np.column_stack([*columns, place] if with_id else columns)

    x = wide(material.blocks, material.therapist)[learned.rows]
    fold = material.fold[learned.rows]
    settings = {
        "objective": "binary" if learned.head.info.kind == "binary" else "regression",
        "learning_rate": 0.05,
        "num_leaves": 15,
        "min_data_in_leaf": 40,
        "num_threads": 1,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    whole = lightgbm.Dataset(
        x,
        learned.target,
        weight=learned.weight,
        categorical_feature=[x.shape[1] - 1] if with_id else [],
        params={"verbose": -1},
        free_raw_data=False,
    )
    found = lightgbm.cv(
        settings,
        whole,
        num_boost_round=400,
        folds=[(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in np.unique(fold)],
        callbacks=[lightgbm.early_stopping(30, verbose=False)],
    )
    errors: Any = next(iter(found.values()))
    booster = lightgbm.train(settings, whole, num_boost_round=max(len(errors), 1))

    def scores(scored: Scored) -> Floats:
        return np.asarray(booster.predict(wide(scored.blocks, _places(material, scored)), num_threads=1))

    return scores
