"""How far therapists differ from each other, for clients of low to high severity.

What a therapist adds to everybody's results is what the profile foretells and what only the therapist's own cases
tell; both may grow with severity. The variance of the second is the estimated covariance of intercept and slope; its
interval comes from how much the posteriors say was learned of each therapist. Beside it the field's shares of variance:
Saxon and Barkham (2012), "Patterns of therapist variability", J. Consult. Clin. Psychol. 80.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.audit.charts import SOFT, chart, density, line, panels
from training.audit.curves.ranking import PRODUCTS, Ranking
from training.audit.curves.shapes import ends, estimate, number, rounded, said
from training.audit.document import Cell, Chart, Column
from training.audit.words import capital
from training.evaluate import Figure
from training.head import Head

Floats = npt.NDArray[np.float64]

SEVERITIES = np.array([-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0])
FIELD = {-2.0: "0.01 to 0.02", 0.0: "0.05 to 0.07", 2.0: "0.10"}
"""Share of variance between therapists at low, average and high severity."""
DRAWS = 1000
TINY = 1e-9
LOGIT_NOISE = float(np.pi**2 / 3)
FEWEST_THERAPISTS = 30
"""With fewer, what profiles foretell cannot be told from chance."""
SURE = 0.95


@dataclass(frozen=True)
class Spread:
    """How far therapists differ along severity: SDs in SDs of the head's results, and shares of their variance."""

    head: str
    sd: tuple[Figure, ...]
    share: tuple[Figure, ...]
    rise: Figure
    """SD at +2 SD of severity less that at -2."""
    own: bool
    """Whether therapists have a slope of their own; without, only what profiles foretell can grow."""
    therapists: int


def spread(ranking: Ranking, name: str, seed: int) -> Spread | None:
    """Of one head; None where it knows no therapists, or too few."""
    head, bundle = ranking.bundle.heads[name], ranking.bundle
    known = len(head.solution.at_zero)
    if not head.info.parts.therapist or known < FEWEST_THERAPISTS or not head.solution.prior.size:
        return None
    rng, cases = np.random.default_rng(seed), bundle.records.counts["cases"]
    own = _own(head, _joint(ranking, head), cases, rng) + _foretold(ranking, name, rng)
    rest = _rest(ranking, name)
    total, point = own[:-1], own[-1]
    root, unit = np.sqrt(total), 1 / _result_sd(head)
    share, point_share = total / (total + rest), point / (point + rest)
    sd = [_figure(np.sqrt(point[i]) * unit, root[:, i] * unit) for i in range(len(SEVERITIES))]
    shares = [_figure(point_share[i], share[:, i]) for i in range(len(SEVERITIES))]
    rise = _figure((np.sqrt(point[-1]) - np.sqrt(point[0])) * unit, (root[:, -1] - root[:, 0]) * unit)
    return Spread(name, tuple(sd), tuple(shares), rise, head.info.parts.slope and bundle.design.slope, known)


def _joint(ranking: Ranking, head: Head) -> int:
    return ranking.bundle.design.joint if head.info.parts.slope else 1


def _result_sd(head: Head) -> float:
    """What makes 1 of the picture: the head's SD, or 1 on the logit scale."""
    return 1.0 if head.info.kind == "binary" else head.info.sd


def _figure(value: float, draws: Floats) -> Figure:
    low, high = np.quantile(draws, [(1 - SURE) / 2, (1 + SURE) / 2])
    return Figure(float(value), float(low), float(high))


def _foretold(ranking: Ranking, name: str, rng: np.random.Generator) -> Floats:
    """(draws + 1, severities): variance of what profiles foretell of the therapists' average clients."""
    if name not in ranking.coefficients:
        return np.zeros((DRAWS + 1, len(SEVERITIES)))
    head = ranking.bundle.heads[name]
    r = len(ranking.names)
    b, covariance = head.solution.b[-r:], head.solution.b_cov[-r:, -r:]
    values, vectors = np.linalg.eigh(covariance)
    drawn = b + rng.standard_normal((DRAWS, r)) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    found = np.empty((DRAWS + 1, len(SEVERITIES)))
    for i, severity in enumerate(SEVERITIES):
        profiles = _profiles(ranking, severity)
        between = np.cov(profiles, rowvar=False).reshape(r, r)
        found[:-1, i] = np.einsum("dr,rs,ds->d", drawn, between, drawn, optimize=True)
        found[-1, i] = b @ between @ b + float((between * covariance).sum())
    return found


