"""Does a feature stand in for a protected trait? How well it tells the trait, of people it has not been shown.

A trait kept away from the ranking can come back through a column that goes with it. Each feature of a person is asked
to tell every group of every protected trait from all others, by ridge regression on the feature cut into steps, cross-
validated over people; the answer is the area under the ROC curve, with Hanley and McNeil's error ("The meaning and use
of the area under a receiver operating characteristic (ROC) curve", Radiology 143, 1982). A feature is flagged where
even the low end of an interval wide enough for all questions together (Bonferroni) lies over `TELLS`.

It is asked alone: were it asked beside all other columns, two copies of one stand-in would excuse each other. What all
other columns tell together stands beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri
from scipy.stats import rankdata

from training.audit.examined import Examined
from training.audit.importance.matching import rounded
from training.audit.importance.sources import Source
from training.audit.importances import Proxy
from training.evaluate import LEVEL
from training.scoring import score

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TELLS = 0.65
"""Told right in 65 of 100 pairs of people, where a guess is right in 50: two groups whose values lie .55 SD apart.
Below that most people of a group have values that as many others have."""
FEWEST_PEOPLE = 15
"""Of a group and of all others, for a question to be asked."""
MOST_PEOPLE = 4000
FOLDS = 5
STEPS = 6
RIDGE = 1.0
TRAITS: Mapping[str, Sequence[str]] = {
    "therapist": ("gender", "ethnicity", "faith", "birth_year"),
    "client": ("gender", "ethnicity", "birth_year", "disability", "sexual_orientation"),
}
ITSELF = {"client_gender": "gender", "client_ethnicity": "ethnicity", "age": "birth_year"}
"""Features of the prognosis that are a trait, openly."""
BY_NATURE = {("years_practising", "birth_year"): "nobody who is young has practised for long"}
"""What goes with a trait by its meaning; the policy was written knowing it."""


@dataclass(frozen=True)
class People:
    """Some people: the columns of their features, and the group of each by trait (None unknown)."""

    columns: Floats
    names: tuple[str, ...]
    traits: Mapping[str, npt.NDArray[np.object_]]
    fold: Ints


def proxies(looked_at: Examined, sources: Sequence[Source]) -> dict[str, tuple[Proxy, ...]]:
    """By feature of a client or a therapist what it tells of each trait, its best-told group; features of a pair
    (match, track) are made anew for each pair and are not asked."""
    found: dict[str, tuple[Proxy, ...]] = {}
    for kind, people in (("therapist", _therapists(looked_at)), ("client", _clients(looked_at))):
        mine = [source for source in sources if source.kind == kind and set(source.columns) & set(people.names)]
        questions = [
            (source, trait, told)
            for source in mine
            for trait in people.traits
            if ITSELF.get(source.name) != trait and (told := _told(_of(source, people), people, trait))
        ]
        asked = sum(len(told) for _, _, told in questions)
        for source, trait, told in questions:
            proxy = _proxy(source, trait, told, asked, people)
            found[source.name] = (*found.get(source.name, ()), proxy)
    return found


def _proxy(source: Source, trait: str, told: Mapping[str, tuple[float, float]], asked: int, people: People) -> Proxy:
    sure, wide = ndtri(1 - (1 - LEVEL) / 2), ndtri(1 - (1 - LEVEL) / 2 / max(asked, 1))
    flagged = [group for group, (auc, error) in told.items() if auc - wide * error > TELLS]
    group = max(flagged or told, key=lambda name: told[name][0])
    auc, error = told[group]
    others = None
    if flagged:
        rest = np.array([name not in source.columns for name in people.names])
        others = _told(_standard(people.columns[:, rest]), people, trait)[group][0]
    return Proxy(
        trait=_word(trait),
        group=group,
        people=int((people.traits[trait] != None).sum()),  # noqa: E711 (by element)
        auc=rounded(auc, max(auc - sure * error, 0.0), min(auc + sure * error, 1.0)),
        others=others,
        flagged=bool(flagged) and (source.name, trait) not in BY_NATURE,
    )


def _word(trait: str) -> str:
    return {"birth_year": "age"}.get(trait, trait)


def _told(x: Floats, people: People, trait: str) -> dict[str, tuple[float, float]]:
    """By group of the trait how well columns x (people, k) tell it from all others: area and its error."""
    group = people.traits[trait]
    known = group != None  # noqa: E711 (by element)
    counts = pd.Series(group[known]).value_counts()
    asked = [str(name) for name, n in counts.items() if FEWEST_PEOPLE <= n <= known.sum() - FEWEST_PEOPLE]
    if not asked or not x.shape[1]:
        return {}
    member = group[known][:, None] == np.array(asked, dtype=object)[None, :]
    said = _crossed(x[known], member.astype(np.float64), people.fold[known])
    return {name: _area(said[:, i], member[:, i]) for i, name in enumerate(asked)}


def _crossed(x: Floats, y: Floats, fold: Ints) -> Floats:
    """What ridge regression on the other folds says of each row, (rows, groups)."""
    said = np.zeros_like(y)
    for one in np.unique(fold):
        out = fold == one
        mean, level = x[~out].mean(axis=0), y[~out].mean(axis=0)
        away = x[~out] - mean
        b = np.linalg.solve(away.T @ away + RIDGE * np.eye(x.shape[1]), away.T @ (y[~out] - level))
        said[out] = (x[out] - mean) @ b
    return said


def _area(said: Floats, member: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Area under the ROC curve and its standard error."""
    n, m = int(member.sum()), int((~member).sum())
    area = float((rankdata(said)[member].sum() - n * (n + 1) / 2) / (n * m))
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (n - 1) * (first - area**2) + (m - 1) * (second - area**2)
    return area, float(np.sqrt(max(variance, 0.0) / (n * m)))


