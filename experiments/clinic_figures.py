"""The field's figures, each with its target range and source, and how to read it off a synthetic clinic."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from data import nhs
from data.dataset import Dataset
from data.synthetic.effects import RESIDUAL_SD
from data.synthetic.terms import preferences_met
from data.synthetic.truth import Truth
from experiments.clinic_courses import case_mix, courses
from experiments.clinic_lags import lags
from experiments.mixed_shares import Shares, shares

MIN_CASES = 30
"""Courses of a therapist from which a rate is shown; Saxon's therapists had at least as many."""


@dataclass(frozen=True)
class Clinic:
    """One synthetic clinic and what several figures need of it, computed once."""

    dataset: Dataset
    truth: Truth

    @cached_property
    def table(self) -> pd.DataFrame:
        return courses(self.dataset)

    @cached_property
    def seen(self) -> pd.DataFrame:
        """Courses with an outcome."""
        return self.table[self.table["outcome"].notna()]

    @cached_property
    def rows(self) -> np.ndarray:
        """Truth's row of every course in `table`."""
        return np.asarray(pd.Index(self.truth.episode_ids).get_indexer(self.table.index))

    @cached_property
    def therapist_shares(self) -> Shares:
        s = self.seen
        return shares(_floats(s["outcome"]), case_mix(s), _floats(s["severity"]), s["therapist_id"].to_numpy())

    @cached_property
    def shares_beside_skill(self) -> Shares:
        s = self.seen
        skill = s["therapist_id"].map(self.dataset["therapists"].groupby("therapist_id")["interpersonal_skill"].last())
        extra = np.column_stack([skill.fillna(0), skill.isna(), skill.fillna(0) * s["severity"]]).astype(float)
        design = np.hstack([case_mix(s), extra])
        return shares(_floats(s["outcome"]), design, _floats(s["severity"]), s["therapist_id"].to_numpy())

    @cached_property
    def alliance_share(self) -> float:
        s = self.table[self.table["alliance"].notna() & self.table["severity"].notna()]
        return shares(_floats(s["alliance"]), case_mix(s), _floats(s["severity"]), s["therapist_id"].to_numpy()).mean

    @cached_property
    def nhs_rates(self) -> dict[str, float]:
        """Clients whose main problem is depression, at least two attended sessions, scores first and last."""
        s = self.table[self.table["main_problem"] == "depression"]
        scores = [s[name] for name in ("phq9_first", "phq9_last", "gad7_first", "gad7_last", "sessions_attended")]
        return nhs.rates(nhs.outcomes(*scores))

    @cached_property
    def by_therapist(self) -> pd.DataFrame:
        """Dropout and recovery rate of every therapist with enough courses."""
        s = self.table
        flags = nhs.outcomes(s["phq9_first"], s["phq9_last"], s["gad7_first"], s["gad7_last"], s["sessions_attended"])
        recovered = flags["recovery"].astype("Float64").where(flags["at_caseness"].fillna(False))
        rates = pd.DataFrame(
            {
                "therapist_id": s["therapist_id"].to_numpy(),
                "dropout": (s["ending"] == "dropout").to_numpy(float),
                "recovery": recovered.to_numpy(float, na_value=np.nan),
            }
        ).groupby("therapist_id")
        return rates.mean()[rates.size() >= MIN_CASES]

    @cached_property
    def ratings(self) -> pd.DataFrame:
        """WAI-SR ratings of the clients: total and subscales as columns."""
        m = self.dataset["measures"]
        wai = m[(m["instrument"] == "wai_sr") & (m["rater"] == "client")]
        return wai.pivot(index=["episode_id", "session"], columns="item", values="value")

    @cached_property
    def wish_met(self) -> np.ndarray:
        """1 where all wishes of the client were met by the therapist seen, 0 where none, NaN without a wish."""
        t = self.truth
        met = preferences_met(t.clients, t.client_of[self.rows], t.staff, t.therapist[self.rows], np.zeros(1))
        return np.where(met == 0, np.nan, met + 0.5)

    @cached_property
    def lags(self) -> tuple[float, float]:
        return lags(self.dataset)


def _floats(values: pd.Series) -> np.ndarray:
    return np.asarray(values.to_numpy(float, na_value=np.nan))


