"""What is true in a synthetic clinic: for any episode with any therapist, and beside the dataset, never in it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import expit

from data.errors import NotFoundError
from data.synthetic import people, staff, words
from data.synthetic.drawing import BoundedScores
from data.synthetic.effects import (
    ALLIANCE_SHARE,
    DROPOUT_VARIANCE,
    HARM,
    HARM_BY_SOME,
    HARM_TO_DROPOUT,
    INTERCEPT_SLOPE,
    POST_SD,
    PROFILE_SHARE,
    RESIDUAL_SD,
    Effects,
    Needs,
    match_effect,
)
from data.synthetic.people import Clients
from data.synthetic.plan import ARMS, Plan
from data.synthetic.staff import Staff
from data.synthetic.terms import MATCH_TERMS, preferences_met

LEAST_POST = 0.35
"""Below this expected post score (intake SDs) effects shrink smoothly: nobody is expected under zero."""
ALLIANCE_MEAN, ALLIANCE_PRECISION = 0.712, 3.1
"""Mean share of the WAI-SR's range 1-5, and precision of its beta distribution: left-skewed with a ceiling."""
DYAD_SD = 0.60
"""SD of what client and therapist make of their alliance beyond what was known, on its normal scale."""
ALLIANCE_REST_SD = 0.905
"""SD of everything in one rating that is not known beforehand, dyad, session and subscale, on its normal scale."""
ALLIANCE_TO_DROPOUT = 0.80
"""Log odds of dropout per SD of the dyad's alliance (d = .55 between those who stay and leave, Sharf 2010)."""
PREFERENCE_TO_DROPOUT = float(np.log(1.79))
PREFERENCE_TO_ALLIANCE = 0.20


