"""Which features a run uses, and a refusal of those it must not: all problems at once, before anything is learned."""

from collections.abc import Mapping
from dataclasses import dataclass

from data.dataset import Dataset
from data.errors import ConfigError, Problem
from features.catalog import CATALOG
from features.policy import Part, Policy
from training.config import MEASURE, TrainConfig

TABLE_OF = {"client": "clients", "therapist": "therapists", "episode": "episodes", "session": "sessions"}
USABLE = ("number", "integer", "boolean", "code", "codes", "tag", "tags")


@dataclass(frozen=True)
class Chosen:
    """Feature names, the meanings of those the dataset declares, and which part of the model may use which."""

    names: tuple[str, ...]
    declared: Mapping[str, str]
    policy: Policy

    def part(self, name: str) -> Part:
        """The part of the model that may use the feature."""
        return self.policy.rule(name).part


def choose(config: TrainConfig, dataset: Dataset, policy: Policy) -> Chosen:
    """Features of the run: what the policy allows and the data declare, plus and less what the configuration says.

    Raises ConfigError naming every column that is known only after the match, is kept from the model by the policy,
    or does not exist.
    """
    declared = declared_features(dataset)
    problems = [problem for name in config.features.include for problem in _refusals(name, dataset, policy, declared)]
    problems += [
        Problem(
            f"features.exclude {name!r}", "no such feature", "features are those of the catalog and the dataset", ""
        )
        for name in config.features.exclude
        if name not in CATALOG and name not in declared
    ]
    if problems:
        raise ConfigError(problems)
    standing = [n for n in (*CATALOG, *declared) if policy.rule(n).status == "allowed"]
    names = tuple(name for name in standing if name not in config.features.exclude)
    return Chosen(names, {n: m for n, m in declared.items() if n in names}, policy)


def settle(config: TrainConfig, dataset: Dataset) -> TrainConfig:
    """The configuration with every head the right way up: a measure's direction is that of its instrument.

    Raises ConfigError naming instruments that the dataset does not know, and directions that contradict them.
    """
    known = dataset.manifest.instruments()
    where, rule = "outcome.instruments", f"must be one of {', '.join(known)}"
    problems = [
        Problem(where, repr(name), rule, "mend the name, or declare it in dataset.toml")
        for name in (*config.outcome.instruments, config.outcome.alliance_instrument)
        if name not in known
    ]
    heads = []
    for head in config.heads:
        found = MEASURE.fullmatch(head.source)
        if found is None:
            heads.append(head)
            continue
        name = found["instrument"]
        if name not in known:
            problems.append(Problem(f"head {head.name}", repr(name), rule, "mend the name, or declare it"))
            continue
        direction = known[name].direction
        if head.direction not in (None, direction):
            said = f"of {name} a {direction} score is better"
            problems.append(Problem(f"head {head.name} direction", repr(head.direction), said, "leave it out"))
        heads.append(head.model_copy(update={"direction": direction}))
    if problems:
        raise ConfigError(problems)
    return config.model_copy(update={"heads": tuple(heads)})


def declared_features(dataset: Dataset) -> dict[str, str]:
    """Columns that the dataset declares as known before the match: `client.x` -> meaning."""
    found = {}
    for group in ("client", "therapist"):
        for name, column in dataset.manifest.column.get(TABLE_OF[group], {}).items():
            if column.known == "before" and column.kind in USABLE:
                found[f"{group}.{name}"] = column.meaning
    return found


def _refusals(name: str, dataset: Dataset, policy: Policy, declared: Mapping[str, str]) -> list[Problem]:
    where = f"features.include {name!r}"
    if name in CATALOG or name in declared:
        return policy.refused([name])
    if MEASURE.fullmatch(name):
        return _later_measure(where, name)
    places = _places(name, dataset)
    if not places:
        rule = "features are those of the catalog, and columns the dataset declares as client.NAME or therapist.NAME"
        return [Problem(where, "no such feature", rule, "see the names in features/policy.toml")]
    return [_refusal(where, table, column, dataset) for table, column in places]


def _places(name: str, dataset: Dataset) -> list[tuple[str, str]]:
    """Tables and columns that a name may mean: `client.x`, `clients.x`, or `x` in any table of facts."""
    group, dot, column = name.rpartition(".")
    tables = [TABLE_OF.get(group, group)] if dot else list(TABLE_OF.values())
    known = [table for table in tables if table in TABLE_OF.values()]
    return [(table, column) for table in known if column in dataset.contract(table).names]


def _refusal(where: str, table: str, column: str, dataset: Dataset) -> Problem:
    if dataset.contract(table)[column].known == "after":
        rule = "is known only after the match, and what is known after the match is never a feature"
    else:
        rule = "is not built as a feature by that name; see features/policy.toml, or declare it as client.NAME"
    return Problem(where, f"{table}.{column}", rule, "take it out of features.include")


def _later_measure(where: str, name: str) -> list[Problem]:
    session = int(name.rpartition("@")[2])
    if session == 0:
        return [Problem(where, name, "intake scores are features already", "take it out of features.include")]
    rule = f"a measure of session {session} is taken after the match, and is never a feature"
    return [Problem(where, name, rule, "for analysis only, give a head `landmark`")]
