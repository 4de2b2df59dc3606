"""Whether the experiment that holds audits against the truth counts what it says it counts."""

from functools import partial

from experiments.audit_truth import TOLD, run, table


def test_it_runs_as_its_command_calls_it_and_tells_every_clinic():
    told: list[None] = []
    asked = partial(run, 300, 12, 2, arms=())
    found = asked(lambda: told.append(None))
    assert len(told) == 2
    ((kind, shares),) = found["kinds"].items()
    assert kind == "base, ethnicity=black harmed"
    assert set(shares) == set(TOLD) - {"null_matters"}
    assert all(0 <= one["low"] <= one["value"] <= one["high"] <= 1 for one in shares.values())
    assert all(one["low"] < one["high"] for one in shares.values()), "two clinics show nothing for sure"
    assert table(found).row_count == len(TOLD)
