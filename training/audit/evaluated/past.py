"""What past choices say of ways to choose (off-policy values), with everything they rest on, and what data could show.

An E-value says how strongly something unrecorded would have to be tied both to who sees whom and to the result, as a
risk ratio, to explain a gain away: RR + sqrt(RR (RR - 1)), with RR = exp(.91 d) for a gain of d SD (VanderWeele and
Ding 2017, "Sensitivity analysis in observational research: introducing the E-value", Annals of Internal Medicine 167).
"""

import math
from collections.abc import Iterator, Mapping
from statistics import NormalDist
from typing import Any

from scipy.special import stdtrit

from training.audit.document import Cell, Column, Estimate, Finding, Part, Table, Words
from training.audit.evaluated.gains import plain, said

POLICIES = {
    "top_tenth": "one of the top tenth of those available",
    "argmax": "the therapist ranked first",
    "logged": "as the clinic chose",
}
ROUGH = 200.0
"""An effective sample under this is called small in words."""


def e_value(gain: float) -> float:
    """The E-value of a gain in SD; 1, which is nothing at all, for none."""
    ratio = math.exp(0.91 * max(gain, 0.0))
    return ratio + math.sqrt(ratio * (ratio - 1))


def clear(gain: Mapping[str, float], many: int, effective: float) -> bool:
    """Whether a gain with its 90 % interval is told from nothing at the two-sided .05 shared by `many` of them.

    By Student's t with as many degrees of freedom as the `effective` clients of an experiment less one.
    """
    error = (gain["high"] - gain["low"]) / (2 * NormalDist().inv_cdf(0.95))
    far = float(stdtrit(max(effective - 1, 1), 1 - 0.025 / many))
    return gain["low"] > 0 and gain["value"] > far * error


def past_parts(found: Mapping[str, Any]) -> list[Part]:
    """Table, caveats, and the trial that the figures stand in for; where there is none the reason."""
    heads = {name: head for name, head in found.get("heads", {}).items() if "policies" in head}
    if not heads:
        return [Words(title="Valued from past choices", lines=(_why_not(found),))]
    return [
        Words(title="Valued from past choices", lines=tuple(_caveats(found, heads))),
        _table(heads),
        _trial(next(iter(heads.values()))["target_trial"]),
    ]


def _why_not(found: Mapping[str, Any]) -> str:
    notes = [found.get("note", ""), *(head.get("note", "") for head in found.get("heads", {}).values())]
    reason = next((note for note in notes if note), "it was not tried")
    return f"Past choices could not be valued: {reason}."


def _caveats(found: Mapping[str, Any], heads: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield (
        "These figures ask what would have come of other choices among the same clients, from who saw whom and what "
        "came of it. They are no experiment: they hold if nothing that is not on record decided who saw whom."
    )
    propensity = found["propensity"]
    yield (
        f"The chance of each choice was recorded for {propensity['share_recorded']:.0%} of "
        f"{propensity['clients']:,} clients and estimated for the others. The least chance of a choice that was "
        f"made is {propensity['least']:.1%}; {propensity['share_clipped']:.0%} were so small that they were bounded."
    )
    for name, head in heads.items():
        one = head["policies"]["top_tenth"]
        if isinstance(one["gain"], Mapping):
            yield _explained_away(name, one["gain"], one["effective_size"], one["clients"], len(heads))


def _explained_away(name: str, gain: Mapping[str, float], effective: float, clients: int, many: int) -> str:
    size = f"What {clients:,} clients say of it is worth {effective:,.0f} clients of an experiment" + (
        ", which is little: the interval itself is rough" if effective < ROUGH else ""
    )
    told = (
        f"{plain(name)}: choosing among the top tenth is valued at {said(gain)} SD over next available (90 % "
        f"interval). {size}."
    )
    if not clear(gain, many, effective):
        return f"{told} That is not told from nothing{f', of {many} results looked at' if many > 1 else ''}."
    return (
        f"{told} To explain it away, something unrecorded would have to go with who sees whom, and with the result, by "
        f"a ratio of about {e_value(gain['value']):.1f} each ({e_value(gain['low']):.1f} for the lower end)."
    )


def _table(heads: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = [
        _row(name, words, head["policies"][policy])
        for name, head in heads.items()
        for policy, words in POLICIES.items()
        if policy in head["policies"]
    ]
    columns = (
        Column(name="head", label="Result"),
        Column(name="policy", label="Each client sees"),
        Column(name="gain", label="Gain over next available, 90 % interval", unit="SD"),
        Column(name="effective", label="Worth so many clients of an experiment", digits=0),
        Column(name="clients", label="Clients", digits=0),
        Column(name="warning", label="Caveat"),
    )
    note = "An empty gain cannot be estimated from these data; the caveat says why."
    return Table(
        id="past-choices",
        title="Ways to choose, valued from past choices",
        columns=columns,
        rows=tuple(rows),
        note=note,
    )


def _row(name: str, words: str, one: Mapping[str, Any]) -> tuple[Cell, ...]:
    gain = one["gain"]
    cell = Estimate(value=gain["value"], low=gain["low"], high=gain["high"]) if isinstance(gain, Mapping) else None
    return (plain(name), words, cell, one["effective_size"], one["clients"], one["warning"] or None)


def _trial(trial: Mapping[str, Any]) -> Table:
    rows = [(name.replace("_", " "), text) for name, text in trial.items() if isinstance(text, str)]
    rows += [
        (f"assumed: {name}", f"{one['holds_if']}; broken where {one['broken_by']}")
        for name, one in trial.get("assumptions", {}).items()
    ]
    columns = (Column(name="part", label="Part of the trial"), Column(name="words", label="As these data have it"))
    return Table(
        id="target-trial", title="The trial that these figures stand in for", columns=columns, rows=tuple(rows)
    )


def power_words(found: Mapping[str, Any]) -> tuple[str, ...]:
    """The smallest gain that data of this size could show, a sentence for each head."""
    return tuple(
        f"{plain(name)}: {head['power']['words']}" for name, head in found.get("heads", {}).items() if "power" in head
    )


def past_findings(found: Mapping[str, Any]) -> list[Finding]:
    """Whether past choices bear the gain out."""
    heads = {name: head for name, head in found.get("heads", {}).items() if "policies" in head}
    if not heads:
        return [Finding(level="note", words=_why_not(found))]
    not_told = [name for name, head in heads.items() if not isinstance(head["policies"]["top_tenth"]["gain"], Mapping)]
    if not_told:
        words = f"Past choices are too few, or too far from the ranking, to value it for {', '.join(not_told)}."
        return [Finding(level="note", words=words)]
    return []
