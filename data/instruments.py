"""Questionnaires as frozen definitions: what a score means, which way is better, which thresholds exist.

Item text ships for PHQ-9 and GAD-7 only. An instrument that needs a licence is off until a dataset says
who holds it (`[instrument.ors] licence_held_by = "..."` in `dataset.toml`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from data.errors import NotFoundError

Direction = Literal["higher", "lower"]
TOTAL = "0"
"""The `item` of a total in the measures table."""


@dataclass(frozen=True)
class Band:
    """A named range of totals, both ends included."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class Instrument:
    """One questionnaire or count.

    `low` to `high` is the range of the total (item "0"); with `score = "mean"` the total is the mean of the items.
    `direction` says whether a higher or a lower total is better. `reversed_items` are stored as answered and turned
    round when summed. `scored` is False where no scoring rule is known (declared instruments); `totals_only`
    instruments are stored as totals, never by item.

    `prorate` is the number of items that may be missing, over the whole instrument or (`prorate_per_subscale`) in
    each subscale, when proration is asked for; without the `must_answer` items there is never a total.
    `loinc` has the codes of the panel ("panel"), the total ("0") and the items. `asked` is put before the items of
    `text`; `answers` are worth `item_low` and up.
    """

    id: str
    name: str
    low: float
    high: float
    direction: Direction
    source: str
    items: int = 0
    item_low: float = 0
    item_high: float = 0
    score: Literal["sum", "mean"] = "sum"
    whole: bool = True
    totals_only: bool = False
    scored: bool = True
    reversed_items: tuple[int, ...] = ()
    subscales: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    bands: tuple[Band, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    prorate: int = 0
    prorate_per_subscale: bool = False
    must_answer: tuple[int, ...] = ()
    risk_items: tuple[int, ...] = ()
    never_at_intake: bool = False
    rater: Literal["client", "therapist", "observer"] = "client"
    licence: str = ""
    needs_licence: bool = False
    loinc: Mapping[str, str] = field(default_factory=dict)
    asked: str = ""
    text: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()

    def threshold(self, name: str) -> float:
        """The threshold of that name. Raises NotFoundError, naming those that exist."""
        if name not in self.thresholds:
            known = ", ".join(self.thresholds) or "none"
            raise NotFoundError(
                f"{self.id} {name}: no such threshold: published for {self.id}: {known} "
                "-> use one of these, or an instrument that has it"
            )
        return self.thresholds[name]

    @property
    def caseness(self) -> float:
        """The first score on the clinical side: at or above it where lower is better, at or below it otherwise."""
        return self.threshold("caseness")

    @property
    def reliable_change(self) -> float:
        """The smallest change that is more than measurement error."""
        return self.threshold("reliable_change")

    def item_range(self, item: str) -> tuple[float, float] | None:
        """Lowest and highest value of a total ("0"), an item ("1".."n") or a subscale; None where there is no such."""
        if item == TOTAL:
            return self.low, self.high
        if self.totals_only:
            return None
        if item in self.subscales:
            size = 1 if self.score == "mean" else len(self.subscales[item])
            return self.item_low * size, self.item_high * size
        if item.isdecimal() and 1 <= int(item) <= self.items:
            return self.item_low, self.item_high
        return None

    @property
    def items_in_words(self) -> str:
        """Which items it has, for whoever named another."""
        if self.totals_only:
            return f"{self.id} is kept as its total only, item {TOTAL}"
        names = "".join(f", {name}" for name in self.subscales)
        return f"{self.id} has items {TOTAL} (total), 1 to {self.items}{names}"

    def is_mean(self, item: str) -> bool:
        """Whether the item's value is a mean of items, which a sum is taken for by mistake."""
        return self.score == "mean" and (item == TOTAL or item in self.subscales)

    def has_whole(self, item: str) -> bool:
        """Whether only whole numbers can be values of the item: means are none, sums and single answers mostly are."""
        return self.whole and (self.score == "sum" or (item.isdecimal() and item != TOTAL))


def _bands(high: float, *starts: tuple[str, float]) -> tuple[Band, ...]:
    ends = [start - 1 for _, start in starts[1:]] + [high]
    return tuple(Band(name, start, end) for (name, start), end in zip(starts, ends, strict=True))


def _loinc(codes: str) -> dict[str, str]:
    panel, *scores = codes.split()
    return {"panel": panel} | {str(item): code for item, code in enumerate(scores)}


_TWO_WEEKS = "Over the last 2 weeks, how often have you been bothered by any of the following problems?"
_HOW_OFTEN = ("Not at all", "Several days", "More than half the days", "Nearly every day")
_ITEM_TEXT_FREE = "free to use, copy and translate; no permission needed (phqscreeners.com)"

PHQ9 = Instrument(
    id="phq9",
    name="Patient Health Questionnaire, depression",
    low=0,
    high=27,
    direction="lower",
    source="Kroenke, Spitzer & Williams 2001, J Gen Intern Med 16:606 (bands); caseness 10 and reliable change 6 as in "
    "the NHS Talking Therapies manual, seen in PMC8411661 table 1; missing items: EVIDENCE section 5",
    items=9,
    item_high=3,
    bands=_bands(27, ("none", 0), ("mild", 5), ("moderate", 10), ("moderately_severe", 15), ("severe", 20)),
    thresholds={"caseness": 10, "reliable_change": 6},
    prorate=2,
    must_answer=(9,),
    risk_items=(9,),
    licence=_ITEM_TEXT_FREE,
    loinc=_loinc("44249-1 44261-6 44250-9 44255-8 44259-0 44254-1 44251-7 44258-2 44252-5 44253-3 44260-8"),
    asked=_TWO_WEEKS,
    text=(
        "Little interest or pleasure in doing things",
        "Feeling down, depressed, or hopeless",
        "Trouble falling or staying asleep, or sleeping too much",
        "Feeling tired or having little energy",
        "Poor appetite or overeating",
        "Feeling bad about yourself - or that you are a failure or have let yourself or your family down",
        "Trouble concentrating on things, such as reading the newspaper or watching television",
        "Moving or speaking so slowly that other people could have noticed? Or the opposite - being so fidgety or "
        "restless that you have been moving around a lot more than usual",
        "Thoughts that you would be better off dead or of hurting yourself in some way",
    ),
    answers=_HOW_OFTEN,
)

GAD7 = Instrument(
    id="gad7",
    name="Generalised Anxiety Disorder scale",
    low=0,
    high=21,
    direction="lower",
    source="Spitzer et al. 2006, Arch Intern Med 166:1092 (bands); caseness 8 and reliable change 4 as in the NHS "
    "Talking Therapies manual, seen in PMC8411661 table 1",
    items=7,
    item_high=3,
    bands=_bands(21, ("none", 0), ("mild", 5), ("moderate", 10), ("severe", 15)),
    thresholds={"caseness": 8, "reliable_change": 4},
    prorate=1,
    licence=_ITEM_TEXT_FREE,
    loinc=_loinc("69737-5 70274-6 69725-0 68509-9 69733-4 69734-2 69735-9 69689-8 69736-7"),
    asked=_TWO_WEEKS,
    text=(
        "Feeling nervous, anxious or on edge",
        "Not being able to stop or control worrying",
        "Worrying too much about different things",
        "Trouble relaxing",
        "Being so restless that it is hard to sit still",
        "Becoming easily annoyed or irritable",
        "Feeling afraid as if something awful might happen",
    ),
    answers=_HOW_OFTEN,
)

WAI_SR = Instrument(
    id="wai_sr",
    name="Working Alliance Inventory, short revised",
    low=1,
    high=5,
    direction="higher",
    source="Hatcher & Gillaspy 2006, Psychother Res 16:12; item numbers of the subscales seen in two scoring guides",
    items=12,
    item_low=1,
    item_high=5,
    score="mean",
    subscales={"goal": (4, 6, 8, 11), "task": (1, 2, 10, 12), "bond": (3, 5, 7, 9)},
    prorate=1,
    prorate_per_subscale=True,
    never_at_intake=True,
    licence="copyright of its authors and the Society for Psychotherapy Research; ask them before handing it out",
)

SRS = Instrument(
    id="srs",
    name="Session Rating Scale",
    low=0,
    high=40,
    direction="higher",
    source="Duncan et al. 2003, J Brief Ther 3:3; below 36 asks for a talk about the session (OpenFIT help, seen)",
    items=4,
    whole=False,
    totals_only=True,
    thresholds={"attention_below": 36},
    licence="licence from the authors; organisations pay",
    needs_licence=True,
)

ORS = Instrument(
    id="ors",
    name="Outcome Rating Scale",
    low=0,
    high=40,
    direction="higher",
    source="Miller et al. 2003, J Brief Ther 2:91; adults: 25 or less is the clinical range, change 5 (both seen)",
    items=4,
    whole=False,
    totals_only=True,
    thresholds={"caseness": 25, "reliable_change": 5},
    licence="licence from the authors; organisations pay",
    needs_licence=True,
)

CORE10 = Instrument(
    id="core10",
    name="Clinical Outcomes in Routine Evaluation, 10 items",
    low=0,
    high=40,
    direction="lower",
    source="Barkham et al. 2013, Couns Psychother Res 13:3: cut-off 11, reliable change 6 (both seen in summaries "
    "that cite it); bands as for CORE-OM; a stroke ward found 9 and 12 (Steverson 2024), not used",
    items=10,
    item_high=4,
    reversed_items=(2, 3),
    bands=_bands(
        40, ("healthy", 0), ("low", 6), ("mild", 11), ("moderate", 15), ("moderately_severe", 20), ("severe", 25)
    ),
    thresholds={"caseness": 11, "reliable_change": 6},
    prorate=1,
    risk_items=(6,),
    licence="free to use unchanged (CC BY-ND, CORE System Trust)",
)

WSAS = Instrument(
    id="wsas",
    name="Work and Social Adjustment Scale",
    low=0,
    high=40,
    direction="lower",
    source="Mundt et al. 2002, Br J Psychiatry 180:461: above 10 impaired, above 20 severe (seen); reliable change 8 "
    "is recalled from Zahra et al. 2014 and was not found in a text that could be read",
    items=5,
    item_high=8,
    bands=_bands(40, ("subclinical", 0), ("significant", 11), ("severe", 21)),
    thresholds={"reliable_change": 8},
    prorate=1,
    licence="free for clinical use and research",
)

CSQ8 = Instrument(
    id="csq8",
    name="Client Satisfaction Questionnaire, 8 items",
    low=8,
    high=32,
    direction="higher",
    source="Larsen et al. 1979, Eval Program Plann 2:197; 8 to 32, no cut-off published (PhenX 590701, seen)",
    items=8,
    totals_only=True,
    licence="paid per use (csqscales.com)",
    needs_licence=True,
)

OQ45 = Instrument(
    id="oq45",
    name="Outcome Questionnaire 45.2",
    low=0,
    high=180,
    direction="lower",
    source="Lambert et al. 1996; change 14 (oqmeasures.com, seen); cut-off between 63 and 64, recalled: "
    "some summaries count 63 itself; Dutch norms give 56 and 18 (Timman 2017)",
    items=45,
    totals_only=True,
    thresholds={"caseness": 64, "reliable_change": 14},
    licence="licence from OQ Measures",
    needs_licence=True,
)

ABSENCE_DAYS = Instrument(
    id="absence_days",
    name="Days absent from work in the period asked about",
    low=0,
    high=366,
    direction="lower",
    source="a count; no threshold is published",
    whole=False,
    totals_only=True,
    licence="none needed",
)

PRESENTEEISM_PERCENT = Instrument(
    id="presenteeism_percent",
    name="Share of working time impaired while at work, percent",
    low=0,
    high=100,
    direction="lower",
    source="a percentage, as in WPAI (Reilly 1993); no threshold is published",
    whole=False,
    totals_only=True,
    licence="none needed",
)

INSTRUMENTS: Mapping[str, Instrument] = {
    i.id: i for i in (PHQ9, GAD7, WAI_SR, SRS, ORS, CORE10, WSAS, CSQ8, OQ45, ABSENCE_DAYS, PRESENTEEISM_PERCENT)
}

SYMPTOMS: Mapping[str, tuple[str, str]] = {
    "depression": ("phq9", TOTAL),
    "anxiety": ("gad7", TOTAL),
    "irritability": ("gad7", "6"),
    "sleep": ("phq9", "3"),
}
"""Symptom in a programme report -> (instrument, item)."""


def instrument(name: str) -> Instrument:
    """The shipped instrument of that id. Raises NotFoundError, naming those that ship."""
    if name not in INSTRUMENTS:
        raise NotFoundError(
            f"{name}: no such instrument: {', '.join(INSTRUMENTS)} ship with the program "
            f"-> use one of these, or declare [instrument.{name}] in dataset.toml"
        )
    return INSTRUMENTS[name]


def declared(name: str, meaning: str, low: float, high: float, direction: Direction, items: int = 0) -> Instrument:
    """An instrument that a dataset declares: its totals can be checked and used as a target, not scored from items."""
    return Instrument(
        name, meaning, low, high, direction, source="declared by the dataset", items=items, whole=False,
        item_low=low, item_high=high, totals_only=items == 0, scored=False,
    )  # fmt: skip
