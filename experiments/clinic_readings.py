"""How the field's figures are read off a synthetic clinic."""

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
        """One row a course of treatment: first and last scores, outcome, alliance, ending."""
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
        """Share of the outcome's variance between therapists, beyond case-mix."""
        s = self.seen
        return shares(_floats(s["outcome"]), case_mix(s), _floats(s["severity"]), s["therapist_id"].to_numpy())

    @cached_property
    def shares_beside_skill(self) -> Shares:
        """The same with interpersonal skill, alone and times severity, in the case-mix."""
        s = self.seen
        skill = s["therapist_id"].map(self.dataset["therapists"].groupby("therapist_id")["interpersonal_skill"].last())
        extra = np.column_stack([skill.fillna(0), skill.isna(), skill.fillna(0) * s["severity"]]).astype(float)
        design = np.hstack([case_mix(s), extra])
        return shares(_floats(s["outcome"]), design, _floats(s["severity"]), s["therapist_id"].to_numpy())

    @cached_property
    def alliance_share(self) -> float:
        """Share of the alliance's variance between therapists, beyond case-mix."""
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

    def tenths(self, rate: str) -> tuple[float, float]:
        """Mean rate of the lowest and the highest tenth of therapists."""
        rates = self.by_therapist[rate].sort_values()
        tenth = max(1, round(len(rates) / 10))
        return float(rates.iloc[:tenth].mean()), float(rates.iloc[-tenth:].mean())

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
        """What alliance foretells of symptoms, and symptoms of alliance, from session to session."""
        return lags(self.dataset)


def _floats(values: pd.Series) -> np.ndarray:
    return np.asarray(values.to_numpy(float, na_value=np.nan))


def item9(clinic: Clinic, least: int) -> float:
    """Share of intakes with at least that answer to PHQ-9 item 9."""
    m = clinic.dataset["measures"]
    answers = m[(m["instrument"] == "phq9") & (m["item"] == "9") & (m["session"] == 0)]["value"]
    return float((answers >= least).mean())


def change(clinic: Clinic, name: str) -> float:
    """Pre-post change of an instrument in intake SDs, of those with both scores and enough attended sessions."""
    done = clinic.table[clinic.table["sessions_attended"] >= nhs.LEAST_SESSIONS]
    both = done[[f"{name}_first", f"{name}_last"]].dropna()
    return float((both.iloc[:, 0] - both.iloc[:, 1]).mean() / both.iloc[:, 0].std())


def under_three(clinic: Clinic) -> float:
    """Share of all starters who attended fewer than three sessions."""
    return float((clinic.table["sessions_attended"] < 3).mean())


def longer(clinic: Clinic) -> np.ndarray:
    """Sessions of courses with at least two."""
    attended = _floats(clinic.table["sessions_attended"])
    return np.asarray(attended[attended >= nhs.LEAST_SESSIONS])


def dropout_share(clinic: Clinic) -> float:
    """Between-therapist variance of the dropout rate beyond chance, moved to the logit scale."""
    s = clinic.table
    drop = (s["ending"] == "dropout").to_numpy(float)
    by = pd.Series(drop).groupby(s["therapist_id"].to_numpy())
    n, rate = by.size().to_numpy(), by.mean().to_numpy()
    p = drop.mean()
    weight = n / n.sum()
    excess = float((weight * (rate - p) ** 2).sum() - p * (1 - p) * (len(n) - 1) / n.sum())
    spread = max(excess, 0.0) / (1 - (weight**2).sum()) / (p * (1 - p)) ** 2
    return float(spread / (spread + np.pi**2 / 3))


def alliance_gap(clinic: Clinic) -> float:
    """Alliance of those who finished less that of those who dropped out, in SDs."""
    s = clinic.table
    stayed, left = (s["alliance"][s["ending"] == ending] for ending in ("planned", "dropout"))
    return float((stayed.mean() - left.mean()) / s["alliance"].std())


def wish_outcome(clinic: Clinic) -> float:
    """d of the outcome between wishes met and not met, case mix held."""
    s, met = clinic.table, clinic.wish_met
    use = s["outcome"].notna().to_numpy() & ~np.isnan(met)
    design = np.column_stack([met[use], case_mix(s[use])])
    outcome = _floats(s["outcome"][use])
    return float(np.linalg.lstsq(design, outcome, rcond=None)[0][0] / outcome.std())


def wish_retention(clinic: Clinic) -> float:
    """Odds ratio of staying between wishes met and not met, case mix held."""
    s, met = clinic.table, clinic.wish_met
    use = s["ending"].isin(["planned", "dropout"]).to_numpy() & ~np.isnan(met) & s["severity"].notna().to_numpy()
    design = np.column_stack([met[use], case_mix(s[use])[:, 1:]])
    stays = (s["ending"][use] == "planned").to_numpy(int)
    model = LogisticRegression(C=1e3, max_iter=500).fit(design, stays)
    return float(np.exp(model.coef_[0, 0]))


def adherence(clinic: Clinic, weak: bool) -> float:
    """Outcome (SD) of moderate adherence (within .12 of .6) minus that of low or high (beyond .2)."""
    s = clinic.seen[clinic.seen["alliance"].notna() & clinic.seen["adherence"].notna()]
    cut = s["alliance"].quantile(0.3 if weak else 0.5)
    s = s[s["alliance"] < cut] if weak else s[s["alliance"] >= cut]
    distance = (s["adherence"] - 0.6).abs()
    gap = s["outcome"][distance < 0.12].mean() - s["outcome"][distance > 0.2].mean()
    return float(gap / clinic.seen["outcome"].std())


def dropout_ratio(clinic: Clinic) -> float:
    """Dropout of the highest tenth of therapists over that of the lowest."""
    low, high = clinic.tenths("dropout")
    return high / max(low, 0.01)


def recovery_ratio(clinic: Clinic) -> float:
    """Recovery of the lowest tenth of therapists over that of the highest."""
    low, high = clinic.tenths("recovery")
    return low / high


def interaction(clinic: Clinic) -> float:
    """From the truth: variance of the doubly centred pair effect over variance of the post score."""
    rows = clinic.rows[:: max(1, len(clinic.rows) // 500)][:, None]
    pairs = clinic.truth.fit(rows, np.arange(len(clinic.truth.therapist_ids))[None, :])
    centred = pairs - pairs.mean(axis=0) - pairs.mean(axis=1, keepdims=True) + pairs.mean()
    return float(centred.var() / clinic.table["composite_last"].var())


def true_share(clinic: Clinic) -> float:
    """From the truth: variance of therapists' mean effect over the residual variance of the post score."""
    rows = clinic.rows[:: max(1, len(clinic.rows) // 500)]
    rows = rows[np.abs(clinic.truth.severity[rows]) < 0.5][:, None]
    pairs = clinic.truth.fit(rows, np.arange(len(clinic.truth.therapist_ids))[None, :])
    return float(pairs.mean(axis=0).var() / RESIDUAL_SD**2)


def skill_share(clinic: Clinic) -> float:
    """How much smaller the variance between therapists is once interpersonal skill is in the model."""
    bare, beside = clinic.therapist_shares.mean, clinic.shares_beside_skill.mean
    ratio = (beside / (1 - beside)) / max(bare / (1 - bare), 1e-9)
    return float(1 - ratio)
