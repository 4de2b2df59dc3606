"""Sentences about harm: what is known, what it can be at most, and what a comparison can show."""

from collections.abc import Sequence

from training.audit.document import Estimate, Words
from training.audit.harm.compare import ALARMS, Contrast
from training.audit.harm.counts import total
from training.audit.harm.courses import ARMS, OUTCOMES, Referrals
from training.audit.harm.tables import NOT_BY_LOT, label


def meanings(title: str) -> tuple[Words, Words]:
    """What the ways to a therapist and the outcomes are, in words."""
    ways = tuple(f"{label(name)}: {said}." for name, said in ARMS.items())
    return Words(title=title, lines=ways), Words(lines=tuple(f"{o.label}: {o.meaning}." for o in OUTCOMES.values()))


def headline(all_of: Referrals) -> list[str]:
    """The figures that come first: of how many what is known, and what it can be."""
    everybody = total(all_of.size, all_of.outcomes)
    told = []
    for name in ("deteriorated", "dropout"):
        share, (least, most) = everybody.share(name, 0), everybody.bounds(name, 0)
        if share is None or least is None or most is None:
            told.append(f"Of too few clients it is known whether they {OUTCOMES[name].words}: no share is shown.")
            continue
        known = int(everybody.known[name][0])
        told.append(f"Of the {known:,} clients of whom it is known, {shown_share(share)} {OUTCOMES[name].words}.")
        if known < all_of.size:
            told[-1] += (
                f" Of all {all_of.size:,} referred it is at least {least:.1f} %, and at most {most:.1f} %: of the "
                "others it is not known."
            )
    told.append(
        died(all_of)
        if all_of.deaths.any()
        else "No course has a death on record. What happened after a course ended is not recorded."
    )
    return told


def died(all_of: Referrals) -> str:
    """Deaths on record: never a share."""
    count = many(int(all_of.deaths.sum()), "course")
    return f"{count} ended with the client's death. Each is a case for a person to look at, and no rate."


def compared(found: Sequence[Contrast]) -> list[str]:
    """How many comparisons were made and what stood out."""
    if not found:
        return ["Too little is known for any comparison of groups."]
    more = [one for one in found if one.is_more and one.attribute != "severity_band"]
    by_chance = (
        f"The intervals allow for {len(found)} comparisons: where nothing differs, at most {ALARMS:.0%} of such audits "
        "point at anything."
    ).replace("%", " %")
    names = "; ".join(f"{label(one.attribute)} {label(one.group)}: {OUTCOMES[one.outcome].words}" for one in more[:5])
    clear = (
        f"In {len(more)} of {len(found)} comparisons there is clearly more harm than expected ({names}"
        f"{', and more' if len(more) > 5 else ''})."
        if more
        else f"In none of {len(found)} comparisons, but for those by severity, is there clearly more harm than "
        "expected. Small differences can be missed: the table shows how large each may be."
    )
    return [f"{clear} {by_chance}", NOT_BY_LOT]


def judged(one: Contrast) -> str:
    """One comparison in a sentence, whether it is clear or not."""
    gap = one.difference
    clear = "clearly more" if one.is_more else "clearly fewer" if one.is_less else "no clear difference"
    shares = f"{100 * one.share:.1f} % of the {label(one.group)} {OUTCOMES[one.outcome].words}"
    expected = f"{100 * one.expected:.1f} % would be expected from the {label(one.against)} as ill at intake"
    return f"{shares}, where {expected}: {clear} ({points(gap)})."


def shown_share(share: Estimate) -> str:
    """A share with its interval: 6.1 % (5.0 to 7.4)."""
    ends = "" if share.low is None or share.high is None else f" ({share.low:.1f} to {share.high:.1f})"
    return f"{share.value:.1f} %{ends}"


def points(gap: Estimate) -> str:
    """A difference with its interval."""
    ends = "" if gap.low is None or gap.high is None else f", {gap.low:+.1f} to {gap.high:+.1f}"
    return f"{gap.value:+.1f} points{ends}"


def many(count: int, what: str) -> str:
    """`1 task`, `2,300 tasks`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
