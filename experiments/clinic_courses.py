"""One row per started course of treatment, with the quantities that the field's figures are about."""

import numpy as np
import pandas as pd

from data.dataset import Dataset

WEEKS = 26
EARLY = (3, 4, 5)


def courses(dataset: Dataset) -> pd.DataFrame:
    """Every finished, started course: intake, first and last totals, alliance, ending, and the client's facts.

    `last` is the last total after intake within 26 weeks of the match; `alliance` the mean client rating of sessions
    3 to 5; `outcome` the mean over PHQ-9 and GAD-7 of (intake - last)/intake SD; `severity` the intake composite, z.
    """
    episodes = dataset["episodes"]
    done = episodes[episodes["started_on"].notna() & ~episodes["ending"].isin(["ongoing", "waiting"])]
    table = done.merge(dataset["clients"], on="client_id", how="left").set_index("episode_id")
    measures = dataset["measures"]
    totals = measures[measures["item"] == "0"]
    for name in ("phq9", "gad7", "wsas"):
        mine = totals[totals["instrument"] == name]
        table[f"{name}_first"] = mine[mine["session"] == 0].set_index("episode_id")["value"]
        table[f"{name}_last"] = _last(mine, table)
    alliance = totals[(totals["instrument"] == "wai_sr") & totals["session"].isin(EARLY)]
    table["alliance"] = alliance.groupby("episode_id")["value"].mean()
    table["adherence"] = dataset["sessions"].groupby("episode_id")["adherence"].mean()
    table["composite_first"] = (table["phq9_first"] / 6 + table["gad7_first"] / 5) / 2
    table["composite_last"] = (table["phq9_last"] / 6 + table["gad7_last"] / 5) / 2
    gains = [
        (table[f"{name}_first"] - table[f"{name}_last"]) / table[f"{name}_first"].std() for name in ("phq9", "gad7")
    ]
    table["outcome"] = pd.concat(gains, axis=1).mean(axis=1)
    first = table["composite_first"]
    table["severity"] = (first - first.mean()) / first.std()
    table["dropout"] = (table["ending"] == "dropout").astype(float)
    table["main_problem"] = table["problems"].str.split("|").str[0]
    return table


def case_mix(table: pd.DataFrame) -> np.ndarray:
    """Design matrix of what is known of the client before the match, an intercept first; unknown is a level."""
    numbers = ["expectancy", "motivation", "social_support", "deprivation_decile", "prior_episodes"]
    columns = [np.ones(len(table)), table["severity"].to_numpy(float), table["severity"].to_numpy(float) ** 2]
    for name in numbers:
        values = table[name].to_numpy(float, na_value=np.nan)
        unknown = np.isnan(values)
        columns += [np.where(unknown, np.nanmean(values), values) - np.nanmean(values)]
        columns += [unknown.astype(float)] if unknown.any() else []
    for name in ("employment", "main_problem", "ethnicity"):
        levels = pd.get_dummies(table[name], dtype=float)
        columns += [levels[level].to_numpy() for level in levels.columns[1:]]
    columns.append(table["long_term_condition"].to_numpy(float, na_value=0.0))
    return np.column_stack(columns)


def _last(totals: pd.DataFrame, table: pd.DataFrame) -> pd.Series:
    after = totals[totals["session"] > 0]
    matched = after["episode_id"].map(table["matched_on"])
    within = after[after["taken_on"] <= matched + pd.Timedelta(weeks=WEEKS)]
    return within.sort_values("session").groupby("episode_id")["value"].last()
