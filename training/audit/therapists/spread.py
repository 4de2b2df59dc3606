"""How therapists differ: shrunken effects with intervals, unnamed in order, named by id, and how far to trust them."""

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from scipy.special import ndtr

from training.audit.charts import INK, SOFT, chart, plain_axes
from training.audit.document import Cell, Chart, Column, Estimate, Finding, Table
from training.audit.reports import FEWEST_CASES
from training.audit.therapists.effects import Effect, per_link, prior_variance, reliability, unit
from training.audit.therapists.exposure import Shown, exposures
from training.audit.therapists.known import Known
from training.audit.therapists.words import FEW_RESULTS, OPTED_OUT, PROFILE, TOO_FEW, UNITS, amount, head_label
from training.bands import FEWEST_IN_CELL
from training.shares import Z95

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

WAYS = (
    ("offered", "Clients offered to"),
    ("seen", "Seen by"),
    ("first", "Would stand first for"),
    ("first_five", "Among the first five for"),
)
MOST_DRAWN = 60
FEWEST_DRAWN = 5
DIGITS = 3


def beyond(effect: Effect) -> Bools:
    """Whose interval does not reach the average."""
    return (effect.low > 0) | (effect.high < 0)


def beyond_in_theory(known: Known, head: str) -> float:
    """How many would be, were therapists normal: estimates vary by what profiles say and by prior variance x r."""
    bundle, named = known.looked_at.bundle, known.named(head)
    place = [bundle.place[one] for one, told in zip(known.ids, named, strict=True) if told]
    own = prior_variance(bundle, head, known.usual) * reliability(bundle, head, known.usual)[place]
    spread = own * per_link(bundle.heads[head]) ** 2 + known.by_profile[head].value[named].var()
    return float(2 * ndtr(-Z95 * known.with_own[head].sd[named] / np.sqrt(np.maximum(spread, 1e-12))).sum())


def words(known: Known, head: str) -> str:
    """How therapists differ by one head, in a sentence or two."""
    effect, named = known.with_own[head], known.named(head)
    label, count = head_label(head), int(named.sum())
    if not known.learns(head):
        return f"{label}: in this model own results do not count, so that {PROFILE}."
    if not count:
        return f"{label}: no therapist has {FEWEST_CASES} cases with a known result, so no track record is told."
    kind = unit(known.looked_at.bundle.heads[head].info)
    low, high = np.quantile(effect.value[named], [0.1, 0.9])
    return (
        f"{label}: of {count} therapists with at least {FEWEST_CASES} known results, "
        f"{int(beyond(effect)[named].sum())} differ from the average by more than their interval (about "
        f"{beyond_in_theory(known, head):.0f} would be expected to); four in five lie between {amount(low, kind)} and "
        f"{amount(high, kind)} {UNITS[kind]}{_in_points(known, kind)}."
    )


def _in_points(known: Known, kind: str) -> str:
    sds = known.looked_at.bundle.manifest.intake_sds
    if kind != "intake_sd" or not sds:
        return ""
    return f" (0.10 is {' and '.join(f'{0.1 * sd:.1f} points of {name}' for name, sd in sds.items())})"


def findings(known: Known) -> list[Finding]:
    """For whom nothing is told, and where no therapist differs."""
    few = int(((known.seen < FEWEST_CASES) & ~known.opted_out).sum())
    said = [f"{few} of {len(known.ids)} therapists have fewer than {FEWEST_CASES} cases: no track record is told."]
    if known.opted_out.any():
        said.append(f"{int(known.opted_out.sum())} opted out of learning: for them the profile alone is used.")
    return [Finding(level="note", words=line, page="section/therapists") for line in said]


