"""The feature policy: for each feature whether it may be used, in which part of the model, and why."""

import hashlib
import tomllib
from collections.abc import Collection, Mapping
from importlib.resources import files
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from data.errors import PolicyError, Problem
from features.catalog import CATALOG

Part = Literal["prognosis", "fit"]


class Rule(BaseModel):
    """What the policy says of one feature."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Literal["allowed", "audit-only", "forbidden"]
    part: Part
    """`prognosis`: what to expect of therapy, the same for every therapist; `fit`: may rank therapists."""
    expected: Literal["+", "-", "0", "?"]
    reason: str


class Policy(BaseModel):
    """The rules of all features, and of the columns that datasets declare."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    feature: Mapping[str, Rule]
    declared: Mapping[Literal["client", "therapist"], Rule]

    @classmethod
    def read(cls, text: str | None = None) -> Self:
        """The policy that ships with the program, or the one in `text` (TOML). Raises PolicyError if it is unclear."""
        source = files("features").joinpath("policy.toml").read_text() if text is None else text
        try:
            policy = cls.model_validate(tomllib.loads(source))
        except (tomllib.TOMLDecodeError, ValidationError) as error:
            raise PolicyError([Problem("features/policy.toml", "unreadable", str(error), "mend the file")]) from None
        uncovered = [name for name in CATALOG if name not in policy.feature]
        strangers = [name for name in policy.feature if name not in CATALOG]
        problems = [Problem(n, "not in features/policy.toml", "every feature has a rule", "add one") for n in uncovered]
        problems += [
            Problem(n, "not in the catalog", "rules are for features that exist", "remove it") for n in strangers
        ]
        if problems:
            raise PolicyError(problems)
        return policy

    def rule(self, feature: str) -> Rule:
        """The rule of a feature; a dataset's own column `client.x` has the rule of its table."""
        if feature in self.feature:
            return self.feature[feature]
        return self.declared["client" if feature.startswith("client.") else "therapist"]

    def usable(self, names: Collection[str], part: Part) -> list[str]:
        """Those of the features that this part of the model may use, in the order given."""
        return [n for n in names if self.rule(n).status == "allowed" and self.rule(n).part == part]

    def refused(self, names: Collection[str]) -> list[Problem]:
        """One problem for each feature that no part of a model may use."""
        return [
            Problem(name, self.rule(name).status, self.rule(name).reason, "take it out of the configuration")
            for name in names
            if self.rule(name).status != "allowed"
        ]

    def hash(self) -> str:
        """Sixteen hex digits that change with any rule."""
        return _digest(self)

    def rule_hash(self, feature: str) -> str:
        """Sixteen hex digits over the rule of one feature: a signature holds for a feature under a rule."""
        return _digest(self.rule(feature))


def _digest(rules: BaseModel) -> str:
    return hashlib.sha256(rules.model_dump_json().encode()).hexdigest()[:16]
