"""Charts of features that rank: what each adds to the order of therapists over its range."""

import numpy as np
import numpy.typing as npt

from features.catalog import CATALOG
from training.audit.charts import BINS, chart, density, intervals, line, panels
from training.audit.curves.ranking import PRODUCTS, Lines, Product, Ranking, lines, product_lines, word_lines
from training.audit.curves.shapes import apart, ends, estimate, rounded, said, short, size
from training.audit.document import Cell, Chart, Column
from training.audit.importances import UTILITY
from training.audit.words import capital, id_of
from training.bundle import Bundle
from training.evaluate import Figure

Floats = npt.NDArray[np.float64]

OVERALL = "overall fit (SD)"
LEVELS = ("low", "middle", "high")
RANKS_NOTE = (
    "Posterior mean with 95 % interval, in standard deviations of results between clients (SD); 0 is the average of "
    "those available. Overall fit is what sets the order: the heads that count, weighed."
)
TREES_NOTE = " What small trees over the columns add is in the line; the interval does not know of it."


def words_of(bundle: Bundle, feature: str) -> str:
    """What a feature is, in words."""
    return bundle.features.declared.get(feature) or (CATALOG[feature].meaning if feature in CATALOG else feature)


def ranking_chart(ranking: Ranking, feature: str) -> Chart | None:
    """What the feature adds to the fit over its range; None where it has no say or never varies."""
    meaning = words_of(ranking.bundle, feature)
    if ranking.bundle.features.words[feature] is not None:
        return _of_words(ranking, feature, meaning)
    product = product_of(ranking, feature)
    if product is not None:
        return _of_product(ranking, feature, product)
    found = lines(ranking, feature) if feature in ranking.names else None
    if found is None:
        return None
    return _two(ranking, feature, meaning, found) if len(found.x) == 2 else _of_number(ranking, feature, meaning, found)


def product_of(ranking: Ranking, feature: str) -> Product | None:
    """The product that a feature is, or is a factor of, where both columns rank and the client's is known."""
    for one in PRODUCTS:
        if feature in (one.name, one.therapist) and {one.name, one.therapist} <= set(ranking.names):
            return one if ranking.has(one.client) else None
    return None


def change_title(meaning: str, change: Figure, unit: str) -> str:
    """The finding: which way results go where there is more of it, and how far, as far as the interval knows."""
    way = apart(change)
    if way == 0:
        return f"{capital(meaning)}: no clear effect on the order, {said(change, unit)}"
    return f"{capital(meaning)}: the more, the {'better' if way > 0 else 'worse'} the fit, by {size(change, unit)}"


def _trees(ranking: Ranking) -> str:
    return TREES_NOTE if any(head.remainder.text for head in ranking.heads.values()) else ""