def _profiles(ranking: Ranking, severity: float) -> Floats:
    """(therapists, r): each therapist's columns averaged over the clients offered, as for clients of one severity."""
    codes, mean = ranking.by_therapist
    table = mean.copy()
    design = ranking.bundle.design
    at = design.severity_mean + severity * design.severity_sd
    for product in PRODUCTS:
        if product.client == "severity" and {product.name, product.therapist} <= set(ranking.names):
            raw = ranking.raw(product.therapist)
            values = (at - product.client_middle) * (raw - product.therapist_middle)
            column = ranking.standardised(product.name, values)
            table[:, ranking.names.index(product.name)] = np.bincount(codes, column) / np.bincount(codes)
    return table


def _rest(ranking: Ranking, name: str) -> float:
    """Variance of results that neither the client's facts nor a therapist's average accounts for."""
    head = ranking.bundle.heads[name]
    s, joint = head.solution, _joint(ranking, head)
    strengths = float(s.prior[joint, joint]) if len(s.prior) > joint else 0.0
    noise = LOGIT_NOISE if head.info.kind == "binary" else s.noise
    if name not in ranking.coefficients:
        return noise + strengths
    codes, mean = ranking.by_therapist
    within = (ranking.columns - mean[codes]) @ s.b[-len(ranking.names) :]
    return noise + strengths + float(within.var())


def _own(head: Head, joint: int, cases: Floats, rng: np.random.Generator) -> Floats:
    """(draws + 1, severities): variance of what profiles do not foretell; the last row is the estimate."""
    covariance, error, share = _covariance(head, joint, cases)
    weights = np.column_stack([np.ones(len(SEVERITIES)), SEVERITIES])[:, : len(covariance)] * np.sqrt(share)
    rows, columns = np.tril_indices(len(covariance))
    forms = weights[:, rows] * weights[:, columns] * np.where(rows == columns, 1.0, 2.0)
    values, vectors = np.linalg.eigh(error)
    luck = rng.standard_normal((DRAWS, len(values))) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    drawn = np.vstack([covariance[rows, columns] + luck, covariance[rows, columns]])
    found: Floats = np.maximum(drawn @ forms.T, 0.0) + head.info.unseen
    return found


def _covariance(head: Head, joint: int, cases: Floats) -> tuple[Floats, Floats, Floats]:
    """Covariance of intercepts and slopes before it was weighed, the error of its entries, and the weights.

    Of variances the expected information is sum tr(C^-1 B_k C^-1 B_l) / 2 over therapists (Searle, Casella and
    McCulloch 1992, "Variance Components", section 6.4), with C the covariance and what a therapist's own cases leave
    open: the less of the prior their posterior has kept, the more they told. Severity varies alike with everybody.
    Where the estimate is 0 there is no prior to keep, and the number of cases (therapists,) says it.
    """
    share = _shares(head, joint)
    prior: Floats = head.solution.prior[:joint, :joint] / np.sqrt(np.outer(share, share))
    within = head.solution.within[:, :joint, :joint] / np.sqrt(np.outer(share, share))
    values, vectors = np.linalg.eigh(prior)
    most, way = max(float(values[-1]), TINY), vectors[:, -1]
    kept = np.clip(np.einsum("tij,i,j->t", within, way, way) / most, TINY, 1 - TINY)
    told = (1 / kept - 1) / most if most > TINY else np.maximum(cases, TINY) / head.solution.noise
    inverse = np.linalg.inv(prior + np.eye(joint) / told[:, None, None])
    rows, columns = np.tril_indices(joint)
    basis = np.zeros((len(rows), joint, joint))
    basis[np.arange(len(rows)), rows, columns] = basis[np.arange(len(rows)), columns, rows] = 1.0
    moved = np.einsum("tij,kjl->tkil", inverse, basis)
    information: Floats = np.einsum("tkij,tlji->kl", moved, moved) / 2
    return prior, np.asarray(np.linalg.inv(information), dtype=np.float64), share


def _shares(head: Head, effects: int) -> Floats:
    """How much of each effect the served fit claims (`training.shares.weighed`)."""
    found = np.full(effects, head.info.share.get("fit", 1.0))
    found[:1] = head.info.share.get("therapist", 1.0)
    known: Floats = np.maximum(found, 1e-6)
    return known


