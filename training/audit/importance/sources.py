"""What a model has to go by: its features, the therapists' own earlier results, and which of them go together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from features.catalog import CATALOG
from features.policy import Policy, Rule
from training.audit.importances import Kind
from training.bundle import Bundle

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RESULTS = {
    "results.therapist": "the therapist's own earlier results, the same for every client",
    "results.severity": "the therapist's own earlier results with more and less severe clients",
    "results.strengths": "the therapist's own earlier results with this main problem",
}
"""Beside columns: what was learned of each therapist from their own earlier clients, drawn towards the average."""
GROUPS: Mapping[Kind, str] = {
    "client": "the client",
    "therapist": "the therapist's profile",
    "match": "what client and therapist are to each other",
    "track": "counts of the therapist's earlier cases",
    "results": "the therapist's own earlier results",
}
TOGETHER = 0.5
"""Features whose mean rank correlation is higher than this, either way, are looked at as one as well."""
MOST_ROWS = 5000
"""Rows whose ranks are compared: more would not change a correlation by more than .03."""


@dataclass(frozen=True)
class Source:
    """Something that a model goes by."""

    name: str
    meaning: str
    kind: Kind
    rule: Rule | None
    """What the policy says; None for the therapists' own earlier results, which no policy can take out of a track."""
    columns: tuple[str, ...] = ()
    declared: bool = False

    @property
    def ranks(self) -> bool:
        """Whether it may change the order of therapists."""
        return self.kind != "client"


@dataclass(frozen=True)
class Sources:
    """All of them: those that rank first, then those of the client."""

    ranking: tuple[Source, ...]
    client: tuple[Source, ...]

    @cached_property
    def every(self) -> tuple[Source, ...]:
        """Both."""
        return (*self.ranking, *self.client)

    def kinds(self) -> list[Kind]:
        """Kinds of those that rank, each once."""
        return list(dict.fromkeys(source.kind for source in self.ranking))


def sources_of(bundles: Sequence[Bundle], policy: Policy) -> Sources:
    """What these bundles of one configuration go by, features as the first has them; results as far as any head has."""
    columns: dict[str, dict[str, None]] = {}
    for bundle in bundles:
        for column, feature in bundle.features.feature_of.items():
            columns.setdefault(feature, {})[column] = None
    declared = {name: words for bundle in reversed(bundles) for name, words in bundle.features.declared.items()}
    found = [_feature(name, tuple(mine), declared.get(name), policy) for name, mine in columns.items()]
    learned = [name for name in RESULTS if any(_learned(bundle, name) for bundle in bundles)]
    results = [Source(name, RESULTS[name], "results", None) for name in learned]
    return Sources((*(one for one in found if one.ranks), *results), tuple(one for one in found if not one.ranks))


def _feature(name: str, columns: tuple[str, ...], declared: str | None, policy: Policy) -> Source:
    if name in CATALOG:
        return Source(name, CATALOG[name].meaning, CATALOG[name].group, policy.rule(name), columns)
    kind: Kind = "client" if name.startswith("client.") else "therapist"
    return Source(name, declared or name, kind, policy.rule(name), columns, declared=True)


def _learned(bundle: Bundle, name: str) -> bool:
    parts = [head.info.parts for head in bundle.heads.values()]
    if name == "results.severity":
        return bundle.design.slope and any(part.therapist and part.slope for part in parts)
    if name == "results.strengths":
        return bool(bundle.design.problems) and any(part.therapist and part.strengths for part in parts)
    return any(part.therapist for part in parts)


def membership(columns: Sequence[str], sources: Sequence[Source]) -> Floats:
    """(columns, sources): 1 where a column is one of a source's."""
    place = {column: i for i, source in enumerate(sources) for column in source.columns}
    found = np.zeros((len(columns), len(sources)))
    for row, column in enumerate(columns):
        if column in place:
            found[row, place[column]] = 1.0
    return found


def clusters(columns: Floats, member: Floats, seed: int) -> Ints:
    """Which sources go together, (sources,): average linkage over 1 less the Spearman correlation, cut at `TOGETHER`.

    `columns` (rows, c) belong to sources as `member` (c, sources) says; between two sources counts the greatest
    absolute correlation of any of their columns. Sources without columns stand alone.
    """
    size = member.shape[1]
    if size < 2 or not len(columns):
        return np.arange(size)
    some = np.random.default_rng(seed).permutation(len(columns))[:MOST_ROWS]
    ranks = rankdata(columns[some], axis=0)
    spread = ranks.std(axis=0)
    standard = np.where(spread > 0, (ranks - ranks.mean(axis=0)) / np.where(spread > 0, spread, 1.0), 0.0)
    related = np.abs(standard.T @ standard) / len(some)
    near = np.zeros((size, size))
    of = np.where(member.any(axis=1), member.argmax(axis=1), -1)
    row, column = np.nonzero((of[:, None] >= 0) & (of[None, :] >= 0))
    np.maximum.at(near, (of[row], of[column]), related[row, column])
    np.fill_diagonal(near, 1.0)
    tree = linkage(squareform(np.clip(1 - near, 0.0, 1.0), checks=False), "average")
    found: Ints = fcluster(tree, 1 - TOGETHER, "distance").astype(np.int64)
    return found
