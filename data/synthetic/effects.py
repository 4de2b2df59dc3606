"""The planted effects: what each therapist adds, and what each client brings, on the scales of the three heads."""

from dataclasses import dataclass

import numpy as np

from data.errors import ConfigError, Problem
from data.synthetic import words
from data.synthetic.intake import Intake
from data.synthetic.people import Clients, Referrals
from data.synthetic.plan import ARMS, Plan
from data.synthetic.staff import Staff
from data.synthetic.terms import MATCH_TERMS

POST_SD = 1.11
"""SD of the composite post score in the arm `base` (units: intake SDs)."""
RESIDUAL_SD = 0.985
"""SD of the post score given everything known of the client: the therapist's shares refer to its square."""
PROFILE_SHARE = 0.25
"""Share of therapist variance that the measured interpersonal skill explains (Schoettke's group: 26.8 %)."""
PROBLEM_SD = 0.072
"""SD of a therapist's strength with one problem, in SDs of the post score, before scaling to the arm."""
ALLIANCE_SHARE = 0.06
"""Share of variance of client-rated alliance between therapists."""
DROPOUT_VARIANCE = 0.10 / 0.90 * np.pi**2 / 3
"""Variance between therapists on the logit scale for a share of .10."""
INTERCEPT_SLOPE = 0.9
"""Correlation of a therapist's effect at mean severity and its growth with severity."""
SHARED_WITH_OUTCOME = 0.5
"""Correlation of a therapist's effects on alliance and on outcome."""
HARM, HARM_BY_SOME = -0.15, -0.60
"""Loss of the harmed group with anyone, and the further loss with a third of the therapists, in outcome units."""
HARM_TO_DROPOUT = 0.5
"""What the harmed group's log odds of dropout rise by, with anyone."""
_LEVEL, _SEVERITY = 1.54, 0.45
_DROPOUT_LEVEL = -1.30
_HARD = np.array([0.0, -0.04, 0.0, 0.16, 0.0, 0.10, -0.08, -0.06, -0.10, 0.12, 0.14, 0.0])


@dataclass(frozen=True)
class Effects:
    """What therapists add. Arrays start with the era: 0 before, 1 in the last year (they differ under `drift`)."""

    main: np.ndarray
    """(2, therapists): gain at mean severity, in outcome units."""
    slope: np.ndarray
    """(2, therapists): further gain per SD of severity."""
    problem: np.ndarray
    """(2, therapists, problems): further gain with one main problem."""
    alliance: np.ndarray
    """(2, therapists): on the normal scale of alliance."""
    dropout: np.ndarray
    """(2, therapists): on the logit scale."""
    prior_main: np.ndarray
    """(therapists): what the measured profile predicts of `main`."""
    prior_slope: np.ndarray
    main_sd: float
    slope_sd: float
    problem_sd: float
    """SDs of `main`, `slope` and `problem` over therapists, as planted."""
    match_scale: float
    """Multiplies every match coefficient, so that the interaction has the arm's variance."""
    harmful: np.ndarray
    """(therapists): a third, with whom the harmed group does worst."""


@dataclass(frozen=True)
class Needs:
    """What clients bring, one entry per episode."""

    prognosis: np.ndarray
    """Expected outcome with a therapist of no effect."""
    alliance: np.ndarray
    dropout: np.ndarray
    harmed: np.ndarray


