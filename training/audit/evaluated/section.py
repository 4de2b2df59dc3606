"""What the test found, in words: gains, controls that must fail, off-policy values, limits."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from training.audit.charts import chart, intervals
from training.audit.document import Chart, Column, Estimate, Finding, Part, Section, Table, Words
from training.audit.evaluated.falsified import SENT, Control, controls, known_at_intake
from training.audit.evaluated.gains import (
    estimate,
    gain_of_first,
    gains_chart,
    gains_table,
    of_regime,
    plain,
    regimes_chart,
    said,
    units,
    units_table,
)
from training.audit.evaluated.heads import (
    doses_chart,
    explained_table,
    tested,
    truth_findings,
    truth_table,
    truth_words,
)
from training.audit.evaluated.past import past_findings, past_parts, power_words
from training.audit.examined import Examined
from training.audit.ranked import Ranked, ranked
from training.robust import ENOUGH_CLUSTERS
from training.telling import REGIMES

ID, TITLE = "evaluation", "Does it work, and how sure are we?"
PAGE = f"section/{ID}"
PROVEN = (
    "Proven means here: tested forward in time, over choices that were recorded, and with the whole 95 % interval of "
    "the gain over the next available therapist above 0. It does not mean that a trial was made.",
    "Differences between therapists are seldom larger than small: 0.2 SD is called small in this field, 0.5 medium.",
    "The next available therapist is taken to be an even draw from those offered. The gain is what the ranking claims "
    "for its first choice, times how far its claims came true for the therapists whom clients really saw.",
)
AN_SD = "(An SD is the spread of results between clients; a fifth of it is called a small difference.)"
LIMITS = (
    "All of this comes from routine records, in which nobody was sent to anybody by lot. A gain rests on there being "
    "no unrecorded difference between clients sent to different therapists.",
    "The test was made once, in one service. It was not repeated in another, and nothing here says what the ranking "
    "does once people use it: caseloads fill, and hopes change.",
    "Intervals count therapists, not only clients. They do not cover a change of staff, of referrals, or of how "
    "questionnaires are given.",
    "Controls for which the whole model is learned again (therapist ids shuffled, intake as the outcome) are made by "
    "`therapist-fit experiment falsification`, on synthetic clinics; those here look at this model alone.",
)


def section(looked_at: Examined) -> Section:
    """The section."""
    evaluation = looked_at.evaluation
    heads = tested(evaluation)
    if not heads:
        return _untested(evaluation)
    rows = ranked(looked_at) if looked_at.tested is not None else None
    found = [*(controls(looked_at, rows) if rows else ()), *known_at_intake(looked_at)]
    return Section(
        id=ID,
        title=TITLE,
        says=tuple(_says(looked_at, rows, found)),
        findings=(*_findings(looked_at, found), *truth_findings(heads), *past_findings(_past(evaluation))),
        parts=tuple(_parts(looked_at, heads, rows, found)),
    )


def _untested(evaluation: Mapping[str, Any]) -> Section:
    why = evaluation.get("note", "no result could be compared")
    words = f"This model was not tested: {why}. Nothing here says whether it works."
    return Section(id=ID, title=TITLE, says=(words,), findings=(Finding(level="look", words=words, page=PAGE),))


def _past(evaluation: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = evaluation.get("off_policy", {})
    return found


def _gains(evaluation: Mapping[str, Any]) -> Mapping[str, Any]:
    """The utility part where gains were tested, else nothing."""
    utility: Mapping[str, Any] = evaluation.get("utility", {})
    return utility if "over_next_available" in utility else {}


def _says(looked_at: Examined, rows: Ranked | None, found: Sequence[Control]) -> Iterator[str]:
    evaluation = looked_at.evaluation
    utility = _gains(evaluation)
    yield _who(evaluation)
    if utility:
        yield f"{_gain(utility)} {AN_SD}"
        if rows:
            yield _in_units(looked_at, rows)
        yield _beside(utility)
        yield _proven(looked_at)
    if found:
        yield _controlled(found)
    if rows is None:
        yield "Controls on the ranking could not be tried: too few clients with a choice have a result."


def _controlled(found: Sequence[Control]) -> str:
    """How many controls that could have failed did; those that cannot fail count for nothing."""
    tried = sum(not control.by_design for control in found)
    failed = [control.name for control in found if not control.holds]
    if failed:
        many = (
            "1 control that must come to nothing was"
            if tried == 1
            else f"{tried} controls that must come to nothing were"
        )
        return f"{many} tried: {', '.join(failed)} did not; see below."
    if not tried:
        return "No control that could have shown something amiss could be tried."
    if tried == 1:
        return "1 control that must come to nothing, and might not have, was tried: it did."
    return f"{tried} controls that must come to nothing, and might not have, were tried: all did."


def _who(evaluation: Mapping[str, Any]) -> str:
    if evaluation.get("forward"):
        when = f"that began on or after {evaluation['test_from']}, later than anything it had learned from"
    else:
        when = "of clients held out; the data have no dates, so it was not tested forward in time"
    offers = "" if evaluation.get("offers_recorded") else " Who was available was not recorded and had to be guessed."
    return f"The model was tested on {evaluation['test_episodes']:,} courses of treatment {when}.{offers}"


def _gain(utility: Mapping[str, Any]) -> str:
    gain = utility["over_next_available"]["model"]["gain"]
    told = f"{said(gain)} SD of the combined result"
    if gain["low"] > 0:
        return f"Seeing the therapist ranked first, not the next available one, was worth {told}.{_where(utility)}"
    if gain["high"] < 0:
        return f"Seeing the therapist ranked first, not the next available one, was a loss: {told}.{_where(utility)}"
    return f"No gain over the next available therapist is shown: {told}, which holds 0.{_where(utility)}"


def _where(utility: Mapping[str, Any]) -> str:
    """The gain where there are fewer to choose from."""
    slots, full = (of_regime(utility, name).get("model") for name in REGIMES[1:])
    return (f" Among those with a free time within two weeks it was {said(slots)}." if slots else "") + (
        f" Where every caseload is full it was {said(full)}." if full else ""
    )


def _in_units(looked_at: Examined, rows: Ranked) -> str:
    told = []
    for head in rows.heads:
        gain = gain_of_first(rows, head.name).as_json()
        unit, size = next(iter(units(looked_at, head).items()))
        points = {name: value * size for name, value in gain.items()}
        told.append(f"{plain(head.name)} {said(points, 1 if size > 2 else 2)} {unit}")
    return f"In units that people know, this comes to about: {'; '.join(told)}. More is better in all of them."


def _beside(utility: Mapping[str, Any]) -> str:
    over = utility["model_over_therapist_mean"]
    if over["low"] > 0:
        told = "more than sending everybody to therapists with good averages"
    else:
        told = (
            "which does not tell it from sending everybody to therapists with good averages, a way that works only "
            "while those have places"
        )
    return (
        f"Beside a shrunken therapist mean that is {said(over)} SD, {told}. The prognosis alone brings 0: it expects "
        f"the same of every therapist."
    )


def _proven(looked_at: Examined) -> str:
    if looked_at.bundle.manifest.proven:
        return "The gain over the next available therapist is proven, in the sense given below; no trial was made."
    return f"The gain is not proven: {'; '.join(_not_proven(looked_at.evaluation))}."


def _not_proven(evaluation: Mapping[str, Any]) -> list[str]:
    """Each reason for which a gain does not count as proven."""
    gain = _gains(evaluation).get("over_next_available", {}).get("model", {}).get("gain")
    reasons = {
        "it was not tested forward in time": not evaluation.get("forward"),
        "who was available was not recorded": not evaluation.get("offers_recorded"),
        "no gain could be tested": gain is None,
        "the interval of the gain does not lie above 0": gain is not None and not gain["low"] > 0,
    }
    told = [reason for reason, holds in reasons.items() if holds]
    return told or [f"only {evaluation['therapists_tested']} therapists were tested, too few for the interval to hold"]


def _findings(looked_at: Examined, found: Sequence[Control]) -> Iterator[Finding]:
    evaluation = looked_at.evaluation
    if looked_at.bundle.manifest.proven:
        gain = _gains(evaluation)["over_next_available"]["model"]["gain"]
        words = f"Gain over the next available therapist: {said(gain)} SD, proven"
        if all(control.holds for control in found):
            yield Finding(level="fine", words=f"{words}.", page=PAGE)
        else:
            words += " in the sense given there; but a control failed, so part of it may be who was sent to whom."
            yield Finding(level="note", words=words, page=PAGE)
    else:
        why = "; ".join(_not_proven(evaluation))
        yield Finding(
            level="look", words=f"The gain over the next available therapist is not proven: {why}.", page=PAGE
        )
    validity = _gains(evaluation).get("rank_validity")
    if validity and not validity["low"] > 0:
        words = f"Whether results rise with the rank of the therapist seen is not shown: {said(validity)} SD."
        yield Finding(level="look", words=words, page=PAGE)
    if failed := [control for control in found if not control.holds]:
        told = " ".join(control.words for control in failed)
        words = f"Not everything that must come to nothing did. {told} {SENT}"
        yield Finding(level="look", words=words, page=PAGE)


def _parts(
    looked_at: Examined, heads: Mapping[str, Any], rows: Ranked | None, found: Sequence[Control]
) -> Iterator[Part]:
    evaluation = looked_at.evaluation
    utility = _gains(evaluation)
    yield Words(title="What these words mean", lines=PROVEN)
    if utility:
        yield gains_chart(utility)
        if rows:
            yield units_table(looked_at, rows)
        yield from (one for one in (regimes_chart(utility),) if one)
        yield gains_table(utility)
        yield from (one for one in (doses_chart(utility["dose_response"], utility["rank_validity"]),) if one)
    yield explained_table(heads)
    yield truth_table(heads)
    if lines := truth_words(heads):
        yield Words(title="Whether predictions came true", lines=lines)
    if found:
        yield controls_chart(found)
        yield _controls_table(found)
    yield from past_parts(_past(evaluation))
    if lines := power_words(_past(evaluation)):
        yield Words(title="What a test of this size could show", lines=lines)
    yield Words(title="Limits", lines=tuple(_limits(evaluation)))


def _limits(evaluation: Mapping[str, Any]) -> Iterator[str]:
    yield from LIMITS
    if evaluation["therapists_tested"] < ENOUGH_CLUSTERS:
        yield f"Only {evaluation['therapists_tested']} therapists were tested; errors are made wider for that (CR2)."
    for name, reason in evaluation.get("left_out", {}).items():
        yield f"{name} was not learned: {reason}."


def controls_chart(found: Sequence[Control]) -> Chart:
    """Every control with its interval, beside the 0 where it should be."""
    failed = [control.name for control in found if not control.holds]
    title = (
        f"Not everything that must come to nothing did: {', '.join(failed)}"
        if failed
        else "What must come to nothing came to nothing"
    )
    figures = [control.figure for control in found]
    canvas = intervals(
        [control.name for control in found],
        np.array([one.value for one in figures]),
        np.array([one.low for one in figures]),
        np.array([one.high for one in figures]),
        "Slope from lowest to highest rank, SD",
    )
    alt = f"{title}. " + "; ".join(f"{one.name} {said(one.figure.as_json())}" for one in found) + "."
    columns = (Column(name="control", label="Control"), Column(name="slope", label="Slope", unit="SD"))
    rows = [(one.name, estimate(one.figure.as_json())) for one in found]
    return chart("controls", title, alt, canvas, columns, rows)


def _controls_table(found: Sequence[Control]) -> Table:
    columns = (
        Column(name="control", label="Control"),
        Column(name="slope", label="Slope", unit="SD"),
        Column(name="n", label="Clients", digits=0),
        Column(name="holds", label="Came to nothing"),
        Column(name="words", label="In words"),
    )
    rows: list[tuple[str, Estimate, int, str, str]] = [
        (one.name, estimate(one.figure.as_json()), one.n, "yes" if one.holds else "no", one.words) for one in found
    ]
    note = (
        "A cause that nobody records and that intake does not show cannot be found like this: that all controls hold "
        "does not prove that there is none."
    )
    return Table(
        id="controls-told", title="Controls that must come to nothing", columns=columns, rows=tuple(rows), note=note
    )
