"""A page for each feature: what it is, where it is used, what it does, and what who signs it should know."""

from collections.abc import Mapping
from typing import Any

from training.audit.document import Column, Estimate, Finding, Part, Section, Table, Words
from training.audit.importance.proxy import BY_NATURE, TELLS
from training.audit.importance.tables import (
    KINDS,
    MATCHING_COLUMNS,
    PROGNOSTIC_COLUMNS,
    SPREAD_NOTE,
    hundred,
    matching_cells,
    percent,
    plain,
    prognostic_cells,
)
from training.audit.importance.verdicts import flagged_words
from training.audit.importances import UTILITY, FeatureImportance, Flag
from training.audit.words import capital, listed

KNOW: Mapping[Flag, str] = {
    "forbidden": "It must not be used there: take it out of the configuration, or have the policy changed first.",
    "sign": "Ask someone who knows the field whether the direction can be right before you sign; it may be chance, or "
    "another cause that goes with it.",
    "unstable": "With other clients of the same kind the model might have learned something else of it. Signing it "
    "means signing that.",
    "proxy": "Whoever signs it decides that this trait may come in by this column. If that is not meant, exclude it "
    "(features.exclude) and train again.",
}

OPENLY = frozenset({"gender", "ethnicity", "age"})
"""Traits of clients that the prognosis may know as such."""


def page(
    one: FeatureImportance,
    reason: str,
    words: tuple[str, ...],
    together: tuple[str, ...],
    stability: Mapping[str, Any],
) -> Section:
    """The page of one feature.

    `reason` is the policy's, `words` are the values that became columns, `together` the features that go with it.
    """
    raised = capital(flagged_words(plain(one.name), one.flags, one.proxies))
    level = "stop" if "forbidden" in one.flags else "look"
    found = (Finding(level=level, words=raised, page=f"feature/{one.name}"),) if one.flags else ()
    parts = (
        _what(one, reason, words, together),
        *_numbers(one),
        *_stability(one, stability),
        *_proxies(one),
        _know(one),
    )
    return Section(
        id=one.name, title=capital(f"{plain(one.name)}: {one.meaning}"), says=(one.says,), findings=found, parts=parts
    )


def _what(one: FeatureImportance, reason: str, words: tuple[str, ...], together: tuple[str, ...]) -> Words:
    used = (
        "the fit, which ranks therapists"
        if one.part == "fit"
        else "the prognosis, which is the same for every therapist and never ranks"
    )
    lines = [
        f"What it is: {one.meaning}.",
        f"Where it is used: {used}. It is a feature of {KINDS[one.kind]}.",
        f"Policy: {one.status} ({reason}).",
        f"More of it was expected to go with: {_sign(one.expected)}. Learned: {_sign(one.learned)}.",
    ]
    if words:
        shown = ", ".join(words[:20]) + (f" and {len(words) - 20} more" if len(words) > 20 else "")
        lines.insert(1, f"Its values, each a column of its own: {shown}.")
    if together:
        others = listed([plain(name) for name in together])
        lines.append(f"It goes together with {others}: what one of them says, another can say in its place.")
    if one.part == "fit" and one.expected in ("+", "-") and one.kind in ("match", "track"):
        lines.append(
            "The fit lets columns of a pair lean together the way the field expects as far as the data say so. That a "
            "small effect agrees with what was expected is therefore weak evidence by itself."
        )
    return Words(title="What it is", lines=tuple(lines))


def _sign(sign: str) -> str:
    return {
        "+": "better results",
        "-": "worse results",
        "0": "no difference, or none that is clear",
        "?": "no single direction",
    }[sign]


def _numbers(one: FeatureImportance) -> list[Part]:
    found: list[Part] = []
    name = Column(name="head", label="For")
    if one.matching:
        rows = tuple((_head(head), *matching_cells(some)) for head, some in one.matching.items())
        title = "How it changes the order of therapists"
        found.append(Table(id="matching", title=title, columns=(name, *MATCHING_COLUMNS), rows=rows, note=SPREAD_NOTE))
    if one.prognostic:
        rows = tuple((_head(head), *prognostic_cells(some)) for head, some in one.prognostic.items())
        title = "What it says of who does well, whoever the therapist is"
        found.append(Table(id="prognostic", title=title, columns=(name, *PROGNOSTIC_COLUMNS), rows=rows))
    if one.coefficients:
        found.append(_coefficients(one))
    return found


def _head(name: str) -> str:
    return "the ranking (all heads, weighed)" if name == UTILITY else plain(name)


