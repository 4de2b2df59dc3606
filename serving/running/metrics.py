"""What a service counts and times, for Prometheus: per worker here, added up by the parent; no attribute, no id."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from features.columns import Bools, Ints
from serving.answering.matcher import Matcher
from serving.schemas import RecommendationAnswer

STAGES = ("validate", "rules", "rank", "reasons", "journal", "total")
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_COUNTS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000)
_QUARTERS = ("lowest", "lower", "higher", "highest", "unknown")
GROUPS = tuple((cases, quarter) for cases in ("new", "established") for quarter in _QUARTERS)
"""Of therapists: by how many cases the model knows of each, and by the quarter of the directory their caseload is in.

Coarse on purpose: a group says nothing about one person.
"""

Lap = Callable[[str], None]
"""Called at the end of a stage, with its name."""


def no_lap(_stage: str) -> None:
    """Times nothing."""


@dataclass(frozen=True)
class _Groups:
    """The group of each row of a directory."""

    matcher: Matcher
    established: Bools
    of_row: Ints
    size: Ints


class Metrics:
    """One worker's counts. In a worker of several they live in files that the parent adds up."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self._requests = Counter(
            "therapist_fit_requests", "Answers by route and status.", ["method", "route", "status"], registry=own
        )
        self._request_seconds = Histogram(
            "therapist_fit_request_seconds",
            "From the first byte to the last.",
            ["route"],
            buckets=_SECONDS,
            registry=own,
        )
        self.in_hand = Gauge(
            "therapist_fit_requests_in_hand", "Being answered now.", multiprocess_mode="livesum", registry=own
        )
        stages = Histogram(
            "therapist_fit_stage_seconds", "Of a recommendation.", ["stage"], buckets=_SECONDS, registry=own
        )
        self._stages = {name: stages.labels(name) for name in STAGES}
        self._eligible = Histogram(
            "therapist_fit_eligible", "Therapists whom a client could see.", buckets=_COUNTS, registry=own
        )
        self._tied = Histogram(
            "therapist_fit_tied_first", "Shown who cannot be told apart from the first.", buckets=_COUNTS, registry=own
        )
        self._outcomes = Counter(
            "therapist_fit_recommendations", "Answers: ranked, no_difference, empty or held.", ["outcome"], registry=own
        )
        self._excluded = Counter(
            "therapist_fit_excluded", "Therapists by the first rule that excludes them.", ["rule"], registry=own
        )
        self._shown = Counter(
            "therapist_fit_shown",
            "Places in ranked lists, by group of therapists.",
            ["cases", "caseload"],
            registry=own,
        )
        self._listed = Counter(
            "therapist_fit_listed", "Therapists in the directory at each of them.", ["cases", "caseload"], registry=own
        )
        self._groups: dict[str, _Groups] = {}

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request that was answered."""
        self._requests.labels(method, route, status).inc()
        self._request_seconds.labels(route).observe(seconds)

    def laps(self) -> Lap:
        """Times the stages of one recommendation, each from the end of the one before; `total` from now."""
        start = last = time.perf_counter()

        def lap(stage: str) -> None:
            nonlocal last
            now = time.perf_counter()
            self._stages[stage].observe(now - (start if stage == "total" else last))
            last = now

        return lap

    def answered(self, tenant: str, matcher: Matcher, answer: RecommendationAnswer) -> None:
        """One recommendation that was given."""
        self._eligible.observe(answer.counts.eligible)
        self._outcomes.labels(_outcome(answer)).inc()
        for rule, count in answer.excluded.items():
            if count:
                self._excluded.labels(rule).inc(count)
        if answer.recommendations:
            self._tied.observe(sum(one.tie_group == 1 for one in answer.recommendations))
            self._expose(self._groups_of(tenant, matcher), [one.therapist_id for one in answer.recommendations])

    def _expose(self, groups: _Groups, shown: list[str]) -> None:
        rows = groups.matcher.directory.rows_of(shown)
        counts = np.bincount(groups.of_row[rows], minlength=len(GROUPS))
        for i, labels in enumerate(GROUPS):
            if groups.size[i]:
                self._listed.labels(*labels).inc(int(groups.size[i]))
            if counts[i]:
                self._shown.labels(*labels).inc(int(counts[i]))

    def _groups_of(self, tenant: str, matcher: Matcher) -> _Groups:
        known = self._groups.get(tenant)
        if known is None or known.matcher is not matcher:
            self._groups[tenant] = known = _groups_of(matcher, known)
        return known


def _groups_of(matcher: Matcher, before: _Groups | None) -> _Groups:
    """The place of each therapist's group in GROUPS, and how many are in each."""
    caseload = matcher.directory.practice.therapists.number("open_cases")
    counted = caseload[~np.isnan(caseload)]
    edges = np.quantile(counted, [0.25, 0.5, 0.75]) if len(counted) else np.zeros(3)
    quarter = np.where(np.isnan(caseload), len(_QUARTERS) - 1, np.searchsorted(edges, caseload))
    same = before is not None and before.matcher.bundle is matcher.bundle
    listed_alike = before is not None and before.matcher.directory.ids is matcher.directory.ids
    established = before.established if before and same and listed_alike else _established(matcher)
    of_row = established * len(_QUARTERS) + quarter.astype(np.int64)
    return _Groups(matcher, established, of_row, np.bincount(of_row, minlength=len(GROUPS)))


def _established(matcher: Matcher) -> Bools:
    """Of whom the model knows enough cases; who was never counted is as little known as who is new."""
    records, enough = matcher.bundle.records, matcher.settings.little_known_cases
    cases = records.counts["cases"].tolist() if "cases" in records.counts else []
    known = {name for name, count in zip(records.ids, cases, strict=False) if count >= enough}
    return np.array([name in known for name in matcher.directory.ids], dtype=bool)


def _outcome(answer: RecommendationAnswer) -> str:
    if answer.safety.status == "held":
        return "held"
    if not answer.recommendations:
        return "empty"
    return "ranked" if answer.meaningful_difference else "no_difference"
