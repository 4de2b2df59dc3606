"""What drives the ranking, and what the prognosis: importance by feature and by group, apart from each other."""

from collections.abc import Sequence

from training.audit.document import Finding, Part, Section
from training.audit.examined import Examined
from training.audit.importance.matching import Contributions
from training.audit.importance.numbers import numbers
from training.audit.importance.pages import page
from training.audit.importance.tables import (
    by_first,
    by_share,
    clusters_table,
    groups_table,
    order_chart,
    order_table,
    plain,
    prognosis_chart,
    prognosis_table,
)
from training.audit.importance.variance import tables
from training.audit.importance.verdicts import MOVES
from training.audit.importances import UTILITY, FeatureImportance, Importance, Matching
from training.audit.words import capital, listed


def examine(looked_at: Examined) -> tuple[Section, Importance, dict[str, Section]]:
    """The section, the numbers for programs, and a page for each feature of the bundle."""
    found, contributed = numbers(looked_at)
    used = looked_at.bundle.features.words
    pages = {one.name: _page(looked_at, found, one) for one in found.features if one.name in used}
    section = Section(
        id="importance",
        title="What drives the ranking, and is that sensible?",
        says=_says(looked_at, found, contributed),
        findings=_findings(found, pages),
        parts=_parts(looked_at, found),
    )
    return section, found, pages


def _page(looked_at: Examined, found: Importance, one: FeatureImportance) -> Section:
    reason, words = looked_at.policy.rule(one.name).reason, looked_at.bundle.features.words[one.name] or ()
    with_it = [cluster.features for cluster in found.clusters if one.name in cluster.features]
    together = tuple(name for some in with_it for name in some if name != one.name)
    return page(one, reason, words, together, looked_at.stability)


def _parts(looked_at: Examined, found: Importance) -> tuple[Part, ...]:
    heads = [head.name for head in looked_at.head_configs]
    some: list[Part | None] = [order_chart(found.features), order_table(found.features), groups_table(found)]
    for head in heads:
        if by_share(found.features, head):
            chart = prognosis_chart(found.features, head) if head == heads[0] else None
            some += [chart, prognosis_table(found.features, head), clusters_table(found, head)]
    return (*(one for one in some if one is not None), *tables(found.variance))


def _findings(found: Importance, pages: dict[str, Section]) -> tuple[Finding, ...]:
    flagged = [one for name in pages for one in pages[name].findings]
    ranking = [one for one in found.features if one.part == "fit"]
    surprising = [one for one in ranking if one.expected == "0" and one.verdict in ("drives", "matters")]
    notes = [
        Finding(
            level="note",
            words=f"{capital(plain(one.name))}: the field expects no relation with results, and one was learned.",
            page=f"feature/{one.name}",
        )
        for one in surprising
    ]
    here = "section/importance"
    unasked = [Finding(level="note", words=words, page=here) for words in _unasked(found)]
    if flagged:
        return (*flagged, *notes, *unasked)
    return (Finding(level="fine", words=_nothing(found), page=here), *notes, *unasked)


def _asked(found: Importance, kind: str) -> bool:
    """Whether any feature of such people could be asked about a protected trait."""
    return any(one.proxies for one in found.features if one.kind == kind)


def _unasked(found: Importance) -> list[str]:
    return [
        f"No protected trait of {kind}s is on record for enough people, so it cannot be said whether a feature of "
        f"{kind}s stands in for one."
        for kind in ("therapist", "client")
        if any(one.kind == kind for one in found.features) and not _asked(found, kind)
    ]


def _nothing(found: Importance) -> str:
    traits = ", and none that could be asked stands in for a protected trait" if not _unasked(found) else ""
    return f"No feature was learned against what the field expects or is unsteady{traits}."


def _says(looked_at: Examined, found: Importance, contributed: Contributions | None) -> tuple[str, ...]:
    ranking = [one for one in found.features if one.part == "fit"]
    return (
        _order(ranking, contributed),
        *_groups(found),
        *_prognosis(looked_at, found),
        _idle(found.features),
        _look(found),
        _measured(looked_at, found),
    )


def _order(ranking: Sequence[FeatureImportance], contributed: Contributions | None) -> str:
    if contributed is None:
        return (
            "Which therapists a client could have seen is not on record, so what changes the order cannot be said; "
            "below is what was learned."
        )
    first = [one for one in by_first(ranking) if one.verdict == "drives"]
    if not first:
        return "Nothing clearly drives the order of therapists: no feature and no track record changes it for sure."
    told = [f"{plain(one.name)} {_changed(one.matching[UTILITY])}" for one in first[:4]]
    return (
        f"Of what clearly drives the order, most changes who comes first for a client: {listed(told)}. The numbers say "
        "for how many of 100 clients someone else would stand first without it; in brackets, here and below, are 95 % "
        "intervals."
    )


def _groups(found: Importance) -> list[str]:
    groups = {one.name: one.matching[UTILITY] for one in found.groups if UTILITY in one.matching}
    if not groups:
        return []
    words = {
        "results": "therapists' own earlier results",
        "match": "what client and therapist are to each other",
        "therapist": "the therapist's profile",
        "track": "counts of earlier cases",
    }
    moving = {name: one for name, one in groups.items() if one.spread.value >= MOVES}
    if not moving:
        return [
            "Nothing moves the therapists offered to a client apart by enough to mean anything: whoever stands first "
            "does so by a hair's breadth."
        ]
    told = [
        f"{words[name]} for {_changed(one)}"
        for name, one in sorted(moving.items(), key=lambda pair: -pair[1].first_changes.value)
    ]
    return [f"Taken as groups, they change the first therapist of 100 clients as follows: {listed(told)}."]


def _changed(one: Matching) -> str:
    changed = one.first_changes
    return f"{100 * changed.value:.0f} ({100 * changed.low:.0f} to {100 * changed.high:.0f})"


def _prognosis(looked_at: Examined, found: Importance) -> list[str]:
    heads = [head.name for head in looked_at.head_configs if head.weight > 0]
    if not heads:
        return []
    shown = [one for one in by_share(found.features, heads[0]) if one.verdict == "matters"]
    if not shown:
        return ["Of who does well whoever the therapist is, no feature of the client tells anything for sure."]
    told = listed([plain(one.name) for one in shown[:4]])
    return [
        f"Who does well whoever the therapist is ({plain(heads[0])}) is told most of all by {told}. That is prognosis: "
        "it is the same for all therapists of a client and never changes their order."
    ]


def _idle(features: Sequence[FeatureImportance]) -> str:
    idle = [one for one in features if one.verdict in ("noise", "unused") and one.kind != "results"]
    count = sum(one.kind != "results" for one in features)
    return f"Of {count} features, {len(idle)} show no sign that they matter, which does not show that they do not."


def _look(found: Importance) -> str:
    flagged = [one for one in found.features if one.flags]
    if not flagged:
        return _nothing(found)
    names = listed([plain(one.name) for one in flagged])
    return f"A person should look at {names} before signing: the findings say why."


def _measured(looked_at: Examined, found: Importance) -> str:
    who = (
        "whom the model had not learned from" if found.held_out else "whom it was also learned from, which flatters it"
    )
    how = f"Measured on {max(found.clients, found.prognosis_clients):,} clients {who}"
    if looked_at.tested is not None:
        how += ", with the model as it was before the test; coefficients are those of the model that is served"
    return (
        f"{how}. Intervals come from drawing the therapists of these clients again, and take the model as it is: how "
        "sure the model itself is of a feature its coefficients and refits say, on the feature's page. What the model "
        "goes by is not what causes results."
    )