def _coefficients(one: FeatureImportance) -> Table:
    columns = (
        Column(name="head", label="For"),
        Column(name="column", label="Column"),
        Column(name="coefficient", label="Coefficient", unit="SD per SD", digits=3),
        Column(name="refit_sd", label="SD over refits", digits=3),
        Column(name="same_sign", label="Refits with the same sign", unit="%", digits=0),
    )
    rows = tuple(
        (
            plain(c.head),
            c.column,
            Estimate(value=c.value, low=c.low, high=c.high),
            c.refit_sd,
            None if c.same_sign is None else hundred(c.same_sign),
        )
        for c in one.coefficients
    )
    note = (
        "As served. Intervals are 95 %, each by itself, and know that variances are estimated: of forty coefficients "
        "one or two lie on the wrong side by chance, so a sign against what is expected is flagged only where an "
        "interval wide enough for all of them together excludes chance. Refits: therapists drawn again with all "
        "their clients, at the same variances. Empty where the bundle holds no refits."
    )
    return Table(id="coefficients", title="What was learned of it, exactly", columns=columns, rows=rows, note=note)


def _stability(one: FeatureImportance, stability: Mapping[str, Any]) -> list[Part]:
    """How its share of the prognosis moved over trees grown again."""
    rows = []
    for head, kept in stability.get("heads", {}).items():
        trees = kept.get("trees", {}).get(one.name)
        if trees:
            share = Estimate(value=hundred(trees["mean"]), low=hundred(trees["low"]), high=hundred(trees["high"]))
            rows.append((plain(head), share, f"{trees['rank_low']:g} to {trees['rank_high']:g}"))
    if not rows:
        return []
    columns = (
        Column(name="head", label="For"),
        Column(name="share", label="Share of the trees' contributions", unit="%", digits=1),
        Column(name="place", label="Its place among all"),
    )
    note = f"Mean, least and greatest of {stability.get('regrown')} sets of trees, grown on clients drawn again."
    return [Table(id="stability", title="How steady that is", columns=columns, rows=tuple(rows), note=note)]


def _proxies(one: FeatureImportance) -> list[Part]:
    if not one.proxies:
        if one.kind in ("client", "therapist"):
            return []
        line = (
            "It is made anew for each pair from what a client needs or wishes and what a therapist offers; it is no "
            "trait of a person and is not asked whether it stands in for one. For whom the model works less well is "
            "said by group of clients."
        )
        return [Words(title="Does it stand in for a protected trait?", lines=(line,))]
    columns = (
        Column(name="trait", label="Trait"),
        Column(name="group", label="Group told best"),
        Column(name="people", label="People", digits=0),
        Column(name="auc", label="Pairs told right", unit="of 100", digits=0),
        Column(name="others", label="By all other columns together", unit="of 100", digits=0),
    )
    rows = tuple(
        (
            p.trait,
            p.group,
            p.people,
            percent(p.auc),
            None if p.others is None else hundred(p.others),
        )
        for p in one.proxies
    )
    note = (
        "Of two people, one of the group and one not, how often the feature tells which is which, on people it was not "
        f"shown; a guess is right in 50 of 100. Flagged where even a cautious low end lies over {100 * TELLS:.0f}. The "
        "last column is worked out for what tells that much."
    )
    nature = [words for (name, _), words in BY_NATURE.items() if name == one.name]
    if nature:
        note += f" That it goes with age lies in what it is: {nature[0]}. The policy was written knowing that."
    title = "Does it stand in for a protected trait?"
    return [Table(id="proxies", title=title, columns=columns, rows=rows, note=note)]


def _know(one: FeatureImportance) -> Words:
    lines = [KNOW[flag] for flag in one.flags]
    openly = sorted({p.trait for p in one.proxies if p.flagged} & OPENLY) if one.kind == "client" else []
    if openly:
        lines.append(
            f"The policy lets the prognosis know a client's {listed(openly)} as such; that this column brings the "
            "same in by another name should be known all the same. It cannot change the order of therapists."
        )
    if not lines and one.verdict == "noise":
        lines = ["Nothing speaks for it. It does little harm; leaving it out makes the model easier to explain."]
    if not lines and one.verdict == "unsure":
        lines = [
            "The data do not settle it. Sign it if it makes sense to you clinically; look again at the next model."
        ]
    if not lines and one.verdict == "unused":
        lines = ["The model does nothing with it today. Signing it allows the next one to."]
    if not lines:
        lines = ["Nothing here calls for a second look. Importance says what the model goes by, not what causes what."]
    return Words(title="What you should know before you sign", lines=tuple(lines))