def severity_chart(ranking: Ranking, found: Spread) -> Chart:
    """SDs of therapists' effects along severity, their shares of variance, and whom there is at each."""
    name = found.head
    kind = ranking.bundle.heads[name].info.kind
    unit = "log odds" if kind == "binary" else "SD"
    canvas, (above, share) = panels(2, 2.7, 2, xlabel="severity at intake, SDs from the average client")
    seen = _severities(ranking)
    line(above, SEVERITIES, *ends(found.sd))
    line(share, SEVERITIES, *ends(found.share))
    field = np.array([[-2, 0.01], [0, 0.066], [2, 0.10]])
    share.plot(field[:, 0], field[:, 1], ":D", color=SOFT, markersize=3.5, markerfacecolor="white", linewidth=1)
    for axes, words in (
        (above, f"SD of therapists' effects\n({name}, {unit})"),
        (share, "share of variance\n(dotted: the field)"),
    ):
        axes.set_title(words, fontsize=9, loc="left")
        axes.set_ylim(bottom=0)
        density(axes, seen)
    low, high = found.share[0], found.share[-1]
    alt = (
        f"Two lines over severity from 2 SD below to 2 SD above the average. Therapists' effects on {name} have an SD "
        f"of {said(found.sd[0], unit, sign=False)} at the lowest and {said(found.sd[-1], unit, sign=False)} at the "
        f"highest; their share of variance is {said(low, sign=False)} and {said(high, sign=False)}."
    )
    columns = [
        Column(name="severity", label="Severity at intake", unit="SD", digits=1),
        Column(name="sd", label="SD of therapists' effects", unit=unit, digits=3),
        Column(name="share", label="Share of variance", digits=3),
        Column(name="field", label="Share in the field"),
        Column(name="pairs", label="Pairs available nearest", digits=0),
    ]
    near = np.bincount(np.searchsorted((SEVERITIES[1:] + SEVERITIES[:-1]) / 2, seen), minlength=len(SEVERITIES))
    rows: list[list[Cell]] = [
        [rounded(s), estimate(a), estimate(b), FIELD.get(float(s)), int(n)]
        for s, a, b, n in zip(SEVERITIES, found.sd, found.share, near, strict=True)
    ]
    note = (
        "With 95 % intervals. Variance beside what is known of the client. The field: Saxon and Barkham (2012), 119 "
        "therapists and 10,786 clients; blank where it gives no figure."
    )
    return chart("therapists_by_severity", severity_title(found), alt, canvas, columns, rows, note)


def severity_title(found: Spread) -> str:
    """The finding: whether therapists differ more for severe clients, as far as the interval knows."""
    low, high = f"{number(100 * found.share[0].value, 0)} %", f"{number(100 * found.share[-1].value, 0)} %"
    told = f"{low} of the variance at low severity, {high} at high"
    if found.rise.low > 0:
        return f"Who the therapist is matters more for {found.head} the more severe the symptoms: {told}"
    if found.rise.high < 0:
        return f"Who the therapist is matters less for {found.head} the more severe the symptoms: {told}"
    return f"{capital(found.head)}: no clear change with severity in how far therapists differ: {told}"


def _severities(ranking: Ranking) -> Floats:
    if not ranking.has("severity"):
        return np.zeros(0)
    design, raw = ranking.bundle.design, ranking.raw("severity")
    found: Floats = (raw[~np.isnan(raw)] - design.severity_mean) / design.severity_sd
    return found


def severity_says(found: Mapping[str, Spread], main: str) -> list[str]:
    """In sentences, with the field's figures beside."""
    one = found[main]
    unit = "SD"
    said_low, said_high = said(one.sd[0], unit, sign=False), said(one.sd[-1], unit, sign=False)
    first = (
        f"Therapists' effects on {main} have a standard deviation of {said_low} for clients 2 SD below the average "
        f"severity and {said_high} for those 2 SD above (difference {said(one.rise, unit)}). That is "
        f"{said(one.share[0], sign=False)} and {said(one.share[-1], sign=False)} of the variance; in the field it was "
        "0.01 to 0.02 and 0.10 (Saxon and Barkham 2012)."
    )
    if not one.own:
        first += " This model lets no therapist differ by severity beyond what the profile foretells."
    return [first]
