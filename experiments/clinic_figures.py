"""The field's figures: where each should lie, who says so, how it is read off a synthetic clinic, why it may miss."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from experiments import clinic_readings as read
from experiments.clinic_readings import Clinic

Reading = Callable[[Clinic], float]


@dataclass(frozen=True)
class Figure:
    """One calibrated figure."""

    name: str
    low: float
    high: float
    source: str
    value: Reading
    why: str = ""


def _mean(column: str) -> Reading:
    return lambda clinic: float(clinic.table[column].mean())


def _sd(column: str) -> Reading:
    return lambda clinic: float(clinic.table[column].std())


def _r(one: str, other: str) -> Reading:
    return lambda clinic: float(clinic.table[one].corr(clinic.table[other]))


def _rating(one: str, other: str) -> Reading:
    return lambda clinic: float(clinic.ratings[one].corr(clinic.ratings[other]))


def _nhs(rate: str) -> Reading:
    return lambda clinic: clinic.nhs_rates[rate]


def _lowest(rate: str) -> Reading:
    return lambda clinic: float(clinic.by_therapist[rate].min())


def _highest(rate: str) -> Reading:
    return lambda clinic: float(clinic.by_therapist[rate].max())


def _change(instrument: str) -> Reading:
    return lambda clinic: read.change(clinic, instrument)


_NHS = "NHS Talking Therapies FY2024-25, depression"
_NHS_WINS = "the NHS rates win where they clash with published effect sizes"
_LAG_SOURCE = "Flueckiger 2020b; size recalled"
_OTHER_BASE = "Saxon's clients left more often (a third, recalled) and differed more by therapist (12.6 %) than here"
_SHARE = "the NHS rate and a therapist share of .05 fix the spread; the extreme one of 150 also carries chance"
_MARGINAL = "an odds ratio over all therapists lies nearer to 1 than the planted one within a therapist"

FIGURES: tuple[Figure, ...] = (
    Figure("therapist share, mean severity", 0.03, 0.07, "Johns 2019: 5 %", lambda c: c.therapist_shares.mean),
    Figure("therapist share, -2 SD severity", 0, 0.04, "Saxon & Barkham 2012: .02", lambda c: c.therapist_shares.low),
    Figure("therapist share, +2 SD severity", 0.06, 0.14, "the same: .10", lambda c: c.therapist_shares.high),
    Figure("therapist share, mean severity (truth)", 0.04, 0.06, "planted .05", read.true_share),
    Figure("interaction share (truth)", 0.017, 0.023, "planted .02", read.interaction),
    Figure("skill's share of therapist variance", 0.10, 0.50, "Schoettke group: 26.8 %", read.skill_share),
    Figure("alliance-outcome r", 0.22, 0.28, "Flueckiger 2018, 2020", _r("alliance", "outcome")),
    Figure("lag alliance -> symptoms (within client)", -0.10, -0.03, _LAG_SOURCE, lambda c: c.lags[0]),
    Figure("lag symptoms -> alliance (within client)", -0.10, -0.03, _LAG_SOURCE, lambda c: c.lags[1]),
    Figure("starters with under 3 sessions", 0.30, 0.33, "Grow 2024: 67.4 % had 3 or more", read.under_three),
    Figure("dropout", 0.19, 0.30, "Swift 2012; PMHC 25.3 %", _mean("dropout")),
    Figure("therapist share of dropout (logit)", 0.03, 0.13, "Saxon 2017: 12.6 %", read.dropout_share),
    Figure("dropout, lowest therapist", 0.0, 0.062, "Saxon 2017: 1.2 %", _lowest("dropout"), _OTHER_BASE),
    Figure("dropout, highest therapist", 0.68, 0.78, "Saxon 2017: 73.2 %", _highest("dropout"), _OTHER_BASE),
    Figure("dropout, highest over lowest tenth", 3.0, 6.0, "Saxon 2017: 4 times", read.dropout_ratio),
    Figure("recovery, lowest therapist", 0.185, 0.285, "Saxon & Barkham 2012: 23.5 %", _lowest("recovery"), _SHARE),
    Figure("recovery, highest therapist", 0.90, 1.0, "Saxon & Barkham 2012: 95.6 %", _highest("recovery"), _SHARE),
    Figure("recovery, lowest over highest tenth", 0.0, 0.50, "Okiishi 2003: less than half", read.recovery_ratio),
    Figure("pre-post d PHQ-9", 0.85, 1.15, "Wakefield 2021: .87", _change("phq9"), _NHS_WINS),
    Figure("pre-post d GAD-7", 0.85, 1.15, "Wakefield 2021: .88", _change("gad7"), _NHS_WINS),
    Figure("pre-post d WSAS", 0.48, 0.61, "Wakefield 2021: .55", _change("wsas")),
    Figure("recovery", 0.476, 0.516, f"{_NHS}: 49.6 %", _nhs("recovery")),
    Figure("reliable recovery", 0.442, 0.482, f"{_NHS}: 46.2 %", _nhs("reliable_recovery")),
    Figure("reliable improvement", 0.648, 0.688, f"{_NHS}: 66.8 %", _nhs("reliable_improvement")),
    Figure("reliable deterioration", 0.044, 0.084, f"{_NHS}: 6.4 %", _nhs("reliable_deterioration")),
    Figure("post score, skewness", 0.0, 2.0, "right-skewed", lambda c: float(c.table["composite_last"].skew())),
    Figure("preference met, d of outcome", 0.19, 0.37, "Swift 2018: .28", read.wish_outcome),
    Figure("preference met, odds ratio of staying", 1.44, 2.22, "Swift 2018: 1.79", read.wish_retention, _MARGINAL),
    Figure("moderate adherence, weak alliance (SD)", 0.05, 1.00, "Barber 2006", lambda c: read.adherence(c, True)),
    Figure("moderate adherence, strong alliance (SD)", -0.10, 0.10, "Barber 2006", lambda c: read.adherence(c, False)),
    Figure("alliance, stayers minus dropouts (d)", 0.40, 0.70, "Sharf 2010: .55", read.alliance_gap),
    Figure("therapist share of alliance", 0.03, 0.20, "recalled: .08", lambda c: c.alliance_share),
    Figure("WAI-SR mean", 3.6, 4.2, "recalled: 3.9", lambda c: float(c.ratings["0"].mean())),
    Figure("WAI-SR SD", 0.6, 0.9, "recalled: .75", lambda c: float(c.ratings["0"].std())),
    Figure("WAI-SR skewness", -2.0, 0.0, "left-skewed, ceiling", lambda c: float(c.ratings["0"].skew())),
    Figure("WAI-SR r task-goal", 0.60, 0.85, "recalled: .75", _rating("task", "goal")),
    Figure("WAI-SR r task-bond", 0.60, 0.85, "recalled: .62", _rating("task", "bond")),
    Figure("WAI-SR r goal-bond", 0.60, 0.85, "recalled: .62", _rating("goal", "bond")),
    Figure("intake PHQ-9 mean", 13.5, 15.5, "recalled: 14.5", _mean("phq9_first")),
    Figure("intake PHQ-9 SD", 5.0, 7.0, "recalled: 6.0", _sd("phq9_first")),
    Figure("intake GAD-7 mean", 12.0, 14.0, "recalled: 13.0", _mean("gad7_first")),
    Figure("intake GAD-7 SD", 4.0, 6.0, "recalled: 5.0", _sd("gad7_first")),
    Figure("intake WSAS mean", 17.5, 19.5, "recalled: 18.5", _mean("wsas_first")),
    Figure("intake WSAS SD", 8.5, 10.5, "recalled: 9.5", _sd("wsas_first")),
    Figure("intake r PHQ-9, GAD-7", 0.60, 0.75, "recalled: .65", _r("phq9_first", "gad7_first")),
    Figure("item 9 above 0 at intake", 0.30, 0.40, "recalled: about 35 %", lambda c: read.item9(c, 1)),
    Figure("item 9 at 2 or 3 at intake", 0.0, 0.10, "Simon 2013: up to 10 %", lambda c: read.item9(c, 2)),
    Figure("sessions, mean of 2 or more", 6.3, 7.3, "NHS 2017-18: 6.8", lambda c: float(read.longer(c).mean())),
    Figure("sessions, median of 2 or more", 4.5, 5.5, "Baldwin 2009", lambda c: float(np.median(read.longer(c)))),
    Figure("sessions, SD of 2 or more", 3.7, 4.7, "Baldwin 2009: 4.2", lambda c: float(read.longer(c).std())),
)
