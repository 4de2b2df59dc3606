"""Tables about harm: shares of those of whom it is known, and what they can be at least and at most of all referred."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from training.audit.document import Cell, Column, Finding, Table
from training.audit.harm.compare import ARM, Contrast
from training.audit.harm.counts import Counts, counts, crossed
from training.audit.harm.courses import OUTCOMES, Referrals
from training.audit.harm.hiding import OTHERS, pooled
from training.audit.harm.rates import quantile
from training.bands import FEWEST_IN_CELL

Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.object_]

HIDDEN = (
    f"Empty: nobody, not known of anybody, or not shown because fewer than {FEWEST_IN_CELL} people are behind it or "
    "behind a cell that could be worked out from it."
)
SHARES = (
    "Shares are of those of whom it is known, with the interval in which 95 of 100 such shares would lie. At least: "
    "what is known to have happened, of all referred. At most: had it also happened to everyone of whom it is not "
    "known, those who never started included."
)
NOT_BY_LOT = (
    "Clients were not drawn by lot for these groups: they differ in more than this, so a difference says where to "
    "look, and not what brought it about."
)
_BOUNDS = (Column(name="least", label="At least", unit="% of all referred", digits=1),
           Column(name="most", label="At most", unit="% of all referred", digits=1))  # fmt: skip
_WAITS = (
    Column(name="started", label="Started", unit="clients", digits=0),
    Column(name="median_wait", label="Half waited no longer than", unit="days", digits=0),
    Column(name="p90_wait", label="Nine in ten waited no longer than", unit="days", digits=0),
    Column(name="waiting", label="Still waiting", unit="clients", digits=0),
    Column(name="longest", label="Longest of these", unit="days", digits=0),
)
LABELS: Mapping[str, str] = {
    "followed": "Followed",
    "next_available": "Next available",
    "overridden": "Overridden",
    "not_ranked": "Not ranked",
    "nobody_yet": "With nobody yet",
    "severity_band": "severity at intake",
    "problem": "main problem",
    "age_band": "age",
    "deprivation": "deprivation",
    "arm": "how they came to a therapist",
    "half": "where in the ranking",
    OTHERS: "Others, too few to show one by one",
    "all": "Everybody",
    "unknown": "unknown",
}


def label(name: str) -> str:
    """A group's or attribute's name as people read it."""
    return LABELS.get(name, name.replace("_", " "))


def long_table(name: str, title: str, what: str, of: Sequence[Counts], note: str = "") -> Table:
    """A row for each group and outcome."""
    columns = (
        Column(name="group", label=what),
        Column(name="outcome", label="What happened"),
        Column(name="referred", label="Referred", unit="clients", digits=0),
        Column(name="known", label="Known of", unit="clients", digits=0),
        Column(name="share", label="Share", unit="%", digits=1),
        *_BOUNDS,
    )
    rows: list[tuple[Cell, ...]] = []
    for one in of:
        for at, group in enumerate(one.names):
            for outcome in one.known:
                known = None if one.hidden[outcome][at] else int(one.known[outcome][at])
                if known == 0 and group != "all":
                    continue  # of those who are with nobody yet hardly anything can be known
                happened = OUTCOMES[outcome].label
                least, most = one.bounds(outcome, at)
                share = one.share(outcome, at)
                rows.append((label(group), happened, int(one.n[at]), known, share, least, most))
    return Table(id=name, title=title, columns=columns, rows=tuple(rows), note=f"{note} {SHARES} {HIDDEN}".strip())


def crossed_table(all_of: Referrals, attribute: str, order: Sequence[str]) -> Table | None:
    """A row for each group of an attribute and each arm; None where there is only one of either."""
    found = crossed(all_of.groups[attribute], all_of.arm, all_of.outcomes, order)
    if found is None:
        return None
    columns = (
        Column(name="group", label=label(attribute).capitalize()),
        Column(name="arm", label="Arm"),
        Column(name="referred", label="Referred", unit="clients", digits=0),
        *(Column(name=name, label=one.label, unit="%", digits=1) for name, one in OUTCOMES.items()),
        *_BOUNDS,
    )
    rows: list[tuple[Cell, ...]] = []
    for i, group in enumerate(found.rows):
        for j, arm in enumerate(found.columns):
            if found.n[i, j] or found.hidden_n[i, j]:
                n = None if found.hidden_n[i, j] else int(found.n[i, j])
                cell = found.at(i, j)
                shares = [cell.share(name, 0) for name in OUTCOMES]
                rows.append((label(group), label(arm), n, *shares, *cell.bounds("deteriorated", 0)))
    note = f"At least and at most are for getting reliably worse. {HIDDEN}"
    title = f"By {label(attribute)} and how they came to a therapist"
    return Table(id=f"arms_by_{attribute}", title=title, columns=columns, rows=tuple(rows), note=note)


def group_tables(all_of: Referrals, order: Sequence[str]) -> list[Table]:
    """For each attribute a table of its groups, and one of its groups by arm."""
    found = []
    for attribute, words in all_of.groups.items():
        title, what = f"By {label(attribute)}", label(attribute).capitalize()
        found.append(long_table(f"harm_by_{attribute}", title, what, [counts(words, all_of.outcomes)]))
        both = crossed_table(all_of, attribute, order)
        found += [both] if both else []
    return found


def wait_table(all_of: Referrals, by: Mapping[str, Words], name: str, title: str, order: Sequence[str] = ()) -> Table:
    """Waits from the referral to the first session, by every group of some attributes."""
    columns = (Column(name="by", label="By"), Column(name="group", label="Group"), *_WAITS)
    rows: list[tuple[Cell, ...]] = []
    for attribute, words in by.items():
        flags = {"started": _one_or_none(all_of.wait), "waiting": _one_or_none(all_of.waiting)}
        told, together = counts(words, flags, order), pooled(words)
        for at, group in enumerate(told.names):
            mine = together == group
            rows.append((label(attribute), label(group), *_waits(all_of, mine, told, at)))
    note = (
        "From the referral to the first session, of those who had one; who still waits may wait longer yet. "
        f"Each with the interval in which it would lie 95 times of 100. {HIDDEN}"
    )
    return Table(id=name, title=title, columns=columns, rows=tuple(rows), note=note)


def _one_or_none(days: Floats) -> Floats:
    return np.where(np.isnan(days), np.nan, 1.0)


def _waits(all_of: Referrals, mine: npt.NDArray[np.bool_], told: Counts, at: int) -> tuple[Cell, ...]:
    started, waiting = (None if told.hidden[name][at] else int(told.known[name][at]) for name in ("started", "waiting"))
    days, still = all_of.wait[mine], all_of.waiting[mine]
    enough = bool(started) and started is not None and started >= FEWEST_IN_CELL
    longest = float(np.nanmax(still)) if waiting else None
    quantiles = (quantile(days, 0.5), quantile(days, 0.9)) if enough else (None, None)
    return (started, *quantiles, waiting, longest)


def contrast_table(name: str, title: str, found: Iterable[Contrast]) -> Table:
    """All comparisons, the clearest first."""
    columns = (
        Column(name="by", label="By"),
        Column(name="group", label="Group"),
        Column(name="against", label="Compared with"),
        Column(name="outcome", label="What happened"),
        Column(name="known", label="Known of", unit="clients", digits=0),
        Column(name="share", label="Share", unit="%", digits=1),
        Column(name="expected", label="Expected from the others", unit="%", digits=1),
        Column(name="difference", label="Difference", unit="percentage points", digits=1),
    )
    ordered = sorted(found, key=lambda one: -one.low)
    rows = tuple(
        (
            label(one.attribute),
            label(one.group),
            label(one.against),
            OUTCOMES[one.outcome].label,
            one.n,
            100 * one.share,
            100 * one.expected,
            one.difference,
        )
        for one in ordered
    )
    note = (
        "Expected: had those compared with been as ill at intake. The intervals allow for the number of comparisons, "
        "and for clients of one therapist being alike: where one leaves out 0 there is clearly more, or less. "
        f"{NOT_BY_LOT}"
    )
    return Table(id=name, title=title, columns=columns, rows=rows, note=note)


def contrast_findings(found: Sequence[Contrast], page: str) -> list[Finding]:
    """One for each group or arm that clearly has more; of severity it is expected, and noted."""
    told: list[Finding] = []
    more: dict[tuple[str, str], list[Contrast]] = {}
    for one in sorted((one for one in found if one.is_more), key=lambda one: -one.low):
        more.setdefault((one.attribute, one.group), []).append(one)
    for (attribute, _), (first, *others) in more.items():
        level, why = ("look", _LOOK) if attribute != "severity_band" else ("note", _SEVERITY)
        told.append(Finding(level=level, words=f"{_sentence(first)}{_also(others)}{why}", page=page))
    for one in (one for one in found if one.is_less and one.attribute == ARM):
        told.append(Finding(level="look", words=_sentence(one, one.against) + _LOOK, page=page))
    for one in (one for one in found if one.is_less and one.attribute == "half"):
        told.append(Finding(level="note", words=f"{_sentence(one)} {NOT_BY_LOT}", page=page))
    return told


def _also(others: Sequence[Contrast]) -> str:
    """Other outcomes of the same group, in short."""
    told = ", ".join(f"{OUTCOMES[one.outcome].words} ({one.difference.value:+.1f} points)" for one in others)
    return f" Clearly more, too: {told}." if told else ""


_LOOK = " Someone should look why, case by case."
_SEVERITY = (
    " This is to be expected: who has few symptoms has more room to get worse, and who has many finds it harder to "
    "stay."
)


def _sentence(one: Contrast, more: str = "") -> str:
    gap = one.difference
    low, high = (gap.low or 0.0), (gap.high or 0.0)
    beside = f"{label(one.against).lower()} as ill at intake" if one.attribute != "severity_band" else one.against
    shares = (
        f"{100 * one.share:.1f} % {OUTCOMES[one.outcome].words}, where {100 * one.expected:.1f} % would be expected"
    )
    tail = f"from {beside}: a difference of {gap.value:+.1f} points ({low:+.1f} to {high:+.1f})"
    last = f", so that it is clearly more among {label(more).lower()}" if more else ""
    return f"{label(one.attribute).capitalize()}, {label(one.group).lower()}: {shares} {tail}{last}."
