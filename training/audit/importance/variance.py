"""Where differences between results come from: client, therapist, match, and what is not explained.

All three are measured on the test block. Client: what the prognosis foretold (R2). Therapist: what results less
prognosis of different clients of one therapist have in common (the analysis-of-variance estimate of a random effect:
Searle, Casella and McCulloch 1992, "Variance Components", chapter 3), which needs no model of therapists. Match: what
the rest of the fit, centred over those offered to the client and without what a therapist is to everyone, foretold
beyond. Intervals: therapists resampled with all their clients.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.audit.document import Cell, Column, Estimate, Table
from training.audit.examined import Examined
from training.audit.importance.matching import Contributions, rounded
from training.audit.importances import Interval, Share
from training.evaluate import Resamples

Floats = npt.NDArray[np.float64]

FEWEST_RESULTS = 100
FEWEST_THERAPISTS = 10
SPLITS = {
    "Norcross and Lambert (2011), in per cent": (
        ("not explained", 40),
        ("the client", 30),
        ("the therapy relationship", 12),
        ("the treatment method", 8),
        ("the therapist", 7),
        ("other", 3),
    ),
    "Norcross and Lambert (2019), in per cent": (
        ("not explained", 35),
        ("the client", 30),
        ("the therapy relationship", 15),
        ("the treatment method", 10),
        ("the therapist", 7),
        ("other", 3),
    ),
}
WORDS = {
    "client": "the client: what the prognosis foretold",
    "therapist": "the therapist: what clients of one therapist have in common",
    "match": "the match: what the fit foretold beyond, of this client with this therapist",
    "not_explained": "not explained: all else, errors of measurement among it",
}


def variance(looked_at: Examined, found: Contributions | None) -> tuple[str, tuple[Share, ...]]:
    """The head whose results are split (the first that ranks by scores), and shares; none if too little is known."""
    heads = [head.name for head in looked_at.head_configs if head.kind == "gaussian" and head.weight > 0]
    if not heads:
        return "", ()
    name = heads[0]
    head, goal = looked_at.asked.heads[name], looked_at.goals[name]
    rows = np.flatnonzero(goal.known)
    if len(rows) < FEWEST_RESULTS:
        return name, ()
    resamples = looked_at.resamples(rows)
    if resamples.clusters < FEWEST_THERAPISTS:
        return name, ()
    left = goal.value[rows] - looked_at.prognoses[name][rows]
    match = _matched(looked_at, found, name)[rows] * head.info.sd
    return name, _shares(goal.value[rows], left - left.mean(), match, resamples)


def _matched(looked_at: Examined, found: Contributions | None, name: str) -> Floats:
    """(test rows,): what the fit says of each row's own pair beside what its therapist is to everyone; 0 unknown."""
    said = np.zeros(len(looked_at.test))
    if found is not None:
        one = found.ordered[name]
        kinds = np.array(
            [s.kind == "match" or s.name in ("results.severity", "results.strengths") for s in found.sources]
        )
        said[found.offered.rows] = one.value[:, kinds].sum(axis=1)[found.offered.assigned]
    return said


def _shares(y: Floats, left: Floats, match: Floats, resamples: Resamples) -> tuple[Share, ...]:
    """Shares of the variance of y, (rows,), of which the prognosis has `left` what it has."""
    size = np.bincount(resamples.therapist, minlength=resamples.clusters).astype(np.float64)
    own = np.bincount(resamples.therapist, left, minlength=resamples.clusters)
    square = np.bincount(resamples.therapist, left**2, minlength=resamples.clusters)
    common = np.column_stack([own**2 - square, size * (size - 1)])
    sums = np.column_stack([y**2, y, np.ones(len(y)), left**2, left, 2 * left * match - match**2])
    whole = np.concatenate([np.ones((1, resamples.clusters)), resamples.counts])
    by_therapist = np.array([np.bincount(resamples.therapist, column, resamples.clusters) for column in sums.T]).T
    total, pairs = whole @ by_therapist, whole @ common
    n = total[:, 2]
    spread = total[:, 0] / n - (total[:, 1] / n) ** 2
    rest = total[:, 3] / n - (total[:, 4] / n) ** 2
    client = 1 - rest / spread
    therapist = (pairs[:, 0] / np.maximum(pairs[:, 1], 1) - (total[:, 4] / n) ** 2) / spread
    matched = total[:, 5] / n / spread
    parts = {"client": client, "therapist": therapist, "match": matched}
    parts["not_explained"] = 1 - client - therapist - matched
    return tuple(Share.model_validate({"name": name, "share": _interval(values)}) for name, values in parts.items())


def _interval(values: Floats) -> Interval:
    """The first value, with the interval of the others."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    value = float(values[0])
    return rounded(value, min(float(low), value), max(float(high), value))


def tables(shares: tuple[Share, ...]) -> list[Table]:
    """Our own split, then those of the literature, each by itself: they are not the same kind of quantity."""
    found = []
    if shares:
        rows = [(WORDS[one.name], Estimate(**{k: 100 * v for k, v in one.share})) for one in shares]
        note = (
            "Measured on clients of the test block. Shares may come out below 0 where there is nothing to be found. "
            "Clients are not sent to therapists at random, so these are not shares of causes."
        )
        columns = (
            Column(name="part", label="Part"),
            Column(name="share", label="Share of variance", unit="%", digits=1),
        )
        found.append(_table("variance-here", "Where results differ here", columns, rows, note))
    for title, split in SPLITS.items():
        columns = (Column(name="part", label="Part"), Column(name="share", label="Share", unit="%", digits=0))
        note = (
            "Another kind of quantity: what experts made of many studies, not an additive model of variance fitted to "
            "anyone's data. It cannot be added to, or subtracted from, the shares measured here."
        )
        found.append(_table(f"norcross-{title[22:26]}", title, columns, split, note))
    return found


def _table(name: str, title: str, columns: tuple[Column, ...], rows: Sequence[tuple[Cell, ...]], note: str) -> Table:
    return Table(id=name, title=title, columns=columns, rows=tuple(rows), note=note)
