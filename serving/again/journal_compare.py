"""Stored requests ranked by two bundles, offline: how much another model would change what clients are shown.

Clients who did not agree to learning (`care_only`) are left out. Nothing is kept, and no lot is drawn.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa
from scipy.stats import spearmanr

from data.consent import CARE_ONLY
from data.errors import RequestError, TherapistFitError
from features.columns import Floats
from features.eligibility import judge
from serving.again.past import Past
from serving.again.what_if import Standing
from serving.answering.matcher import Matcher, well_asked
from serving.schemas import RecommendationRequest

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
COMPARED = "compared"


class Reranked(NamedTuple):
    """One request, ranked by both."""

    eligible: int
    overlap: float
    """Share of the first k that both show."""
    correlation: float
    """Spearman's, of the utilities of all who are eligible; NaN for fewer than two, or where all are equal."""
    other_first: bool
    given_up: float
    """What the first bundle would expect to lose by the second's first therapist, in SD."""
    meaningful: tuple[bool, bool]


@dataclass(frozen=True)
class JournalComparison:
    """Many requests, ranked by both."""

    requests: Sequence[Reranked]
    outcomes: Counter[str]
    """How many were compared, and why others were not."""

    def as_json(self) -> dict[str, Any]:
        """Means and quantiles, in plain values; None where nothing was compared."""
        many = self.requests
        both = Counter(one.meaningful for one in many)
        return {
            "counts": dict(self.outcomes),
            "eligible": _spread([float(one.eligible) for one in many]),
            "top_k_overlap": _spread([one.overlap for one in many]),
            "rank_correlation": _spread([one.correlation for one in many if not np.isnan(one.correlation)]),
            "given_up": _spread([one.given_up for one in many]),
            "another_first": sum(one.other_first for one in many) / len(many) if many else None,
            "meaningful_difference": {
                "both": both[True, True],
                "first_only": both[True, False],
                "second_only": both[False, True],
                "neither": both[False, False],
            },
        }


def compare_on_journal(
    past: Past, tenant: str, rows: Iterable[sa.Row[Any]], bundles: tuple[str, str], k: int
) -> Iterator[tuple[str, Reranked | None]]:
    """For each row of the journal what came of it, and the comparison where there is one; `bundles` are their ids."""
    for row in rows:
        if row.request["client"].get("data_use") == CARE_ONLY:
            yield "care only", None
            continue
        try:
            both = [_standing(past.matcher(tenant, row, bundle_id), row) for bundle_id in bundles]
        except TherapistFitError:
            yield "directory, dataset or settings no longer here", None
            continue
        first, second = both
        if isinstance(first, str) or isinstance(second, str):
            yield next(one for one in both if isinstance(one, str)), None
        else:
            yield COMPARED, _reranked(first, second, k)


def gathered(found: Iterable[tuple[str, Reranked | None]]) -> JournalComparison:
    """All of them together."""
    everything = list(found)
    return JournalComparison([one for _, one in everything if one], Counter(outcome for outcome, _ in everything))


def _standing(matcher: Matcher, row: sa.Row[Any]) -> Standing | str:
    """Everybody in order, or why there is no order."""
    request = RecommendationRequest.model_validate(row.request)
    try:
        asked = well_asked(matcher, request, row.made_at)
    except RequestError:
        return "request not readable by both"
    judgement = judge(asked.practice, asked.ask)
    return Standing.of(matcher, asked, judgement) if judgement.eligible.any() else "nobody eligible"


def _reranked(first: Standing, second: Standing, k: int) -> Reranked:
    orders = [one.ranking.first.order for one in (first, second)]
    utilities = [one.ranking.first.utility for one in (first, second)]
    tops = [set(order[:k].tolist()) for order in orders]
    best, other = int(orders[0][0]), int(orders[1][0])
    return Reranked(
        eligible=len(orders[0]),
        overlap=len(tops[0] & tops[1]) / len(tops[0]),
        correlation=_correlation(*utilities),
        other_first=best != other,
        given_up=float(utilities[0][best] - utilities[0][other]),
        meaningful=(first.ranking.first.meaningful_difference, second.ranking.first.meaningful_difference),
    )


def _correlation(one: Floats, other: Floats) -> float:
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(spearmanr(one, other).statistic)


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    cuts = np.quantile(np.array(values), QUANTILES).tolist()
    return {
        "mean": float(np.mean(values)),
        **{f"q{share:.0%}".rstrip("%"): cut for share, cut in zip(QUANTILES, cuts, strict=True)},
    }
