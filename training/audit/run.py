"""An audit from beginning to end: every section once, in the order in which a clinical lead asks."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from threadpoolctl import threadpool_limits

from data.dataset import Dataset
from training.audit import carded
from training.audit.curves import section as curves
from training.audit.document import Audit
from training.audit.evaluated import section as evaluated
from training.audit.examined import Examined, examined
from training.audit.fairness import section as fairness
from training.audit.flow import section as flow
from training.audit.harm import section as harm
from training.audit.importance import section as importance
from training.audit.therapists import section as therapists
from training.bundle import Bundle

Say = Callable[[str], None]

STEPS = 9
"""How often `audit` says what it is doing."""


def audit(folder: Path | str, dataset: Dataset, say: Say = lambda _: None, previous: Bundle | None = None) -> Audit:
    """Audits the bundle in a folder against the data it was learned from, and writes `audit.json` beside it.

    The card says what has changed since the `previous` bundle, such as the champion.

    Raises BundleError for a bundle that cannot be read, ConfigError for other data than those it was learned from.
    """
    with threadpool_limits(1):
        say("reading")
        found = _audited(examined(folder, dataset), say, previous)
    found.write(Path(folder))
    return found


def _audited(looked_at: Examined, say: Say, previous: Bundle | None) -> Audit:
    say("importance")
    drives, numbers, features = importance.examine(looked_at)
    say("curves")
    along, charts = curves.examine(looked_at)
    say("therapists")
    people, reports = therapists.examine(looked_at)
    say("groups")
    apart, groups = fairness.examine(looked_at)
    say("harm")
    harmed = harm.section(looked_at)
    say("whose data")
    whose = flow.section(looked_at)
    say("evaluation")
    works = evaluated.section(looked_at)
    say("card")
    card = carded.section(looked_at, previous)
    manifest = looked_at.bundle.manifest
    return Audit(
        bundle_id=manifest.bundle_id,
        name=manifest.name,
        dataset=manifest.dataset,
        synthetic=manifest.synthetic,
        as_of=manifest.as_of,
        made_at=dt.datetime.now(dt.UTC),
        policy_hash=manifest.policy_hash,
        sections=(drives, along, works, apart, harmed, people, whose, card),
        features={
            name: page.model_copy(update={"parts": (*page.parts, charts[name])}) if name in charts else page
            for name, page in features.items()
        },
        groups=groups,
        importance=numbers,
        therapists=reports,
    )
