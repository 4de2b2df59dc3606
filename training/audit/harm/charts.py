"""A picture of who had more harm than expected and who had less."""

from collections.abc import Sequence

import numpy as np

from training.audit.charts import chart, intervals
from training.audit.document import Chart, Column
from training.audit.harm.compare import Contrast
from training.audit.harm.courses import ANY
from training.audit.harm.tables import NOT_BY_LOT, label

MOST_DRAWN = 24


def gaps(found: Sequence[Contrast]) -> list[Chart]:
    """For every group and arm how much more often any harm is on record than expected; those with most on top.

    Nothing where no group could be compared.
    """
    drawn = sorted((one for one in found if one.outcome == ANY), key=lambda one: -one.low)[:MOST_DRAWN]
    if not drawn:
        return []
    names = [f"{label(one.attribute).capitalize()}: {label(one.group).lower()}" for one in drawn]
    shown = [one.difference for one in drawn]
    ends = [[end if end is not None else np.nan for end in (one.low, one.high)] for one in shown]
    low, high = np.array(ends, dtype=np.float64).T
    values = np.array([one.value for one in shown])
    canvas = intervals(names, values, low, high, "percentage points more (right) or fewer (left) than expected")
    more = [name for name, one in zip(names, drawn, strict=True) if one.is_more]
    title = f"More harm on record than expected: {'; '.join(more[:3])}" if more else "No group clearly had more harm"
    alt = (
        f"A row for each of {len(drawn)} groups with the difference between the share with any harm on record and the "
        f"share expected, and its interval. {len(more)} intervals lie wholly above 0."
    )
    columns = (
        Column(name="group", label="Group"),
        Column(name="difference", label="Difference", unit="percentage points", digits=1),
    )
    note = f"The intervals allow for how many groups were compared. {NOT_BY_LOT}"
    return [chart("harm_gaps", title, alt, canvas, columns, list(zip(names, shown, strict=True)), note)]