def needs(plan: Plan, clients: Clients, referrals: Referrals, intake: Intake) -> Needs:
    """Prognosis of every episode from the client's facts."""
    c = clients.take(referrals.client)
    hope, drive = _z(c.expectancy, 0.636, 0.19), _z(c.motivation, 0.667, 0.18)
    lonely, poor = -_z(c.support, 0.593, 0.193), -_z(c.deprivation, 5.0, 2.6)
    jobless = c.employment == words.EMPLOYMENT.index("unemployed")
    young = np.nan_to_num(plan.as_of.year - c.birth_year, nan=40) < 26
    many = c.prior_episodes >= 2
    s = intake.severity
    worse = (
        _SEVERITY * s + 0.03 * (s**2 - 1) - 0.15 * hope - 0.05 * drive + 0.11 * lonely + 0.04 * poor
        + 0.16 * jobless + 0.15 * (jobless & (lonely > 0.5)) + 0.14 * many + 0.10 * c.long_term
        + 0.08 * (c.ethnicity > 0) + 0.06 * young + _HARD[c.problem]
    )  # fmt: skip
    if ARMS[plan.arm].hidden_severity:
        worse = worse + 0.35 * c.hidden
    alliance = 0.24 * hope + 0.10 * drive - 0.13 * lonely - 0.10 * s - 0.05 * many
    dropout = _DROPOUT_LEVEL + 0.62 * jobless + 0.25 * lonely - 0.22 * drive + 0.45 * young + 0.10 * poor - 0.12 * hope
    return Needs(intake.composite - _LEVEL - worse, alliance, dropout, _harmed(plan, c))


def draw(
    plan: Plan, staff: Staff, clients: Clients, referrals: Referrals, severity: np.ndarray, rng: np.random.Generator
) -> Effects:
    """Every therapist's effects. Match effects are scaled so that the doubly centred pair effect has the arm's share
    of the variance of the post score; what of them differs between therapists counts towards their main effect."""
    arm = ARMS[plan.arm]
    drawn = _standard_effects(staff, (rng.random(len(staff.ids)) < 0.2) & arm.drift, rng)
    main_variance, slope_sd = _spread(plan)
    slope = slope_sd * drawn["slope"]
    strengths = PROBLEM_SD * POST_SD * drawn["problem"]
    scale, match_main = _scale_of_match(plan, staff, clients, referrals, severity, slope[0], strengths[0])
    main_sd = np.sqrt(max(main_variance - match_main, 0.0))
    profile = np.sqrt(PROFILE_SHARE) * staff.skill * staff.skill_known
    return Effects(
        main=main_sd * drawn["main"],
        slope=slope,
        problem=scale * strengths,
        alliance=arm.other_heads * np.sqrt(ALLIANCE_SHARE) * drawn["alliance"],
        dropout=arm.other_heads * np.sqrt(DROPOUT_VARIANCE) * drawn["dropout"],
        prior_main=main_sd * profile,
        prior_slope=slope_sd * profile,
        main_sd=float(main_sd),
        slope_sd=slope_sd,
        problem_sd=scale * PROBLEM_SD * POST_SD,
        match_scale=scale,
        harmful=rng.random(len(staff.ids)) < 1 / 3,
    )


def match_effect(
    clients: Clients, rows: np.ndarray, staff: Staff, therapists: np.ndarray, severity: np.ndarray
) -> dict[str, np.ndarray]:
    """Every match term times its unscaled coefficient, by name; rows, therapists and severity broadcast."""
    return {
        term.name: POST_SD * term.coefficient * term.value(clients, rows, staff, therapists, severity)
        for term in MATCH_TERMS
    }


def _spread(plan: Plan) -> tuple[float, float]:
    """Variance of the main effect, SD of the slope: variance between therapists is quadratic in severity."""
    arm = ARMS[plan.arm]
    bend = (arm.low_share + arm.high_share - 2 * arm.therapist_share) / 8
    return arm.therapist_share * RESIDUAL_SD**2, float(np.sqrt(max(bend, 0.0))) * RESIDUAL_SD


