"""The model card: what a bundle is, in words that stand without the program."""

from collections.abc import Iterator, Mapping
from typing import Any

from training.bundle import Bundle, Manifest
from training.card.data import card_of
from training.card.markdown import markdown
from training.fitting import UNSEEN
from training.telling import NAMES, REGIMES, group_lines, head_lines, off_policy_lines

FIGURES = {
    "r2_over_patient_only": "over patient-only",
    "r2_over_therapist_only": "over therapist-only",
    "r2_over_therapist_mean": "over therapist-mean",
    "rank_validity": "rank validity",
}
NOT_FOR = (
    "It does not diagnose, does not decide how urgent anyone is, does not choose a treatment, and does not judge "
    "therapists: nothing in it is for pay or dismissal. A predicted outcome never decides who is seen."
)


def model_card(manifest: Manifest, bundle: Bundle) -> str:
    """The card in Markdown."""
    return "\n".join(_lines(manifest, bundle)) + "\n"


def _lines(manifest: Manifest, bundle: Bundle) -> Iterator[str]:
    yield f"# {manifest.name}"
    yield ""
    if manifest.synthetic:
        yield "**Learned from synthetic data: invented people. No figure here says anything about real therapy.**"
        yield ""
    yield "Supports allocation among therapists whom a client can really see. " + NOT_FOR
    yield ""
    yield f"- data: {manifest.dataset} (hash {manifest.data_hash}), as of {manifest.as_of or 'no date'}"
    yield f"- feature policy: {manifest.policy_hash}; features: {len(bundle.features.words)}"
    yield f"- hard rules the data can answer: {', '.join(manifest.rules) or 'none'}"
    yield f"- {_tested(manifest)}"
    if "offers_recorded" in manifest.evaluation and not manifest.evaluation["offers_recorded"]:
        yield "- who was available was not recorded: choices, and so gains, are guessed from who saw clients then"
    for what, share in manifest.flags.items():
        yield f"- {what}: {share:.0%} of the rows learned from"
    for name, reason in manifest.left_out.items():
        yield f"- head {name} was left out: {reason}"
    yield ""
    yield "| head | learns from | rows | weight | R2 | " + " | ".join(FIGURES.values()) + " |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, head in bundle.heads.items():
        yield _row(name, head.info.source, head.info.rows, head.info.weight, manifest.evaluation)
    yield ""
    yield from _came_true(manifest.evaluation)
    yield from _gain(manifest.evaluation)
    yield from _valued(manifest.evaluation.get("off_policy", {}))
    yield from _stood_up(bundle)
    yield "## Limits"
    yield ""
    yield "- Associations in routine data. A gain rests on there being no unmeasured difference between clients sent"
    yield "  to different therapists."
    yield "- Therapist effects are small: for many clients no therapist is meaningfully better than the next free one."
    yield "- Therapists with few cases are predicted from their profile, with wide intervals."
    yield ""
    yield from markdown(card_of(manifest, bundle))


def _tested(manifest: Manifest) -> str:
    if "heads" not in manifest.evaluation:
        return str(manifest.evaluation.get("note", "not evaluated"))
    if not manifest.evaluation["forward"]:
        return "not tested forward in time: the data have no dates; tested on clients held out"
    count, start = manifest.evaluation["test_episodes"], manifest.evaluation["test_from"]
    return f"tested forward in time, on {count} episodes from {start}"


def _row(name: str, source: str, rows: int, weight: float, evaluation: Mapping[str, Any]) -> str:
    tested = evaluation.get("heads", {}).get(name, {})
    if "r2" not in tested:
        return f"| {name} | {source} | {rows} | {weight} | not tested | | | | |"
    cells = " | ".join(_figure(tested[key]) for key in FIGURES)
    return f"| {name} | {source} | {rows} | {weight} | {_figure(tested['r2']['model'])} | {cells} |"


def _came_true(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """Calibration, intervals, ranks and groups of every head, in sentences."""
    heads = evaluation.get("heads", {})
    lines = [line for n, head in heads.items() for line in (*head_lines(n, head), *group_lines(n, head))]
    if not lines:
        return
    yield "## Whether it came true"
    yield ""
    yield "On clients of the test block. Results that rise by 1.00 for every 1 predicted are as predicted."
    yield ""
    yield from (f"- {line}" for line in lines)
    yield ""


def _gain(evaluation: Mapping[str, Any]) -> Iterator[str]:
    utility = evaluation.get("utility", {})
    gains = utility.get("over_next_available")
    if not gains:
        return
    yield "## Gain over the next available therapist"
    yield ""
    yield f"- this model: {_figure(gains['model']['gain'])} SD of utility (it claims {gains['model']['claimed']:.3f})"
    yield f"- a shrunken therapist mean: {_figure(gains['therapist_mean']['gain'])} SD"
    yield "- the prognosis alone: 0, for it expects the same of every therapist"
    yield ""
    yield from _regimes(utility.get("regimes", []))


def _regimes(rows: list[dict[str, Any]]) -> Iterator[str]:
    """What came true of each way to choose under each regime, with all therapists offered, in SD of utility."""
    mine = {(row["policy"], row["regime"]): row["gain"] for row in rows if row["eligible"] == "all"}
    if not mine:
        return
    shown = [regime for regime in REGIMES if ("model", regime) in mine]
    yield "| way to choose | " + " | ".join(shown) + " |"
    yield "|---" * (len(shown) + 1) + "|"
    for policy, words in NAMES.items():
        if all((policy, regime) in mine for regime in shown):
            yield f"| {words} | " + " | ".join(_figure(mine[policy, regime]) for regime in shown) + " |"
    yield ""
    yield "Under full caseloads the places are exactly those taken: a therapist who is better for everyone is worth"
    yield "nothing there, and only what differs between clients counts."
    yield ""


def _valued(found: Mapping[str, Any]) -> Iterator[str]:
    """What the log of choices says, and the trial that it stands for."""
    if not found.get("heads"):
        return
    yield "## Valued from past choices"
    yield ""
    yield from (f"- {line}" for line in off_policy_lines(found))
    yield ""
    trials = [head["target_trial"] for head in found["heads"].values() if "target_trial" in head]
    if not trials:
        return
    yield "The trial that these figures stand in for:"
    yield ""
    yield from (f"- {name.replace('_', ' ')}: {said}" for name, said in trials[0].items() if isinstance(said, str))
    yield ""


def _stood_up(bundle: Bundle) -> Iterator[str]:
    """How much of each head's fit stood up to clients not seen."""
    yield "## How much of the fit counts"
    yield ""
    for name, head in bundle.heads.items():
        gains, share = head.info.gains, head.info.share
        if "fit" in gains:
            said = f"{share['therapist']:.0%} of what therapists are to everyone, {share['fit']:.0%} of what differs"
            yield f"- {name}: {said} within a client (R-loss gain {_figure(gains['fit'])} of what was left over)"
    yield f"- what columns cannot say of a match is taken to be {UNSEEN:.0%} of what they say: an assumption"
    yield ""


def _figure(figure: Mapping[str, float]) -> str:
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
