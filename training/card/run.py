"""What two cards can be set against each other by: data, features, settings and figures of a run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from training.bundle import Bundle, Manifest
from training.config import flat


@dataclass(frozen=True)
class Ran:
    """A run in plain values, each under the words by which people know it."""

    data: Mapping[str, str]
    features: tuple[str, ...]
    settings: Mapping[str, str]
    """What was asked of the run, and the rules and policy that hold for it."""
    figures: Mapping[str, Mapping[str, float]]
    """Estimates with their intervals."""


def ran_of(manifest: Manifest, bundle: Bundle) -> Ran:
    """The run behind a bundle."""
    data = {
        "dataset": manifest.dataset,
        "data hash": manifest.data_hash,
        "as of": str(manifest.as_of or "no date"),
        "synthetic": "yes" if manifest.synthetic else "no",
        "tested from": str(manifest.evaluation.get("test_from") or "no date"),
        "courses tested": str(manifest.evaluation.get("test_episodes", 0)),
        **{f"courses behind {head.info.name}": str(head.info.rows) for head in bundle.heads.values()},
    }
    asked = flat({name: value for name, value in manifest.config.items() if name not in ("name", "dataset")})
    settings = {
        "feature policy": manifest.policy_hash,
        "hard rules": ", ".join(manifest.rules) or "none",
        "proven": "yes" if manifest.proven else "no",
        **{f"left out: {name}": why for name, why in manifest.left_out.items()},
        **{name.replace(".", " ").replace("_", " "): _said(value) for name, value in asked},
        **{f"version of {name}": version for name, version in manifest.versions.items()},
    }
    return Ran(data, tuple(sorted(bundle.features.words)), settings, dict(_figures(manifest.evaluation)))


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _figures(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, float]]]:
    utility = evaluation.get("utility", {})
    for name, row in utility.get("over_next_available", {}).items():
        if name == "model":
            yield "gain over next available", row["gain"]
    for name, words in (
        ("model_over_therapist_mean", "gain over a therapist mean"),
        ("rank_validity", "rank validity"),
    ):
        if name in utility:
            yield words, utility[name]
    for name, head in evaluation.get("heads", {}).items():
        if "r2" in head:
            yield f"{name}: R2", head["r2"]["model"]
            yield f"{name}: rank validity", head["rank_validity"]
        if head.get("calibration", {}).get("slope"):
            yield f"{name}: calibration slope", head["calibration"]["slope"]