def _of_number(ranking: Ranking, feature: str, meaning: str, found: Lines) -> Chart:
    shown = [UTILITY, *list(ranking.heads)[:3]]
    canvas, every = panels(len(shown), 2.1 * -(-len(shown) // 2) + 0.4, 2, share_y=True, xlabel=meaning)
    raw = ranking.raw(feature)
    for axes, name in zip(every, shown, strict=True):
        line(axes, found.x, *ends(found.by_head[name]))
        axes.set_title(OVERALL if name == UTILITY else f"{name} (SD)", fontsize=10, loc="left")
        density(axes, raw)
    change = found.change[UTILITY]
    alt = (
        f"Lines over {meaning}, from {short(found.x[0])} to {short(found.x[-1])}: overall fit changes by "
        f"{said(change, 'SD')}; " + "; ".join(f"{name} by {said(found.change[name], 'SD')}" for name in shown[1:]) + "."
    )
    columns = [Column(name="value", label=capital(meaning), digits=3), *_columns(ranking), _count()]
    rows: list[list[Cell]] = [
        [rounded(x), *_cells(ranking, found, i), n]
        for i, (x, n) in enumerate(zip(found.x, _near(found.x, raw), strict=True))
    ]
    note = RANKS_NOTE + " Below each line: how often each value occurs among those available." + _trees(ranking)
    return chart(f"curve.{id_of(feature)}", change_title(meaning, change, "SD"), alt, canvas, columns, rows, note)


def _two(ranking: Ranking, feature: str, meaning: str, found: Lines) -> Chart:
    """A feature that is either there or not: what it adds, for the overall fit and each head."""
    names = [UTILITY, *ranking.heads]
    value, low, high = ends([found.change[name] for name in names])
    canvas = intervals(
        [OVERALL, *(f"{name} (SD)" for name in ranking.heads)], value, low, high, "added where it is so (SD)"
    )
    raw = ranking.raw(feature)
    share = float(np.mean(raw[~np.isnan(raw)] == found.x[-1]))
    change = found.change[UTILITY]
    told = [f"{'overall fit' if name == UTILITY else name} {said(found.change[name], 'SD')}" for name in names]
    alt = f"{capital(meaning)}, so for {share:.0%} of pairs: {'; '.join(told)}"
    columns = [Column(name="of", label="Of"), Column(name="added", label="Added where it is so", unit="SD", digits=3)]
    rows: list[list[Cell]] = [[name, estimate(found.change[name])] for name in names]
    note = f"{RANKS_NOTE} It is so for {share:.0%} of the pairs available.{_trees(ranking)}"
    return chart(f"curve.{id_of(feature)}", change_title(meaning, change, "SD"), alt + ".", canvas, columns, rows, note)


def _of_product(ranking: Ranking, feature: str, product: Product) -> Chart | None:
    """Three lines apart: for clients at a low, a middle and a high value of their own number."""
    found = product_lines(ranking, product)
    if len(found) < 2:
        return None
    theirs = words_of(ranking.bundle, product.therapist)
    raw, whose = ranking.raw(product.therapist), LEVELS if len(found) == 3 else (LEVELS[0], LEVELS[-1])
    canvas, every = panels(len(found), 2.7, len(found), share_y=True, xlabel=theirs)
    for axes, level, one in zip(every, whose, found.values(), strict=True):
        line(axes, one.x, *ends(one.by_head[UTILITY]))
        axes.set_title(f"{level}\n{product.words}", fontsize=10, loc="left")
        density(axes, raw, BINS // 2)
    every[0].set_ylabel(OVERALL)
    changes = [one.change[UTILITY] for one in found.values()]
    told = "; ".join(f"at {level} {product.words} {said(c, 'SD')}" for level, c in zip(whose, changes, strict=True))
    alt = f"Lines over {theirs}, from its lowest to its highest values overall fit changes: {told}."
    columns = [
        Column(name="level", label=f"Client's {product.words}"),
        Column(name="value", label=capital(theirs), digits=3),
        *_columns(ranking),
    ]
    rows: list[list[Cell]] = [
        [f"{level} ({client:.2f})", rounded(x), *_cells(ranking, one, i)]
        for level, (client, one) in zip(whose, found.items(), strict=True)
        for i, x in enumerate(one.x)
    ]
    note = f"{RANKS_NOTE} Low, middle and high: a tenth, half and nine tenths of clients lie below.{_trees(ranking)}"
    title = product_title(theirs, product.words, changes[0], changes[-1])
    return chart(f"curve.{id_of(feature)}", title, alt, canvas, columns, rows, note)


def product_title(theirs: str, words: str, low: Figure, high: Figure) -> str:
    """The finding: what more of the therapist's quality does where the client's number is low, and where it is high."""

    def does(change: Figure) -> str:
        way = apart(change)
        return (
            f"{'helps' if way > 0 else 'harms'} ({said(change, 'SD')})"
            if way
            else f"no clear effect ({said(change, 'SD')})"
        )

    return f"{capital(theirs)}: at low {words} {does(low)}, at high {words} {does(high)}"


def _of_words(ranking: Ranking, feature: str, meaning: str) -> Chart | None:
    if not any(ranking.bundle.features.feature_of[column] == feature for column in ranking.names):
        return None
    found = word_lines(ranking, feature)
    order = sorted(found, key=lambda word: -found[word][UTILITY].value)
    figures = [found[word][UTILITY] for word in order]
    many = [int(np.nansum(ranking.raw(f"{feature}.{word}"))) for word in order]
    canvas = intervals([f"{word} (n = {n:,})" for word, n in zip(order, many, strict=True)], *ends(figures), OVERALL)
    clear = [f"{word} {said(one, 'SD')}" for word, one in zip(order, figures, strict=True) if apart(one)]
    finding = "; ".join(clear[:2]) if clear else "no kind differs clearly from the average"
    alt = f"{capital(meaning)}, overall fit: " + "; ".join(
        f"{word} {said(one, 'SD')}" for word, one in zip(order, figures, strict=True)
    )
    columns = [Column(name="kind", label=capital(meaning)), *_columns(ranking), _count()]
    rows: list[list[Cell]] = [
        [word, *(estimate(found[word][name]) for name in (UTILITY, *ranking.heads)), n]
        for word, n in zip(order, many, strict=True)
    ]
    return chart(
        f"curve.{id_of(feature)}", f"{capital(meaning)}: {finding}", alt + ".", canvas, columns, rows, RANKS_NOTE
    )


def _columns(ranking: Ranking) -> list[Column]:
    heads = [Column(name=name, label=capital(name.replace("_", " ")), unit="SD", digits=3) for name in ranking.heads]
    return [Column(name=UTILITY, label="Overall fit", unit="SD", digits=3), *heads]


def _count() -> Column:
    return Column(name="pairs", label="Pairs available", digits=0)


def _cells(ranking: Ranking, found: Lines, at: int) -> list[Cell]:
    return [estimate(found.by_head[name][at]) for name in (UTILITY, *ranking.heads)]


def _near(x: Floats, raw: Floats) -> list[int]:
    """How many values lie nearest to each of the points."""
    known = raw[~np.isnan(raw)]
    counts: list[int] = np.bincount(np.searchsorted((x[1:] + x[:-1]) / 2, known), minlength=len(x)).tolist()
    return counts