def caterpillar(known: Known, head: str) -> Chart | None:
    """The effects in order with their intervals, without names; thinned out where there are many."""
    named = np.flatnonzero(known.named(head))
    if len(named) < FEWEST_DRAWN:
        return None
    effect, kind = known.with_own[head], unit(known.looked_at.bundle.heads[head].info)
    order = named[np.argsort(effect.value[named], kind="stable")]
    drawn = np.unique(np.round(np.linspace(0, len(order) - 1, min(len(order), MOST_DRAWN))).astype(np.int64))
    at, place = order[drawn], 100 * drawn / (len(order) - 1)
    factor = 100.0 if kind == "probability" else 1.0
    ends = [factor * part[at] for part in (effect.value, effect.low, effect.high)]
    told, label = int(beyond(effect)[named].sum()), head_label(head)
    rows = [tuple(round(float(cell), DIGITS) for cell in row) for row in zip(place, *ends, strict=True)]
    return chart(
        name=f"therapists.{head}",
        title=f"{label}: {told} of {len(order)} therapists differ from the average by more than their interval",
        alt=(
            f"Expected differences from the average therapist in order, from {ends[0][0]:+.2f} to {ends[0][-1]:+.2f} "
            f"{UNITS[kind]}, each with its 95 % interval; {len(order) - told} of {len(order)} intervals reach 0."
        ),
        canvas=_drawn(place, ends, f"{UNITS[kind]} from the average"),
        columns=(
            Column(name="place", label="Place in order", unit="%", digits=0),
            *(Column(name=name, label=name.capitalize(), unit=UNITS[kind]) for name in ("value", "low", "high")),
        ),
        rows=rows,
        note=f"{len(drawn)} of {len(order)} therapists, at even steps." if len(drawn) < len(order) else "",
    )


def _drawn(place: Floats, ends: list[Floats], ylabel: str) -> Figure:
    canvas, axes = plain_axes()
    axes.vlines(place, ends[1], ends[2], color=SOFT, linewidth=1.5)
    axes.plot(place, ends[0], "o", color=INK, markersize=3)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlabel("therapists in order, none named (%)")
    axes.set_ylabel(ylabel)
    return canvas


def table(known: Known, shown: Shown | None) -> Table:
    """Everyone by id: cases, for each head what is told of them, and how often they would be shown."""
    seen = exposures(known, shown)
    told = {head: known.told(head) for head in known.heads}
    factor = {head: _factor(known, head) for head in known.heads}
    rows = [
        (
            name,
            None if known.opted_out[i] else int(known.seen[i]),
            *(_cell(told[head], i, factor[head]) for head in known.heads),
            _basis(known, i),
            *((None,) * len(WAYS) if (one := seen[i]) is None else (one.offered, one.seen, one.first, one.first_five)),
        )
        for i, name in enumerate(known.ids)
    ]
    columns = (
        Column(name="therapist_id", label="Therapist"),
        Column(name="cases", label="Cases known", digits=0),
        *(Column(name=head, label=head_label(head), unit=unit_of(known, head)) for head in known.heads),
        Column(name="basis", label="What it rests on"),
        *(Column(name=name, label=label, digits=0) for name, label in WAYS),
    )
    return Table(
        id="therapists",
        title="Expected differences from the average therapist, by id",
        columns=columns,
        rows=tuple(rows),
        note=(
            "In the order of ids, each with its 95 % interval, shrunken towards what the profile foretells; higher is "
            "better in all. The ranking also lets the first few cases count a little; they are not told here. Of who "
            f"opted out of learning no cases are shown. Counts of clients are not shown below {FEWEST_IN_CELL} offers."
        ),
    )


def _factor(known: Known, head: str) -> float:
    return 100.0 if unit(known.looked_at.bundle.heads[head].info) == "probability" else 1.0


def unit_of(known: Known, head: str) -> str:
    """The unit in which a head is told."""
    return UNITS[unit(known.looked_at.bundle.heads[head].info)]


def _cell(effect: Effect, i: int, factor: float) -> Cell:
    value, low, high = (round(float(factor * part[i]), DIGITS) for part in (effect.value, effect.low, effect.high))
    return Estimate(value=value, low=low, high=high)


def _basis(known: Known, i: int) -> str:
    if known.opted_out[i]:
        return OPTED_OUT
    if known.seen[i] < FEWEST_CASES:
        return TOO_FEW
    counting = [head for head in known.heads if known.learns(head)]
    few = [head_label(head) for head in counting if not known.named(head)[i]]
    if few:
        return f"{', '.join(few)}: {FEW_RESULTS}"
    return "own results and profile" if counting else PROFILE
