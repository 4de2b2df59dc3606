"""What drives the ranking, as numbers for programs: `GET /v1/model/importance` and the audit's pages.

Light to import: a worker reads it without pandas.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal["client", "therapist", "match", "track", "results"]
Verdict = Literal["drives", "matters", "unsure", "noise", "unused"]
"""drives: it clearly changes who comes first; matters: a clear sign, little change; unsure: some sign; noise: none;
unused: it never differs, or nothing was learned of it."""
Flag = Literal["sign", "unstable", "proxy", "forbidden"]
"""sign: learned the other way than expected; unstable: refits disagree; proxy: it stands in for a protected trait;
forbidden: the policy does not allow it."""
UTILITY = "utility"
"""Among the heads of `matching`: all of them, weighed as the ranking weighs them."""


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Interval(_Plain):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class Matching(_Plain):
    """How much something changes the order of therapists for a client, on clients of the test block."""

    spread: Interval
    """SD of its contribution over the therapists offered to a client, mean over clients; in SD of the head."""
    first_changes: Interval
    """Share of clients for whom another therapist would stand first without it."""
    loss_rise: Interval | None = None
    """By how much the squared error of results (less prognosis) rises, as a share of what the prognosis leaves, when
    its contribution is exchanged between a client's therapists: mean over all exchanges. None: no results."""


class Prognostic(_Plain):
    """How much something says of who does well whoever the therapist is, on clients of the test block."""

    contribution: Interval
    """Mean absolute contribution to the prognosis, in SD of the head."""
    share: float
    """Of the contributions of all features."""
    loss_rise: Interval | None = None
    """By how much the squared error of results rises, as a share of their variance, when its values are exchanged
    between clients. None: no results."""


class Coefficient(_Plain):
    """What one column of the fit adds, as it is served."""

    head: str
    column: str
    value: float
    """SD of the head per SD of the column."""
    low: float
    high: float
    refit_sd: float | None = None
    """SD over refits to therapists drawn again; None where the bundle does not say."""
    same_sign: float | None = None
    """Share of these refits on the same side of 0."""


class Proxy(_Plain):
    """How well something tells a protected trait, cross-validated."""

    trait: str
    group: str
    """The group it tells best from all others."""
    people: int
    auc: Interval
    """Chance that of two people, one of the group and one not, it tells which is which: .5 is a guess."""
    others: float | None = None
    """The same of all other allowed columns of the profile together."""
    flagged: bool


class FeatureImportance(_Plain):
    """All of it for one feature, or for a part of the therapists' own earlier results (`results.*`)."""

    name: str
    meaning: str
    kind: Kind
    part: Literal["prognosis", "fit"]
    status: str
    """What the policy says: allowed, audit-only or forbidden; `learned` for the therapists' own earlier results."""
    expected: Literal["+", "-", "0", "?"]
    learned: Literal["+", "-", "0", "?"]
    """Sign of its coefficients in the heads that rank where their intervals agree; 0: they reach both sides; ?: they
    disagree, or it has none or several columns."""
    verdict: Verdict
    says: str
    """The verdict in a sentence."""
    flags: tuple[Flag, ...] = ()
    matching: Mapping[str, Matching] = {}
    """By head, and for the `utility`."""
    prognostic: Mapping[str, Prognostic] = {}
    """By head."""
    coefficients: tuple[Coefficient, ...] = ()
    proxies: tuple[Proxy, ...] = ()


class GroupImportance(_Plain):
    """Importance of several features as one: a group, or a cluster of features that go together."""

    name: str
    features: tuple[str, ...]
    matching: Mapping[str, Matching] = {}
    prognostic: Mapping[str, Prognostic] = {}


class Share(_Plain):
    """A share of the variance of results."""

    name: Literal["client", "therapist", "match", "not_explained"]
    share: Interval


class Importance(_Plain):
    """Importance of every feature, for each head and for the utility."""

    held_out: bool = False
    """Whether the clients looked at were not among those learned from."""
    clients: int = 0
    """Clients whose offered therapists were looked at, for matching."""
    prognosis_clients: int = 0
    features: tuple[FeatureImportance, ...] = ()
    groups: tuple[GroupImportance, ...] = ()
    """client, therapist, match, track, results."""
    clusters: tuple[GroupImportance, ...] = ()
    """Of features that go together, two or more in each."""
    variance: tuple[Share, ...] = ()
    variance_of: str = ""
    """The head whose results are split up."""