def _of(source: Source, people: People) -> Floats:
    """A feature's columns; a number as itself and in steps of equally many people, so that any shape is seen."""
    columns = people.columns[:, [i for i, name in enumerate(people.names) if name in source.columns]]
    known = columns[:, 0][~np.isnan(columns[:, 0])]
    if columns.shape[1] > 1 or len(np.unique(known)) <= 2:
        return _standard(columns)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, STEPS + 1)[1:-1]))
    return _standard(np.column_stack([columns, *(columns[:, 0] >= edge for edge in edges)]))


def _standard(columns: Floats) -> Floats:
    """Standardised, unknown as 0, and beside it whether a column is unknown where it sometimes is."""
    unknown = np.isnan(columns)
    count = np.maximum((~unknown).sum(axis=0), 1)
    mean = np.nansum(columns, axis=0) / count
    sd = np.sqrt(np.nansum((columns - mean) ** 2, axis=0) / count)
    standard = np.where(unknown, 0.0, (columns - mean) / np.where(sd > 0, sd, 1.0))
    sometimes = unknown.any(axis=0) & ~unknown.all(axis=0)
    return np.column_stack([standard, unknown[:, sometimes].astype(np.float64)])


def _therapists(looked_at: Examined) -> People:
    """Every therapist learned from, as of their last match."""
    rows = looked_at.episodes.drop_duplicates("therapist_id", keep="last").reset_index(drop=True)
    return _people(looked_at, rows, "therapist", "therapist_id")


def _clients(looked_at: Examined) -> People:
    """Clients learned from, as of their last match, `MOST_PEOPLE` at most."""
    rows = looked_at.episodes.drop_duplicates("client_id", keep="last")
    some = np.random.default_rng(looked_at.config.seed).permutation(len(rows))[:MOST_PEOPLE]
    return _people(looked_at, rows.iloc[np.sort(some)].reset_index(drop=True), "client", "client_id")


def _people(looked_at: Examined, rows: pd.DataFrame, part: str, key: str) -> People:
    known = looked_at.history.as_of_each(rows["matched_on"].to_numpy().astype("datetime64[D]"))
    table = known.therapists(rows[key]) if part == "therapist" else known.clients(rows[key])
    columns = score(looked_at.history, rows, looked_at.bundle).blocks[part]
    traits = {name: _groups(table[name]) for name in TRAITS[part] if name in table and table[name].notna().any()}
    fold = np.random.default_rng(looked_at.config.seed).permutation(len(rows)) % FOLDS
    return People(columns, looked_at.bundle.features.columns_of(part), traits, fold)


def _groups(values: pd.Series) -> npt.NDArray[np.object_]:
    """Words as they are; years as the older and the younger half; None where unknown."""
    if values.name == "birth_year":
        year = values.to_numpy(dtype=np.float64, na_value=np.nan)
        words = np.where(year <= np.nanmedian(year), "older half", "younger half").astype(object)
    else:
        words = np.array([str(cell) for cell in values], dtype=object)
    words[values.isna().to_numpy()] = None
    return words