def _item9(clinic: Clinic, least: int) -> float:
    m = clinic.dataset["measures"]
    answers = m[(m["instrument"] == "phq9") & (m["item"] == "9") & (m["session"] == 0)]["value"]
    return float((answers >= least).mean())


def _change(clinic: Clinic, name: str) -> float:
    done = clinic.table[clinic.table["sessions_attended"] >= nhs.LEAST_SESSIONS]
    both = done[[f"{name}_first", f"{name}_last"]].dropna()
    return float((both.iloc[:, 0] - both.iloc[:, 1]).mean() / both.iloc[:, 0].std())


def _attended(clinic: Clinic) -> np.ndarray:
    return clinic.table["sessions_attended"].to_numpy(float)


def _longer(clinic: Clinic) -> np.ndarray:
    attended = _attended(clinic)
    return np.asarray(attended[attended >= nhs.LEAST_SESSIONS])


def _dropout_share(clinic: Clinic) -> float:
    """Between-therapist variance of the dropout rate beyond chance, moved to the logit scale."""
    s = clinic.table
    drop = (s["ending"] == "dropout").to_numpy(float)
    by = pd.Series(drop).groupby(s["therapist_id"].to_numpy())
    n, rate = by.size().to_numpy(), by.mean().to_numpy()
    p = drop.mean()
    weight = n / n.sum()
    excess = float((weight * (rate - p) ** 2).sum() - p * (1 - p) * (len(n) - 1) / n.sum())
    spread = max(excess, 0.0) / (1 - (weight**2).sum()) / (p * (1 - p)) ** 2
    return spread / (spread + np.pi**2 / 3)


def _alliance_gap(clinic: Clinic) -> float:
    s = clinic.table
    stayed, left = (s["alliance"][s["ending"] == ending] for ending in ("planned", "dropout"))
    return float((stayed.mean() - left.mean()) / s["alliance"].std())


def _wish_outcome(clinic: Clinic) -> float:
    """d of the outcome between wishes met and not met, case mix held."""
    s, met = clinic.table, clinic.wish_met
    use = s["outcome"].notna().to_numpy() & ~np.isnan(met)
    design = np.column_stack([met[use], case_mix(s[use])])
    outcome = _floats(s["outcome"][use])
    return float(np.linalg.lstsq(design, outcome, rcond=None)[0][0] / outcome.std())


def _wish_retention(clinic: Clinic) -> float:
    """Odds ratio of staying between wishes met and not met, case mix held."""
    s, met = clinic.table, clinic.wish_met
    use = s["ending"].isin(["planned", "dropout"]).to_numpy() & ~np.isnan(met) & s["severity"].notna().to_numpy()
    design = np.column_stack([met[use], case_mix(s[use])[:, 1:]])
    stays = (s["ending"][use] == "planned").to_numpy(int)
    model = LogisticRegression(C=1e3, max_iter=500).fit(design, stays)
    return float(np.exp(model.coef_[0, 0]))


def _adherence(clinic: Clinic, weak: bool) -> float:
    """Outcome (SD) of moderate adherence (within .12 of .6) minus that of low or high (beyond .2)."""
    s = clinic.seen[clinic.seen["alliance"].notna() & clinic.seen["adherence"].notna()]
    cut = s["alliance"].quantile(0.3 if weak else 0.5)
    s = s[s["alliance"] < cut] if weak else s[s["alliance"] >= cut]
    distance = (s["adherence"] - 0.6).abs()
    gap = s["outcome"][distance < 0.12].mean() - s["outcome"][distance > 0.2].mean()
    return float(gap / clinic.seen["outcome"].std())


def _tenths(clinic: Clinic, column: str) -> tuple[float, float]:
    """Mean rate of the lowest and the highest tenth of therapists."""
    rates = clinic.by_therapist[column].sort_values()
    tenth = max(1, round(len(rates) / 10))
    return float(rates.iloc[:tenth].mean()), float(rates.iloc[-tenth:].mean())


