"""From numbers to a plain sentence about one feature, and to what a person should look at before signing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from training.audit.importance.coefficients import sign_of, sureness, surest
from training.audit.importance.sources import Source
from training.audit.importances import UTILITY, Coefficient, Flag, Matching, Prognostic, Proxy, Verdict
from training.ranking import WORTH
from training.shares import Z95

CLEAR = Z95
"""Errors from 0 at which a 95 % interval no longer reaches both sides."""
SOME = 1.2815515655446004
"""The same of an 80 % interval: some sign, no clear one."""
WEAK = 1.0
"""Errors from 0 that count as some sign where the order of many clients changes."""
CHANGES = 0.05
"""Share of clients for whom another therapist would stand first, from which something changes the order."""
MOVES = WORTH / 10
"""Spread in SD from which something moves the order: where nobody differs, a hair's breadth changes who is first."""
STABLE = 0.9
"""Share of refits that must agree on a sign."""
MUCH = 0.03
"""Share of all contributions to a prognosis from which its spread over refits is looked at."""
FAR_APART = 2.5
"""Greatest over least share of the contributions over the refits."""
PARTS = {"results.therapist": "therapist", "results.severity": "slope", "results.strengths": "strengths"}
"""Parts of the fit whose worth `train` has tested, cross-fitted."""
Sign = Literal["+", "-", "0", "?"]


@dataclass(frozen=True)
class Known:
    """All that is known of one source, of the heads that rank (`heads`) and of the utility."""

    source: Source
    heads: tuple[str, ...]
    matching: Mapping[str, Matching]
    prognostic: Mapping[str, Prognostic]
    coefficients: tuple[Coefficient, ...]
    """Those of heads that rank."""
    proxies: tuple[Proxy, ...]
    gains: Mapping[str, Mapping[str, float]]
    """By head that ranks the gain of this part of the fit on clients not seen; for own results."""
    trees: Mapping[str, Mapping[str, Any]]
    """By head that ranks how its share of the contributions to the prognosis moved over refits."""
    lost: Mapping[str, float]
    """By head that ranks, of the client: how many of its errors the rise of the loss without it lies above 0."""
    lost_together: Mapping[str, float]
    """The same without it and all that go together with it."""
    asked: int
    """How many features and heads the prognosis was asked about."""
    expected: int
    """Of how many coefficients the field expects a sign: with many, one or two lie on the wrong side by chance."""
    together: tuple[str, ...]
    """Other sources that go together with it."""
    direction: Mapping[str, float]
    """By head that ranks the rank correlation of a client's value with its contribution."""

    @property
    def first(self) -> float | None:
        """Share of clients for whom another would stand first without it."""
        return self.matching[UTILITY].first_changes.value if UTILITY in self.matching else None

    @property
    def changes(self) -> bool:
        """Whether it changes the order of many clients by enough to mean anything, as far as that is known."""
        if UTILITY not in self.matching:
            return True
        one = self.matching[UTILITY]
        return one.first_changes.value >= CHANGES and one.spread.value >= MOVES


def verdict(known: Known) -> Verdict:
    """What the numbers come to."""
    if not known.source.ranks:
        return _of_client(known)
    if _unused(known):
        return "unused"
    if _clear(known):
        return "drives" if known.changes else "matters"
    best = surest(known.coefficients)
    far = 0.0 if best is None else sureness(best)
    some = far >= SOME or (far >= WEAK and known.first is not None and known.changes)
    return "unsure" if some or (known.source.kind == "results" and known.changes) else "noise"


def _unused(known: Known) -> bool:
    still = all(one.spread.value == 0 for one in known.matching.values())
    return still and all(one.value == 0 for one in known.coefficients)


def _clear(known: Known) -> bool:
    if known.source.kind == "results":
        risen = known.matching[UTILITY].loss_rise if UTILITY in known.matching else None
        return any(gain["low"] > 0 for gain in known.gains.values()) or (risen is not None and risen.low > 0)
    return any(
        sureness(one) >= CLEAR and (one.same_sign is None or one.same_sign >= STABLE) for one in known.coefficients
    )


def _of_client(known: Known) -> Verdict:
    shown = {name: one for name, one in known.prognostic.items() if name in known.heads}
    if not shown or all(one.contribution.value == 0 for one in shown.values()):
        return "unused"
    even = len(known.heads) / max(known.asked, 1)
    counts = {name for name, one in shown.items() if one.share >= even}
    far = {n: max(z, known.lost_together.get(n, z) if n in counts else z) for n, z in known.lost.items() if n in shown}
    if any(z >= enough(known.asked) for z in far.values()):
        return "matters"
    return "unsure" if any(z >= CLEAR and name in counts for name, z in far.items()) else "noise"


def enough(asked: int) -> float:
    """Errors from 0 that are clear where so many are looked at (Bonferroni, one-sided, of .05)."""
    return NormalDist().inv_cdf(1 - 0.05 / max(asked, 1))


