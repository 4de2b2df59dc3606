"""All numbers of importance, once: by feature, by group, and by cluster of features that go together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from training.audit.examined import Examined
from training.audit.importance.coefficients import coefficients
from training.audit.importance.matching import ROUNDING, Contributions, contributions
from training.audit.importance.prognosis import Said, said_of
from training.audit.importance.proxy import proxies
from training.audit.importance.sources import Source, Sources, clusters, membership, sources_of
from training.audit.importance.variance import variance
from training.audit.importance.verdicts import PARTS, Known, flags, learned_sign, sentence, verdict
from training.audit.importances import (
    Coefficient,
    FeatureImportance,
    GroupImportance,
    Importance,
    Matching,
    Prognostic,
)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """Sums of sources to look at: every source by itself, then groups, then clusters."""

    member: Floats
    """(sources, sums)"""
    groups: tuple[str, ...]
    clusters: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, sources: Sequence[Source], together: npt.NDArray[np.int64]) -> "Sums":
        """Of these sources, `together` (sources,) saying which go together."""
        kinds = tuple(dict.fromkeys(source.kind for source in sources))
        numbers, counts = np.unique(together, return_counts=True)
        several = numbers[counts > 1]
        by_kind = np.array([[s.kind == kind for kind in kinds] for s in sources]).reshape(len(sources), len(kinds))
        by_cluster = together[:, None] == several[None, :]
        names = tuple(tuple(s.name for s, mine in zip(sources, row, strict=True) if mine) for row in by_cluster.T)
        return cls(np.column_stack([np.eye(len(sources)), by_kind, by_cluster]).astype(np.float64), kinds, names)

    def beside(self, name: str) -> tuple[int | None, tuple[str, ...]]:
        """Where the cluster of a source stands among the sums, None if it is alone, and who else is in it."""
        for at, cluster in enumerate(self.clusters, len(self.member) + len(self.groups)):
            if name in cluster:
                return at, tuple(other for other in cluster if other != name)
        return None, ()


def numbers(looked_at: Examined) -> tuple[Importance, Contributions | None]:
    """Everything that programs may ask of importance, and the contributions it rests on where there was a choice."""
    sources = sources_of([looked_at.bundle, looked_at.asked], looked_at.policy)
    found = contributions(looked_at, sources.ranking)
    ranking, client = _sums(looked_at, sources)
    matching = _matching(found, ranking)
    said = said_of(looked_at, sources.client, client.member)
    prognostic = {name: one.prognostic() for name, one in said.items()}
    known = list(_known(looked_at, sources, matching, said, prognostic, (ranking, client)))
    variance_of, shares = variance(looked_at, found)
    everything = Importance(
        held_out=looked_at.tested is not None,
        clients=0 if found is None else len(found.offered.rows),
        prognosis_clients=min((len(one.value) for one in said.values()), default=0),
        features=tuple(_feature(one, every) for one, every in known),
        groups=(
            *_several(ranking.groups, ranking, sources.ranking, len(sources.ranking), matching, {}),
            *_several(client.groups, client, sources.client, len(sources.client), {}, prognostic),
        ),
        clusters=(
            *_several(ranking.clusters, ranking, sources.ranking, _before_clusters(ranking), matching, {}),
            *_several(client.clusters, client, sources.client, _before_clusters(client), {}, prognostic),
        ),
        variance=shares,
        variance_of=variance_of,
    )
    return everything, found


def _sums(looked_at: Examined, sources: Sources) -> tuple[Sums, Sums]:
    """Sums of what ranks, correlated over the pairs offered, and of the client's, over clients."""
    features, seed = looked_at.asked.features, looked_at.config.seed
    blocks = looked_at.pairs.blocks
    pairs = np.column_stack([blocks["therapist"], blocks["pair"]])
    names = (*features.columns_of("therapist"), *features.columns_of("pair"))
    ranking = clusters(_filled(pairs), membership(names, sources.ranking), seed)
    columns = membership(features.columns_of("client"), sources.client)
    client = clusters(_filled(looked_at.seen.blocks["client"]), columns, seed)
    return Sums.of(sources.ranking, ranking), Sums.of(sources.client, client)


def _filled(columns: Floats) -> Floats:
    """Unknown values in the middle: they say nothing of what goes together."""
    known = ~np.isnan(columns)
    mean = np.nansum(columns, axis=0) / np.maximum(known.sum(axis=0), 1)
    found: Floats = np.where(known, columns, mean)
    return found


def _matching(found: Contributions | None, sums: Sums) -> dict[str, list[Matching]]:
    if found is None:
        return {}
    moved = {name: found.moved(name, sums.member) for name in found.ordered}
    return {name: [one.matching(i) for i in range(sums.member.shape[1])] for name, one in moved.items()}