def _standard_effects(staff: Staff, redrawn: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Unit-variance effects by era; those `redrawn` differ in the second."""
    eras = [_one_draw(staff.skill, rng), _one_draw(staff.skill, rng)]
    later = {name: np.where(redrawn[:, None], eras[1][name], eras[0][name]) for name in eras[0]}
    return {
        name: np.stack([eras[0][name], later[name]]).squeeze(-1) if name != "problem"
        else np.stack([eras[0][name], later[name]])
        for name in later
    }  # fmt: skip


def _one_draw(skill: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    n = len(skill)
    own = rng.standard_normal((4, n))
    profile, rest = np.sqrt(PROFILE_SHARE), np.sqrt(1 - PROFILE_SHARE)
    joint = (INTERCEPT_SLOPE - PROFILE_SHARE) / (1 - PROFILE_SHARE)
    main = profile * skill + rest * own[0]
    slope = profile * skill + rest * (joint * own[0] + np.sqrt(1 - joint**2) * own[1])
    alliance = SHARED_WITH_OUTCOME * main + np.sqrt(1 - SHARED_WITH_OUTCOME**2) * own[2]
    columns = {"main": main, "slope": slope, "alliance": alliance, "dropout": own[3]}
    return {name: values[:, None] for name, values in columns.items()} | {
        "problem": rng.standard_normal((n, len(words.PROBLEMS)))
    }


def _scale_of_match(
    plan: Plan,
    staff: Staff,
    clients: Clients,
    referrals: Referrals,
    severity: np.ndarray,
    slope: np.ndarray,
    strengths: np.ndarray,
) -> tuple[float, float]:
    """The scale, and the variance between therapists that the scaled match effects add at mean severity."""
    arm = ARMS[plan.arm]
    if not arm.pair_effects:
        return 0.0, 0.0
    episodes = np.linspace(0, len(severity) - 1, min(800, len(severity))).astype(int)
    rows, everyone = referrals.client[episodes][:, None], np.arange(len(staff.ids))[None, :]
    s = severity[episodes][:, None]
    match = strengths[everyone, clients.problem[rows]]
    match = match + sum(match_effect(clients, rows, staff, everyone, s).values())
    fixed, free = _doubly_centred(slope * s), _doubly_centred(match)
    a, b, c = free.var(), 2 * (fixed * free).mean(), fixed.var() - arm.interaction * POST_SD**2
    scale = float((-b + np.sqrt(max(b * b - 4 * a * c, 0.0))) / (2 * a))
    return scale, float((scale * match).mean(axis=0).var())


def _doubly_centred(pairs: np.ndarray) -> np.ndarray:
    return np.asarray(pairs - pairs.mean(axis=0) - pairs.mean(axis=1, keepdims=True) + pairs.mean())


def _z(values: np.ndarray, mean: float, sd: float) -> np.ndarray:
    return np.nan_to_num((values - mean) / sd)


def _harmed(plan: Plan, clients: Clients) -> np.ndarray:
    if plan.harm is None:
        return np.zeros(len(clients.numbers), bool)
    column, _, value = plan.harm.partition("=")
    coded = {
        "gender": (clients.gender, words.GENDERS),
        "ethnicity": (clients.ethnicity, words.ETHNICITIES),
        "payer": (clients.payer, words.PAYERS),
        "employment": (clients.employment, words.EMPLOYMENT),
        "problems": (clients.problem, words.PROBLEMS),
        "sexual_orientation": (clients.sexual_orientation, words.SEXUAL_ORIENTATIONS),
        "jurisdiction": (clients.jurisdiction, words.JURISDICTIONS),
        "disability": (clients.disability.astype(int), ("false", "true")),
        "long_term_condition": (clients.long_term.astype(int), ("false", "true")),
        "languages": (clients.languages.argmax(axis=1), words.LANGUAGES),
        "deprivation_decile": (np.nan_to_num(clients.deprivation).astype(int), tuple(map(str, range(11)))),
    }
    if column not in coded:
        raise ConfigError([Problem("harm", column, f"must be one of {', '.join(coded)}", "name one of these columns")])
    codes, values = coded[column]
    if value not in values:
        raise ConfigError(
            [Problem(f"harm {column}", value, f"must be one of {', '.join(values)}", "name one of these")]
        )
    return np.asarray(codes == values.index(value))
