"""What a bundle expects of therapists, whoever the client: shrunken effects and what is known of them.

The client is one of average severity, with the usual mix of main problems, for whom every match is as good as usual.
Everything is told as the difference from the average case: the mean of the therapists whom the bundle knows, each
counted as often as they were seen (in undated data, once). Light: workers import it.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from features.track import CASES_WITH
from training.bundle import Bundle
from training.fits import Prepared, chance_a_unit
from training.head import Head, HeadInfo, used_effects
from training.shares import Z95

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STRENGTH = "strength."
HALF = 0.8
"""Mean distance, in SD, of half of a normal distribution from its middle."""


@dataclass(frozen=True)
class Effect:
    """Expected differences of n therapists from the average, (n,), in the head's own unit; higher is better."""

    value: Floats
    sd: Floats

    @property
    def low(self) -> Floats:
        """Lower ends of the 95 % intervals."""
        return self.value - Z95 * self.sd

    @property
    def high(self) -> Floats:
        """Their upper ends."""
        return self.value + Z95 * self.sd

    def scaled(self, factor: float) -> Self:
        """The same in other units."""
        return type(self)(self.value * factor, self.sd * factor)


def ranking_heads(bundle: Bundle) -> list[str]:
    """Heads that make the utility."""
    return [name for name, head in bundle.heads.items() if head.info.weight > 0]


def unit(info: HeadInfo) -> str:
    """The unit in which a head's effects are told."""
    if info.kind == "binary":
        return "probability"
    return "intake_sd" if info.source == "outcome" else "points"


def usual_client(bundle: Bundle, severity: float = 0.0, problem: str | None = None) -> Floats:
    """(effects,): a client of that severity (in SD) with a main problem, or with the usual mix of them."""
    names = bundle.design.effects
    found = np.zeros(len(names))
    found[0] = 1.0
    for i, name in enumerate(names):
        word = name.removeprefix(STRENGTH)
        if name == "severity":
            found[i] = severity
        elif name != word:
            found[i] = _share_of(bundle, word) if problem is None else float(word == problem)
    return found


def _share_of(bundle: Bundle, problem: str) -> float:
    """Share of past cases with that main problem; of undated data, which have no past, as many of each."""
    cases = bundle.records.counts["cases"].sum()
    if not cases > 0:
        return 1 / len(bundle.design.problems)
    return float(bundle.records.counts.get(CASES_WITH + problem, np.zeros(1)).sum() / cases)


def effects(bundle: Bundle, name: str, prepared: Prepared, client: Floats, own: bool = True) -> Effect:
    """What head `name` expects of the prepared therapists with such a client.

    Without their `own` cases it is what their profile alone foretells, as sure as that can be; what is not on record
    of it might be anything that is usual, which makes it less sure.
    """
    head = bundle.heads[name]
    z = client[used_effects(bundle.design, head.info.parts)]
    width = _width(bundle) if head.info.parts.columns else 0
    ranking = np.zeros((len(prepared.position), width))
    ranking[:, : prepared.ranking.shape[1]] = prepared.ranking[:, :width]
    position = prepared.position if own else np.full(len(prepared.position), -1)
    found = head.posterior(ranking, np.tile(z, (len(position), 1)), position)
    average = _Average.of(bundle, head, z, width)
    weight = np.where(position >= 0, average.weight[np.maximum(position, 0)], 0.0) if len(average.weight) else 0.0
    gap = found.loading - average.loading
    variance = np.einsum("np,np->n", gap, gap) + (0.0 if own else _unknown(bundle, head, prepared))
    variance += (found.own - head.info.unseen) * (1 - 2 * weight) + average.own
    return Effect(found.mean - average.mean, np.sqrt(np.maximum(variance, 0.0))).scaled(per_link(head))


def _unknown(bundle: Bundle, head: Head, prepared: Prepared) -> Floats:
    """(n,): variance of what standardised profile columns would add that are not on record, each taken as usual."""
    columns = bundle.design.therapist.keep
    missing = np.isnan(bundle.features.build_rows("therapist", prepared.columns)[:, columns])
    if not head.info.parts.columns:
        return np.zeros(len(missing))
    at = np.arange(len(columns)) + len(head.solution.b) - _width(bundle)
    found: Floats = missing @ (head.solution.b[at] ** 2 + np.diag(head.solution.b_cov)[at])
    return found


def _width(bundle: Bundle) -> int:
    return len(bundle.design.names[bundle.design.ranking])


@dataclass(frozen=True)
class _Average:
    """The mean over past cases of what their therapists add."""

    mean: float
    loading: Floats
    own: float
    weight: Floats

    @classmethod
    def of(cls, bundle: Bundle, head: Head, z: Floats, width: int) -> Self:
        trees, nobody = float(head.remainder(np.zeros((1, width)))[0]), np.zeros(len(head.solution.b))
        s, cases = head.solution, bundle.records.counts["cases"]
        if not len(s.at_zero):
            return cls(trees, nobody, 0.0, np.zeros(len(cases)))
        if not cases.sum() > 0:  # undated data have no past: everybody counts as one
            cases = np.ones(len(cases))
        weight = cases / cases.sum()
        carried = z @ np.tensordot(weight, s.per_border, (0, 0))
        own = float(z @ np.tensordot(weight**2, s.within, (0, 0)) @ z)
        return cls(trees + float(weight @ s.effects() @ z), -carried @ head.b_factor, own, weight)


def per_link(head: Head) -> float:
    """What a unit of the link scale is in the head's own unit: 1, or the probability it adds at the usual chance."""
    return chance_a_unit(_usual_log_odds(head)) if head.info.kind == "binary" else 1.0


def _usual_log_odds(head: Head) -> float:
    return float(head.solution.b[0] + head.solution.b[1] * head.constant)


def prior_variance(bundle: Bundle, name: str, client: Floats) -> float:
    """Variance between therapists of one profile, on the link scale."""
    head = bundle.heads[name]
    z = client[used_effects(bundle.design, head.info.parts)]
    return float(z @ head.solution.prior @ z)


def reliability(bundle: Bundle, name: str, client: Floats) -> Floats:
    """How much own cases tell of each known therapist, (K,), 0 to 1: 1 less what they leave of the prior variance."""
    head, prior = bundle.heads[name], prior_variance(bundle, name, client)
    if prior <= 0:
        return np.zeros(len(bundle.records.ids))
    z = client[used_effects(bundle.design, head.info.parts)]
    left = np.einsum("q,nqr,r->n", z, head.solution.within, z) / prior
    told: Floats = np.clip(1 - left, 0.0, 1.0)
    return told


def reliability_in_theory(bundle: Bundle, name: str, client: Floats, cases: Floats) -> Floats:
    """n / (n + noise / variance between therapists): what n cases tell of the mean of one therapist."""
    head, prior = bundle.heads[name], prior_variance(bundle, name, client)
    noise = head.solution.noise / (per_link(head) if head.info.kind == "binary" else 1.0)
    return cases / (cases + noise / prior) if prior > 0 else np.zeros(len(cases))