def _interaction(clinic: Clinic) -> float:
    """From the truth: variance of the doubly centred pair effect over variance of the post score."""
    rows = clinic.rows[:: max(1, len(clinic.rows) // 500)][:, None]
    pairs = clinic.truth.fit(rows, np.arange(len(clinic.truth.therapist_ids))[None, :])
    centred = pairs - pairs.mean(axis=0) - pairs.mean(axis=1, keepdims=True) + pairs.mean()
    return float(centred.var() / clinic.table["composite_last"].var())


def _true_share(clinic: Clinic) -> float:
    """From the truth: variance of therapists' mean effect over the residual variance of the post score."""
    rows = clinic.rows[:: max(1, len(clinic.rows) // 500)]
    rows = rows[np.abs(clinic.truth.severity[rows]) < 0.5][:, None]
    pairs = clinic.truth.fit(rows, np.arange(len(clinic.truth.therapist_ids))[None, :])
    return float(pairs.mean(axis=0).var() / RESIDUAL_SD**2)


@dataclass(frozen=True)
class Figure:
    """One calibrated figure: where it should lie, who says so, how it is read off a clinic, why it may miss."""

    name: str
    low: float
    high: float
    source: str
    value: Callable[[Clinic], float]
    why: str = ""


NHS = "NHS Talking Therapies FY2024-25, depression"
_NHS_WINS = "the NHS rates win where they clash with published effect sizes"

FIGURES: tuple[Figure, ...] = (
    Figure("therapist share, mean severity", 0.03, 0.07, "Johns 2019; Baldwin & Imel 2013: 5 %", lambda c: c.therapist_shares.mean),
    Figure("therapist share, -2 SD severity", 0.00, 0.04, "Saxon & Barkham 2012; planted .02", lambda c: c.therapist_shares.low),
    Figure("therapist share, +2 SD severity", 0.06, 0.14, "Saxon & Barkham 2012; planted .10", lambda c: c.therapist_shares.high),
    Figure("therapist share, mean severity (truth)", 0.04, 0.06, "planted .05", _true_share),
    Figure("interaction share (truth)", 0.017, 0.023, "planted .02", _interaction),
    Figure("skill's share of therapist variance", 0.10, 0.50, "Schoettke group: 26.8 %", lambda c: _skill_share(c)),
    Figure("alliance-outcome r", 0.22, 0.28, "Flueckiger 2018, 2020", lambda c: float(c.table["alliance"].corr(c.table["outcome"]))),
    Figure("lag alliance -> symptoms (within client)", -0.10, -0.03, "Flueckiger 2020b; size recalled", lambda c: c.lags[0]),
    Figure("lag symptoms -> alliance (within client)", -0.10, -0.03, "Flueckiger 2020b; size recalled", lambda c: c.lags[1]),
    Figure("starters with under 3 sessions", 0.30, 0.33, "Grow 2024: 67.4 % had 3 or more", lambda c: float((_attended(c) < 3).mean())),
    Figure("dropout", 0.19, 0.30, "Swift 2012; PMHC 25.3 %", lambda c: float((c.table["ending"] == "dropout").mean())),
    Figure("therapist share of dropout (logit)", 0.03, 0.13, "Saxon 2017: 12.6 %", _dropout_share),
    Figure("dropout, therapist with the lowest rate", 0.0, 0.08, "Saxon 2017: 1.2 %", lambda c: float(c.by_therapist["dropout"].min())),
    Figure("dropout, therapist with the highest rate", 0.50, 0.80, "Saxon 2017: 73.2 %", lambda c: float(c.by_therapist["dropout"].max())),
    Figure("dropout, highest over lowest tenth", 4.0, 12.0, "Saxon 2017: 4 times", lambda c: _tenths(c, "dropout")[1] / max(_tenths(c, "dropout")[0], 0.01)),
    Figure("recovery, lowest over highest tenth", 0.25, 0.50, "Okiishi 2003: less than half", lambda c: _tenths(c, "recovery")[0] / _tenths(c, "recovery")[1]),
    Figure("pre-post d PHQ-9", 0.85, 1.15, "Wakefield 2021: .87", lambda c: _change(c, "phq9"), _NHS_WINS),
    Figure("pre-post d GAD-7", 0.85, 1.15, "Wakefield 2021: .88", lambda c: _change(c, "gad7"), _NHS_WINS),
    Figure("pre-post d WSAS", 0.48, 0.61, "Wakefield 2021: .55", lambda c: _change(c, "wsas")),
    Figure("recovery", 0.476, 0.516, f"{NHS}: 49.6 %", lambda c: c.nhs_rates["recovery"]),
    Figure("reliable recovery", 0.442, 0.482, f"{NHS}: 46.2 %", lambda c: c.nhs_rates["reliable_recovery"]),
    Figure("reliable improvement", 0.648, 0.688, f"{NHS}: 66.8 %", lambda c: c.nhs_rates["reliable_improvement"]),
    Figure("reliable deterioration", 0.044, 0.084, f"{NHS}: 6.4 %", lambda c: c.nhs_rates["reliable_deterioration"]),
    Figure("post score, skewness", 0.3, 1.5, "right-skewed (derived)", lambda c: float(c.table["composite_last"].skew())),
    Figure("preference met, d of outcome", 0.19, 0.37, "Swift 2018: .28", _wish_outcome),
    Figure("preference met, odds ratio of staying", 1.44, 2.22, "Swift 2018: 1.79", _wish_retention, "an odds ratio over all therapists lies nearer to 1 than the planted one within a therapist"),
    Figure("moderate adherence, weak alliance (SD)", 0.10, 0.60, "Barber 2006", lambda c: _adherence(c, True)),
    Figure("moderate adherence, strong alliance (SD)", -0.10, 0.10, "Barber 2006", lambda c: _adherence(c, False)),
    Figure("alliance, stayers minus dropouts (d)", 0.40, 0.70, "Sharf 2010: .55", _alliance_gap),
    Figure("therapist share of alliance", 0.03, 0.20, "recalled: .08", lambda c: c.alliance_share),
    Figure("WAI-SR mean", 3.6, 4.2, "recalled: 3.9", lambda c: float(c.ratings["0"].mean())),
    Figure("WAI-SR SD", 0.6, 0.9, "recalled: .75", lambda c: float(c.ratings["0"].std())),
    Figure("WAI-SR skewness", -1.5, -0.3, "left-skewed with a ceiling", lambda c: float(c.ratings["0"].skew())),
    Figure("WAI-SR r task-goal", 0.65, 0.85, "recalled: .75", lambda c: float(c.ratings["task"].corr(c.ratings["goal"]))),
    Figure("WAI-SR r task-bond", 0.55, 0.70, "recalled: .62", lambda c: float(c.ratings["task"].corr(c.ratings["bond"]))),
    Figure("WAI-SR r goal-bond", 0.55, 0.70, "recalled: .62", lambda c: float(c.ratings["goal"].corr(c.ratings["bond"]))),
    Figure("intake PHQ-9 mean", 13.5, 15.5, "recalled: 14.5", lambda c: float(c.table["phq9_first"].mean())),
    Figure("intake PHQ-9 SD", 5.0, 7.0, "recalled: 6.0", lambda c: float(c.table["phq9_first"].std())),
    Figure("intake GAD-7 mean", 12.0, 14.0, "recalled: 13.0", lambda c: float(c.table["gad7_first"].mean())),
    Figure("intake GAD-7 SD", 4.0, 6.0, "recalled: 5.0", lambda c: float(c.table["gad7_first"].std())),
    Figure("intake WSAS mean", 17.5, 19.5, "recalled: 18.5", lambda c: float(c.table["wsas_first"].mean())),
    Figure("intake WSAS SD", 8.5, 10.5, "recalled: 9.5", lambda c: float(c.table["wsas_first"].std())),
    Figure("intake r PHQ-9, GAD-7", 0.60, 0.75, "recalled: .65", lambda c: float(c.table["phq9_first"].corr(c.table["gad7_first"]))),
    Figure("item 9 above 0 at intake", 0.30, 0.40, "recalled: about 35 %", lambda c: _item9(c, 1)),
    Figure("item 9 at 2 or 3 at intake", 0.03, 0.10, "Simon 2013: up to 10 %", lambda c: _item9(c, 2)),
    Figure("sessions, mean of those with 2 or more", 6.3, 7.3, "NHS 2017-18: 6.8", lambda c: float(_longer(c).mean())),
    Figure("sessions, median of those with 2 or more", 5.0, 5.0, "NHS 2017-18; Baldwin 2009", lambda c: float(np.median(_longer(c)))),
    Figure("sessions, SD of those with 2 or more", 3.7, 4.7, "Baldwin 2009: about 4.2", lambda c: float(_longer(c).std())),
)  # fmt: skip


def _skill_share(clinic: Clinic) -> float:
    """How much smaller the variance between therapists is once interpersonal skill is in the model."""
    bare, beside = clinic.therapist_shares.mean, clinic.shares_beside_skill.mean
    ratio = (beside / (1 - beside)) / max(bare / (1 - bare), 1e-9)
    return 1 - ratio
