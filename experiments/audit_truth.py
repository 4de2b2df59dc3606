"""Are an audit's statements true? Clinics whose truth is known, audited as any other, and the words held against it.

*Planted*: features behind which the clinic has a match effect or a trait of therapists; each should matter, with its
sign. *Noise*: columns without any effect; none should drive or matter. *Proxies*: two columns that stand in for
ethnicity; they, and no others, should be flagged. *Harm*: clinics in which one group is harmed, beside clinics in which
none is; the group should be named in the one, and no group in the other. *Therapists*: 95 % intervals of their effects
should hold the planted effects of 95 %.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.table import Table

from data.synthetic.clinic import simulate
from data.synthetic.plan import Arm, Plan
from data.synthetic.truth import Truth
from experiments.clinics import each, figure, plans
from training.audit.document import Audit
from training.audit.examined import examined
from training.audit.harm.rates import wilson
from training.audit.run import audit
from training.audit.therapists.known import Known
from training.config import TrainConfig
from training.run import train

PLANTED: Mapping[str, str] = {
    "wishes_met": "+",
    "directiveness_gap": "-",
    "interpersonal_skill": "+",
    "main_problem_trained": "+",
}
"""Features that carry the largest planted effects that columns can carry, with the sign planted."""

HARM = "ethnicity=black"
SEVERITY = "group/severity_band"
ARMS: tuple[Arm, ...] = ("base", "null")
TOLD = {
    "planted_matter": "planted feature said to drive or matter",
    "planted_sign": "planted feature with its sign, never the other",
    "planted_other_sign": "planted feature with the other sign",
    "noise_matters": "noise column said to drive or matter",
    "noise_named": "noise column of the fit called noise",
    "null_matters": "anything that ranks said to drive or matter where nothing does",
    "proxies_flagged": "proxy flagged",
    "others_flagged": "other feature flagged as a proxy",
    "harmed_named": "the harmed group named a reason to stop",
    "groups_named": "any other group named a reason to stop",
    "groups_looked_at": "any other group to be looked at, those by severity aside",
    "effects_held": "planted effect of a therapist in its 95 % interval",
    "profiles_held": "the same where the profile alone foretells it",
}
"""What is counted, as the table says it."""


def run(
    episodes: int = 10_000,
    therapists: int = 150,
    seeds: int = 10,
    on_clinic: Callable[[], None] = lambda: None,
    arms: Sequence[Arm] = ARMS,
    jobs: int = 1,
) -> dict[str, Any]:
    """Shares over clinics of each kind, with intervals; the arm `base` is looked at with and without a harmed group."""
    size = {"episodes": episodes, "therapists": therapists}
    wanted = [plan for arm in arms for plan in plans(seeds, arm=arm, **size)]
    wanted += list(plans(seeds, arm="base", harm=HARM, **size))
    rows = pd.DataFrame(each(wanted, measure, on_clinic, jobs))
    found = {
        str(kind): {name: shares(mine[name]) for name in TOLD if mine[name].notna().all()}
        for kind, mine in rows.groupby("kind", sort=False)
    }
    return {"synthetic": True, **size, "seeds": seeds, "kinds": found}


def measure(plan: Plan) -> dict[str, Any]:
    """One clinic: invented, learned from, audited, and held against its truth."""
    dataset, truth = simulate(plan)
    said = truth.describe()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "bundle"
        train(dataset, TrainConfig(seed=plan.seed), folder)
        found, known = audit(folder, dataset), Known.of(examined(folder, dataset))
    kind = f"{plan.arm}, {plan.harm} harmed" if plan.harm else str(plan.arm)
    features = of_features(found, said, plan.arm != "null")
    return {"kind": kind, **features, **of_groups(found, plan.harm), **of_therapists(known, truth)}


def of_features(found: Audit, truth: Mapping[str, Any], planted: bool) -> dict[str, float | None]:
    """Shares of planted, noise and proxy features that are called what they are; None where nothing is planted."""
    features = {one.name: one for one in found.importance.features}
    matter = {name for name, one in features.items() if one.verdict in ("drives", "matters")}
    proxied = {name for name, one in features.items() if "proxy" in one.flags}
    noise = [feature_of(name) for name in truth["noise"]]
    fitted = [name for name in noise if name in features and features[name].part == "fit"]
    proxies = {name for name in map(feature_of, truth["proxies"]) if name in features}
    signs = {name: features[name].learned for name in PLANTED if name in features}
    return {
        "planted_matter": share([name in matter for name in PLANTED]) if planted else None,
        "planted_sign": share([signs.get(name) == sign for name, sign in PLANTED.items()]) if planted else None,
        "planted_other_sign": share([sign in "+-" and sign != PLANTED[n] for n, sign in signs.items()])
        if planted
        else None,
        "noise_matters": share([name in matter for name in noise]),
        "noise_named": share([features[name].verdict in ("noise", "unused") for name in fitted]),
        "null_matters": None
        if planted
        else share([one.verdict in ("drives", "matters") for one in features.values() if one.part == "fit"]),
        "proxies_flagged": share([name in proxied for name in proxies]),
        "others_flagged": share([name in proxied for name in features if name not in proxies]),
    }


def of_groups(found: Audit, harm: str | None) -> dict[str, float | None]:
    """Whether the harmed group is named a reason to stop, whether any other is, and whether others are to be looked at.

    Severity is no harm: therapists are planted to differ more for the severe, so that others truly gain less.
    """
    section = found.section("groups")
    assert section is not None
    attribute, _, value = (harm or "").partition("=")
    named = [one for one in section.findings if one.level in ("look", "stop") and one.page]
    mine = [one for one in named if harm and one.page == f"group/{attribute}" and value in one.words]
    others = [one for one in named if one not in mine]
    return {
        "harmed_named": float(any(one.level == "stop" for one in mine)) if harm else None,
        "groups_named": float(any(one.level == "stop" for one in others)),
        "groups_looked_at": float(any(one.level == "look" and one.page != SEVERITY for one in others)),
    }


def of_therapists(known: Known, truth: Truth) -> dict[str, float]:
    """Shares of therapists whose planted effect on the outcome lies in its interval, with own results and without."""
    planted = true_effects(known, truth)
    told = {"effects_held": known.with_own["outcome"], "profiles_held": known.by_profile["outcome"]}
    return {name: float(((planted > one.low) & (planted < one.high)).mean()) for name, one in told.items()}


def true_effects(known: Known, truth: Truth) -> npt.NDArray[np.float64]:
    """(therapists,): what was planted for a client of average severity, beside the average past case."""
    place = {name: i for i, name in enumerate(truth.therapist_ids.tolist())}
    at, words = np.array([place[name] for name in known.ids]), truth.describe()["problems"]
    names = list(known.looked_at.bundle.design.effects)
    mix = [known.usual[names.index(f"strength.{word}")] if f"strength.{word}" in names else 0.0 for word in words]
    effect = (truth.effects.main[-1] + truth.effects.problem[-1] @ np.array(mix))[at]
    return np.asarray(effect - np.average(effect, weights=known.seen))


def feature_of(column: str) -> str:
    """The feature of a column that the truth names: `therapists.pets` is `therapist.pets`."""
    table, _, name = column.partition(".")
    return f"{table.removesuffix('s')}.{name}"


def shares(values: pd.Series) -> dict[str, float]:
    """Mean share over clinics with its score interval, each clinic counting as one: none of three is not never."""
    low, high = wilson(float(values.sum()), len(values))
    return {"value": float(values.mean()), "low": low, "high": high}


def share(true: Sequence[bool]) -> float:
    """How many of them are true; 0 of none."""
    return sum(true) / max(len(true), 1)


def table(result: dict[str, Any]) -> Table:
    """A row for each statement, a column for each kind of clinic."""
    shown = Table(
        title=f"{result['seeds']} clinics of each kind, {result['episodes']:,} episodes, {result['therapists']} "
        "therapists; SYNTHETIC. Shares over clinics, with 95 % intervals"
    )
    shown.add_column("statement")
    for kind in result["kinds"]:
        shown.add_column(kind, justify="right")
    for name, words in TOLD.items():
        shown.add_row(words, *(figure(kind.get(name), 2) if name in kind else "" for kind in result["kinds"].values()))
    return shown