@dataclass(frozen=True)
class Truth:
    """Everything planted. Rows of episodes and therapists are those of `episode_ids` and `therapist_ids`.

    The functions take integer arrays of rows that broadcast against each other, such as `rows[:, None]` and
    `arange(T)[None, :]`. Outcome is on the scale of training's head: mean over PHQ-9 and GAD-7 of
    (intake - last)/intake SD, where the last score is taken at the end or when the client leaves; under
    `informative-dropout` it is the score at week 16, whether the client was still there or not.
    """

    plan: Plan
    episode_ids: np.ndarray
    therapist_ids: np.ndarray
    clients: Clients
    client_of: np.ndarray
    staff: Staff
    severity: np.ndarray
    composite: np.ndarray
    """Intake composite, (PHQ-9/6 + GAD-7/5)/2."""
    era: np.ndarray
    needs: Needs
    effects: Effects
    therapist: np.ndarray
    """(episodes): the assigned therapist's row; -1 = waiting."""
    offers: np.ndarray
    """(offers, 2): rows of episode and therapist, as in the table `offers`."""
    propensity: np.ndarray
    """(offers): probability with which this therapist was assigned, among the client's offers."""

    def parts(self, episodes: np.ndarray, therapists: np.ndarray) -> dict[str, np.ndarray]:
        """What a pair's expected outcome is the sum of (before the floor): prognosis, main, slope, problem,
        match:NAME for every match term, harm."""
        era, s = self.era[episodes], self.severity[episodes]
        rows = self.client_of[episodes]
        problem = self.clients.problem[rows]
        terms = match_effect(self.clients, rows, self.staff, therapists, s)
        harm = self.needs.harmed[episodes] * (HARM + HARM_BY_SOME * self.effects.harmful[therapists])
        return {
            "prognosis": self.needs.prognosis[episodes],
            "main": self.effects.main[era, therapists],
            "slope": self.effects.slope[era, therapists] * s,
            "problem": self.effects.problem[era, therapists, problem],
            **{f"match:{name}": self.effects.match_scale * value for name, value in terms.items()},
            "harm": harm,
        }

    def fit(self, episodes: np.ndarray, therapists: np.ndarray) -> np.ndarray:
        """The part of the expected outcome that depends on the therapist."""
        parts = self.parts(episodes, therapists)
        return np.asarray(sum(value for name, value in parts.items() if name != "prognosis"))

    def known_fit(self, episodes: np.ndarray, therapists: np.ndarray) -> np.ndarray:
        """The fit as far as a perfect model knows it before any case: match effects and what the profile predicts.

        The *ceiling* starts from this and learns only each therapist's own deviations from data: those of
        (main, slope), with `deviation_covariance`, and one per problem, with SD `effects.problem_sd`. Noise given
        the pair grows with the expected post score, as scores are bounded.
        """
        parts, s = self.parts(episodes, therapists), self.severity[episodes]
        shared = sum(value for name, value in parts.items() if name.startswith("match:") or name == "harm")
        return np.asarray(shared + self.effects.prior_main[therapists] + self.effects.prior_slope[therapists] * s)

    def deviation_covariance(self) -> np.ndarray:
        """(therapists, 2, 2): covariance of a therapist's (main, slope) around what the profile predicts."""
        e = self.effects
        explained = PROFILE_SHARE * self.staff.skill_known[:, None, None]
        correlation = np.array([[1.0, INTERCEPT_SLOPE], [INTERCEPT_SLOPE, 1.0]])
        scale = np.array([e.main_sd, e.slope_sd])
        return np.asarray((correlation - explained) * np.outer(scale, scale))

    def outcome(self, episodes: np.ndarray, therapists: np.ndarray) -> np.ndarray:
        """Expected outcome of each pair, exact up to the rounding of totals."""
        composite = self.composite[episodes]
        post = composite - self.needs.prognosis[episodes] - self.fit(episodes, therapists)
        return np.asarray(composite - floored(post))

    def alliance_score(self, episodes: np.ndarray, therapists: np.ndarray) -> np.ndarray:
        """Expected alliance of each pair on its normal scale (one rating has variance about 1)."""
        rows, era = self.client_of[episodes], self.era[episodes]
        own = self.needs.alliance[episodes] + self.effects.alliance[era, therapists]
        return np.asarray(own + PREFERENCE_TO_ALLIANCE * self._wishes(rows, therapists))

    def alliance(self, episodes: np.ndarray, therapists: np.ndarray) -> np.ndarray:
        """Expected client-rated WAI-SR item mean (1-5) of each pair, had everyone stayed and answered."""
        return _expected_rating(self.alliance_score(episodes, therapists))

    def dropout_logit(self, episodes: np.ndarray, therapists: np.ndarray) -> np.ndarray:
        """Log odds of dropout for a dyad of average alliance."""
        rows, era = self.client_of[episodes], self.era[episodes]
        own = self.needs.dropout[episodes] + self.effects.dropout[era, therapists]
        return np.asarray(
            own - PREFERENCE_TO_DROPOUT * self._wishes(rows, therapists) + HARM_TO_DROPOUT * self.needs.harmed[episodes]
        )

    def retention(self, episodes: np.ndarray, therapists: np.ndarray) -> np.ndarray:
        """Probability that the client does not drop out, over all alliances the dyad may come to have.

        Not for `informative-dropout`, where leaving also depends on the scores on the way.
        """
        logit = self.dropout_logit(episodes, therapists)
        nodes, weights = hermegauss(15)
        total = np.zeros(np.shape(logit))
        for node, weight in zip(nodes, weights / weights.sum(), strict=True):
            total += weight * expit(-logit + ALLIANCE_TO_DROPOUT * node)
        return total

    def _wishes(self, rows: np.ndarray, therapists: np.ndarray) -> np.ndarray:
        met = preferences_met(self.clients, rows, self.staff, therapists, np.zeros(1))
        return met * ARMS[self.plan.arm].pair_effects

    def describe(self) -> dict[str, Any]:
        """The planted effects in names and numbers: what the file `truth.json` says."""
        arm, scale = ARMS[self.plan.arm], self.effects.match_scale
        return {
            "plan": self.plan.model_dump(mode="json"),
            "outcome": "mean over phq9 and gad7 of (intake - last) / intake SD, with SDs 6.0 and 5.0",
            "post_sd": POST_SD,
            "residual_sd": RESIDUAL_SD,
            "therapist_share": {"-2": arm.low_share, "0": arm.therapist_share, "+2": arm.high_share},
            "interaction_share": arm.interaction,
            "main_sd_beside_match": self.effects.main_sd,
            "slope_sd": self.effects.slope_sd,
            "intercept_slope_correlation": INTERCEPT_SLOPE,
            "problem_sd": self.effects.problem_sd,
            "share_of_therapist_variance_by_profile": PROFILE_SHARE,
            "profile": {"therapists.interpersonal_skill": float(np.sqrt(PROFILE_SHARE)) * self.effects.main_sd},
            "alliance_share": ALLIANCE_SHARE * arm.other_heads,
            "dropout_variance_on_the_logit_scale": DROPOUT_VARIANCE * arm.other_heads,
            "preference": {
                "dropout_odds_ratio": float(np.exp(PREFERENCE_TO_DROPOUT)) if arm.pair_effects else 1.0,
                "alliance": PREFERENCE_TO_ALLIANCE * arm.pair_effects,
            },
            "match_terms": {
                term.name: {"coefficient": term.coefficient * POST_SD * scale, "shape": term.shape, "is": term.meaning}
                for term in MATCH_TERMS
            },
            "noise": [f"therapists.{n}" for n in staff.NOISE] + [f"clients.{n}" for n in people.NOISE],
            "without_effect_beside_wishes": [
                "therapists.gender", "therapists.birth_year", "therapists.ethnicity", "therapists.faith",
                "therapists.practising_since", "therapists.qualifications", "therapists.specialties",
                "clients.gender", "clients.languages", "clients.payer", "clients.disability",
            ],
            "correlated": {"therapists.empathy_rating": "therapists.interpersonal_skill"},
            "proxies": {"therapists.practice_area": "therapists.ethnicity", "clients.home_area": "clients.ethnicity"},
            "harm": {
                "group": self.plan.harm,
                "with_anyone": HARM,
                "further_with_a_third": HARM_BY_SOME,
                "dropout_log_odds": HARM_TO_DROPOUT,
            },
            "harmful_therapists": self.therapist_ids[self.effects.harmful].tolist() if self.plan.harm else [],
            "problems": list(words.PROBLEMS),
        }  # fmt: skip

    def write(self, folder: Path | str) -> Path:
        """Writes `truth.json` and `truth.npz` into a folder of its own, which training never reads."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "truth.json").write_text(json.dumps(self.describe(), indent=1) + "\n")
        np.savez_compressed(folder / "truth.npz", **_flat(self))
        return folder


def read_truth(folder: Path | str) -> Truth:
    """The truth that `Truth.write` left in `folder`. Raises NotFoundError if there is none."""
    folder = Path(folder)
    if not (folder / "truth.npz").is_file():
        raise NotFoundError(f"{folder}: no truth.npz there -> name the folder that `data simulate` wrote the truth to")
    plan = Plan.model_validate(json.loads((folder / "truth.json").read_text())["plan"])
    with np.load(folder / "truth.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    whole = {name: _whole(kind, name, arrays) for name, kind in _PARTS.items()}
    plain = {f.name: arrays[f.name] for f in fields(Truth) if f.name not in {"plan", *_PARTS}}
    return Truth(plan=plan, **whole, **plain)


def floored(post: np.ndarray) -> np.ndarray:
    """The expected post score: as it is above `LEAST_POST`, below it ever closer to zero."""
    return np.where(post > LEAST_POST, post, LEAST_POST * np.exp(np.minimum(post / LEAST_POST - 1, 0)))


def rating_scores() -> BoundedScores:
    """The bounded, left-skewed scale on which alliance ratings are drawn."""
    return BoundedScores(ALLIANCE_PRECISION)


def _expected_rating(score: np.ndarray) -> np.ndarray:
    """E[1 + 4 B(score + e)], by a fine table over the normal scale."""
    grid, nodes = np.linspace(-3, 3, 121), np.linspace(-4, 4, 161)
    weights = np.exp(-(nodes**2) / 2)
    scores = rating_scores()
    z = grid[:, None] + ALLIANCE_REST_SD * nodes[None, :]
    share = scores.share(np.full(z.shape, ALLIANCE_MEAN), z)
    return np.asarray(np.interp(score, grid, 1 + 4 * share @ (weights / weights.sum())))


_PARTS: Mapping[str, type] = {"clients": Clients, "staff": Staff, "needs": Needs, "effects": Effects}


def _flat(truth: Truth) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for f in fields(truth):
        value = getattr(truth, f.name)
        if f.name in _PARTS:
            flat |= {f"{f.name}.{inner.name}": np.asarray(getattr(value, inner.name)) for inner in fields(value)}
        elif f.name != "plan":
            flat[f.name] = value
    return flat


def _whole(kind: type, name: str, arrays: Mapping[str, np.ndarray]) -> Any:
    values = {f.name: arrays[f"{name}.{f.name}"] for f in fields(kind)}
    return kind(**{k: v.item() if v.ndim == 0 else v.tolist() if k == "ids" else v for k, v in values.items()})
