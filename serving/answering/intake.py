"""From a request to what the rules and the model read: one row of columns, or every reason why it cannot be read."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data.errors import Problem
from data.instruments import INSTRUMENTS, TOTAL, Instrument
from data.scoring import total
from features.practice import TIMES
from features.preferences import AGE_BANDS, STYLE_VALUES, widen
from serving.answering.contradictions import contradictions
from serving.schemas import ClientFields, Measure, RecommendationRequest
from serving.values import HALF_CHARACTER

VALUES_OF: Mapping[str, Sequence[str]] = {
    "age_band": tuple(AGE_BANDS),
    "style": tuple(STYLE_VALUES),
    "time": TIMES,
}
"""Topics whose values are a closed list."""

LARGEST = 1e12
"""Numbers of declared columns lie below this, either side of zero."""

OLDEST = 120
"""Years; a birth year further back is a slip."""

Positions = Mapping[str, Sequence[int]]


def client_table(request: RecommendationRequest) -> dict[str, list[Any]]:
    """The client's row as tables hold it: columns, wishes (`prefer.gender`) and intake scores (`phq9.0`)."""
    columns = {name: _cell(value) for name, value in _given(request.client).items() if name != "client_id"}
    wishes = widen([preference.model_dump() for preference in request.preferences])
    return {name: [value] for name, value in {**columns, **wishes, **scores(request.measures)}.items()}


def scores(measures: Sequence[Measure]) -> dict[str, float]:
    """The latest value of each instrument and item, with totals where all items are there and the total is not."""
    dated = sorted(enumerate(measures), key=lambda one: (one[1].taken_on or dt.date.min, one[0]))
    found = {f"{measure.instrument}.{measure.item}": measure.value for _, measure in dated}
    given = {measure.instrument for measure in measures}
    for name, instrument in INSTRUMENTS.items():
        if name not in given:
            continue
        items = [f"{name}.{i + 1}" for i in range(instrument.items)]
        may_score = instrument.scored and not instrument.totals_only and f"{name}.{TOTAL}" not in found
        if may_score and items and all(item in found for item in items):
            found[f"{name}.{TOTAL}"] = float(total(instrument, [found[item] for item in items])[0])
    return found


def unreadable(
    request: RecommendationRequest,
    declared: Mapping[str, str],
    ranges: Mapping[str, tuple[float, float]],
    today: dt.date,
    positions: Positions | None = None,
) -> list[Problem]:
    """Everything in a well-formed request that no rule or model here can read.

    `declared` are the client columns (name -> kind) that this directory or model knows beside the contract's;
    `ranges` the scores (`panss.0`) of instruments that do not ship. `positions` number list entries as they were sent.
    """
    place = _Place(positions or {})
    return [
        *_strange_columns(request.client, declared),
        *(p for i, m in enumerate(request.measures) for p in _measure(m, place("measures", i), ranges, today)),
        *(
            Problem(f"{place('preferences', i)}.value", "unknown", f"must be one of {', '.join(known)}", "use one")
            for i, wish in enumerate(request.preferences)
            if wish.value not in (known := VALUES_OF.get(wish.about, (wish.value,)))
        ),
        *contradictions(request.measures, request.preferences, place),
        *_birth_year(request.client, today),
        *_window(request),
    ]


class _Place:
    """Names list entries by the position they were sent at."""

    def __init__(self, positions: Positions):
        self._positions = positions

    def __call__(self, name: str, index: int) -> str:
        return f"{name}[{self._positions[name][index] if name in self._positions else index}]"


def _given(client: ClientFields) -> dict[str, Any]:
    return {name: value for name, value in client.model_dump().items() if value is not None}


def _cell(value: Any) -> Any:
    return "|".join(map(str, value)) or None if isinstance(value, list) else value


def _strange_columns(client: ClientFields, declared: Mapping[str, str]) -> list[Problem]:
    extra = client.model_extra or {}
    strange = [
        Problem(f"client.{name[:64]}", "unknown", "no such field", "take it out, or spell it as documented at /docs")
        for name in extra
        if name not in declared
    ]
    wrong = [
        Problem(f"client.{name}", "wrong", f"must be a {declared[name]}", "mend it")
        for name, value in extra.items()
        if name in declared and value is not None and not _fits(value, declared[name])
    ]
    return strange + wrong


def _fits(value: Any, kind: str) -> bool:
    if kind in ("number", "integer"):
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
        return is_number and (kind == "number" or value == int(value))
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in ("codes", "tags") and isinstance(value, list):
        return all(_is_text(one) for one in value)
    return _is_text(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and HALF_CHARACTER.search(value) is None


def _measure(measure: Measure, place: str, ranges: Mapping[str, tuple[float, float]], today: dt.date) -> list[Problem]:
    problems = []
    if measure.taken_on is not None and measure.taken_on > today:
        rule = "must not lie after the day of the request"
        problems.append(Problem(f"{place}.taken_on", "later", rule, "mend the day, or ask again on that day"))
    instrument = INSTRUMENTS.get(measure.instrument)
    if instrument is not None:
        return problems + _shipped(instrument, measure, place)
    known = {name.partition(".")[0] for name in ranges}
    if measure.instrument not in known:
        names = ", ".join(sorted({*INSTRUMENTS, *known}))
        return [*problems, Problem(f"{place}.instrument", "unknown", f"must be one of {names}", "use one of these")]
    low, high = ranges.get(f"{measure.instrument}.{measure.item}", (-np.inf, np.inf))
    return problems + _range(measure.value, low, high, place)


def _shipped(instrument: Instrument, measure: Measure, place: str) -> list[Problem]:
    if instrument.never_at_intake:
        rule = f"{instrument.id} is never asked before the first session"
        return [Problem(f"{place}.instrument", "later", rule, "take it out")]
    ends = instrument.item_range(measure.item)
    if ends is None:
        return [Problem(f"{place}.item", "unknown", instrument.items_in_words, "use one of these")]
    problems = _range(measure.value, *ends, place)
    if not problems and measure.value != int(measure.value) and instrument.has_whole(measure.item):
        problems = [Problem(f"{place}.value", "a fraction", "must be a whole number", "mend it")]
    return problems


def _birth_year(client: ClientFields, today: dt.date) -> list[Problem]:
    year = client.birth_year
    if year is None or today.year - OLDEST <= year <= today.year:
        return []
    value, rule = (
        ("later", "must not lie in the future") if year > today.year else ("early", f"over {OLDEST} years ago")
    )
    return [Problem("client.birth_year", value, rule, "mend the year")]


def _range(value: float, low: float, high: float, place: str) -> list[Problem]:
    if low <= value <= high:
        return []
    return [Problem(f"{place}.value", "out of range", f"must lie between {low:g} and {high:g}", "mend it")]


def _window(request: RecommendationRequest) -> list[Problem]:
    window = request.window
    if window is None or first_moment(window.first, dt.UTC) <= last_moment(window.last, dt.UTC):
        return []
    return [Problem("window.to", "earlier", "must not lie before window.from", "swap them")]


def first_moment(value: dt.date, zone: dt.tzinfo) -> dt.datetime:
    """The start of a day in that zone, or the moment itself."""
    return value if isinstance(value, dt.datetime) else dt.datetime.combine(value, dt.time.min, zone)


def last_moment(value: dt.date, zone: dt.tzinfo) -> dt.datetime:
    """The end of a day in that zone, or the moment itself."""
    return value if isinstance(value, dt.datetime) else dt.datetime.combine(value, dt.time.max, zone)