def learned_sign(known: Known, found: Verdict) -> Sign:
    """The side on which all clear coefficients lie; for a client's feature, the way its contributions go."""
    if known.source.ranks:
        if len(known.source.columns) != 1:
            return "?"
        signs = {sign_of(one) for one in known.coefficients} - {"0"}
        return "0" if not signs else "?" if len(signs) > 1 else ("+" if "+" in signs else "-")
    if len(known.source.columns) != 1 or not known.direction:
        return "?"
    if found in ("noise", "unused"):
        return "0"
    strong = {np.sign(rho) for rho in known.direction.values() if abs(rho) >= 0.5}
    return "0" if not strong else "?" if len(strong) > 1 else ("+" if 1.0 in strong else "-")


def flags(known: Known, found: Verdict, sign: Sign) -> tuple[Flag, ...]:
    """What a person should look at, or what must be mended (`forbidden`)."""
    rule = known.source.rule
    raised: list[Flag] = []
    if rule is not None and (rule.status != "allowed" or (known.source.ranks and rule.part != "fit")):
        raised.append("forbidden")
    if rule is not None and _against(known, found, sign, rule.expected):
        raised.append("sign")
    if _moves(known, found):
        raised.append("unstable")
    if any(proxy.flagged for proxy in known.proxies) and (known.source.ranks or known.source.declared):
        raised.append("proxy")
    return tuple(raised)


def _against(known: Known, found: Verdict, sign: Sign, expected: str) -> bool:
    if expected not in ("+", "-"):
        return False
    other = "-" if expected == "+" else "+"
    if known.source.ranks:
        return any(sign_of(one) == other and sureness(one) >= enough(known.expected) for one in known.coefficients)
    return sign == other and found in ("matters", "unsure")


def _moves(known: Known, found: Verdict) -> bool:
    if found not in ("drives", "matters", "unsure"):
        return False
    if known.source.ranks:
        largest = max(known.coefficients, key=lambda one: abs(one.value), default=None)
        if largest is None or known.first is None or not known.changes:
            return False
        apart = largest.refit_sd is not None and largest.refit_sd > abs(largest.value)
        return apart or (largest.same_sign is not None and largest.same_sign < STABLE)
    most = max(known.trees.values(), key=lambda one: float(one["mean"]), default=None)
    if most is None or known.together:  # those that go together change places, and may
        return False
    return bool(most["mean"] >= MUCH and most["high"] > FAR_APART * most["low"])


def sentence(known: Known, found: Verdict) -> str:
    """The verdict in plain words."""
    if not known.source.ranks:
        return _of_prognosis(known, found)
    moved = _moved(known)
    results = known.source.kind == "results"
    if found == "drives":
        why = "tests on clients not learned from bear it out" if results else "its sign is clear"
        return f"It drives the ranking: {why}{moved}."
    if found == "matters":
        why = "tests on clients not learned from bear it out" if results else "its sign is clear"
        return f"It matters, but changes little: {why}{moved}."
    if found == "unsure":
        why = "tests bear out neither that nor the contrary" if results else "its interval still reaches both sides"
        return f"There is some sign that it matters, not a clear one: {why}{moved}."
    if found == "unused":
        return "It is not used: it never differs between the therapists offered, or nothing was learned of it."
    why = "tests bear nothing out" if results else "its interval reaches both sides"
    return f"No sign that it matters: {why}{moved}."


def _moved(known: Known) -> str:
    if UTILITY not in known.matching:
        return ""
    one = known.matching[UTILITY].first_changes
    return (
        f", and leaving it out changes the first therapist for {100 * one.value:.1f} % of clients "
        f"({100 * one.low:.1f} to {100 * one.high:.1f})"
    )


def _of_prognosis(known: Known, found: Verdict) -> str:
    shares = {name: one.share for name, one in known.prognostic.items() if name in known.heads}
    if found == "unused" or not shares:
        return (
            "It is not used: no tree and no term of the prognosis reads it. It never changes the order of therapists."
        )
    name = max(shares, key=lambda head: shares[head])
    beside = f", together with {len(known.together)} that go with it," if known.together else ""
    carries = f"it carries up to {100 * shares[name]:.1f} % of the prognosis ({name})"
    never = "It never changes the order of therapists."
    told = {
        "matters": f"It tells{beside} who does well whoever the therapist is: {carries}, borne out by the test.",
        "unsure": f"There is some sign that it tells{beside} who does well, not a clear one: {carries}.",
    }
    none = f"No sign that it matters: {carries}, but for clients not learned from nothing is surely lost without it."
    return f"{told.get(found, none)} {never}"


FLAGGED: Mapping[Flag, str] = {
    "forbidden": "the policy does not allow it where it is used",
    "sign": "it was learned the other way than the field expects",
    "unstable": "other draws of the same people would have taught the model something else of it",
    "proxy": "it tells a protected trait so well that it can stand in for it",
}


def flagged_words(name: str, raised: Sequence[Flag], proxies: Sequence[Proxy]) -> str:
    """All flags of a feature in one sentence."""
    told = [FLAGGED[flag] for flag in raised]
    for proxy in proxies:
        if proxy.flagged and "proxy" in raised:
            told.append(
                f"of two people, one with {proxy.trait} = {proxy.group} and one without, it tells which is which in "
                f"{100 * proxy.auc.value:.0f} of 100 cases"
            )
    return f"{name}: {'; '.join(told)}."