def _known(
    looked_at: Examined,
    sources: Sources,
    matching: Mapping[str, Sequence[Matching]],
    said: Mapping[str, Said],
    prognostic: Mapping[str, Sequence[Prognostic]],
    sums: tuple[Sums, Sums],
) -> Iterator[tuple[Known, tuple[Coefficient, ...]]]:
    """All that is known of each source, and its coefficients in every head."""
    heads = tuple(head.name for head in looked_at.head_configs if head.weight > 0)
    own, stands_for = coefficients(looked_at), proxies(looked_at, sources.every)
    far = {n: rise.value / np.maximum(rise.error, ROUNDING) for n, o in said.items() if (rise := o.rise) is not None}
    goes = {name: _direction(looked_at, one, sources.client) for name, one in said.items() if name in heads}
    stability = looked_at.stability.get("heads", {})
    asked = len(sources.client) * len(heads)
    signed = len(heads) * sum(s.rule is not None and s.rule.expected in ("+", "-") for s in sources.ranking)
    for i, source in enumerate(sources.every):
        at = i - len(sources.ranking)
        gain = PARTS.get(source.name, "")
        every = own.get(source.name, ())
        place, together = sums[0 if source.ranks else 1].beside(source.name)
        yield (
            Known(
                source=source,
                heads=heads,
                matching={name: some[i] for name, some in matching.items()} if source.ranks else {},
                prognostic={} if source.ranks else {name: some[at] for name, some in prognostic.items()},
                coefficients=tuple(one for one in every if one.head in heads),
                proxies=stands_for.get(source.name, ()),
                gains={n: h.info.gains[gain] for n, h in looked_at.bundle.heads.items() if gain in h.info.gains}
                if gain
                else {},
                trees={n: t for n in heads if (t := stability.get(n, {}).get("trees", {}).get(source.name))},
                lost={} if source.ranks else {name: float(some[at]) for name, some in far.items()},
                lost_together={} if source.ranks or place is None else {n: float(z[place]) for n, z in far.items()},
                asked=asked,
                expected=signed,
                together=together,
                direction={} if source.ranks else {name: float(rho[at]) for name, rho in goes.items()},
            ),
            every,
        )


def _direction(looked_at: Examined, said: Said, sources: Sequence[Source]) -> Floats:
    """(sources,): rank correlation of a client's value with what it adds; 0 for sources of several columns."""
    names = looked_at.asked.features.columns_of("client")
    found = np.zeros(len(sources))
    rows = said.rows
    for i, source in enumerate(sources):
        if len(source.columns) == 1 and source.columns[0] in names:
            value = looked_at.seen.blocks["client"][rows, names.index(source.columns[0])]
            kept = ~np.isnan(value)
            if kept.sum() > 2 and np.ptp(value[kept]) > 0 and np.ptp(said.value[kept, i]) > 0:
                found[i] = np.corrcoef(rankdata(value[kept]), rankdata(said.value[kept, i]))[0, 1]
    return found


def _feature(known: Known, every: tuple[Coefficient, ...]) -> FeatureImportance:
    found = verdict(known)
    sign = learned_sign(known, found)
    rule = known.source.rule
    return FeatureImportance(
        name=known.source.name,
        meaning=known.source.meaning,
        kind=known.source.kind,
        part="fit" if known.source.ranks else "prognosis",
        status="learned" if rule is None else rule.status,
        expected="?" if rule is None else rule.expected,
        learned=sign,
        verdict=found,
        says=sentence(known, found),
        flags=flags(known, found, sign),
        matching=known.matching,
        prognostic=known.prognostic,
        coefficients=every,
        proxies=known.proxies,
    )


def _before_clusters(sums: Sums) -> int:
    return len(sums.member) + len(sums.groups)


def _several(
    names: Sequence[str | tuple[str, ...]],
    sums: Sums,
    sources: Sequence[Source],
    start: int,
    matching: Mapping[str, Sequence[Matching]],
    prognostic: Mapping[str, Sequence[Prognostic]],
) -> Iterator[GroupImportance]:
    """Importance of sums of sources, which stand from `start` on among all sums."""
    for at, name in enumerate(names, start):
        features = tuple(source.name for source, mine in zip(sources, sums.member[:, at], strict=True) if mine)
        yield GroupImportance(
            name=name if isinstance(name, str) else " + ".join(name),
            features=features,
            matching={head: some[at] for head, some in matching.items()},
            prognostic={head: some[at] for head, some in prognostic.items()},
        )
