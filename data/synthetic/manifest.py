"""What `dataset.toml` says of a synthetic clinic."""

from data.manifest import RULES, ColumnDeclaration, Manifest
from data.synthetic.plan import Plan

_THERAPISTS = {
    "empathy_rating": "empathy as rated by supervisors, z",
    "practice_area": "index of the area of the practice, 0 to 1",
    "height_cm": "the therapist's height in centimetres",
    "commute_minutes": "the therapist's way to work in minutes",
    "siblings": "how many siblings the therapist has",
    "coffees_a_day": "cups of coffee a day",
    "office_floor": "floor of the office",
    "birth_month": "month of birth",
}
_CLIENTS = {
    "home_area": "index of the area of the client's home, 0 to 1",
    "height_cm": "the client's height in centimetres",
    "pets": "how many pets the client has",
    "birth_month": "month of birth",
    "phone_age_years": "age of the client's phone in years",
    "lucky_number": "a number the client likes",
    "screen_hours": "hours a day in front of a screen",
}


def manifest(plan: Plan) -> Manifest:
    """The manifest: synthetic, its arm in the name, every hard rule but `conflict` answered by the tables."""
    return Manifest(
        name=f"synthetic clinic, arm {plan.arm}",
        as_of=plan.as_of,
        notes=f"SYNTHETIC: invented people. {plan.episodes} episodes, {plan.therapists} therapists, seed {plan.seed}.",
        synthetic=True,
        rules=tuple(rule for rule in RULES if rule != "conflict"),
        column={
            "therapists": {name: _declared(meaning) for name, meaning in _THERAPISTS.items()},
            "clients": {name: _declared(meaning) for name, meaning in _CLIENTS.items()},
        },
    )


def _declared(meaning: str) -> ColumnDeclaration:
    return ColumnDeclaration(kind="number", meaning=meaning, known="before")
