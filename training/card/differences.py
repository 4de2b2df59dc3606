"""How one card differs from another: data, features, controls and figures, a line each."""

from collections.abc import Iterator, Mapping

from training.bundle import Bundle
from training.card.data import Card, card_of
from training.card.facts import figure


def differences(card: Card, previous: Card) -> list[str]:
    """What is new in `card`, what is gone since `previous`, and what changed; empty where nothing did."""
    new, old = card.run, previous.run
    return [
        *_changed("data", new.data, old.data),
        *_features(new.features, old.features),
        *_changed("control", new.settings, old.settings),
        *_hazards(card, previous),
        *_figures(new.figures, old.figures),
        *_answers(card, previous),
    ]


def against(bundle: Bundle, previous: Bundle) -> list[str]:
    """The same of two bundles, for a command: `models show A --against B`."""
    return differences(card_of(bundle.manifest, bundle), card_of(previous.manifest, previous))


def _changed(what: str, new: Mapping[str, str], old: Mapping[str, str]) -> Iterator[str]:
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name), new.get(name)
        if before is None:
            yield f"{what}: {name} is new: {after}"
        elif after is None:
            yield f"{what}: {name} is gone (was {before})"
        elif before != after:
            yield f"{what}: {name} was {before or 'empty'}, is {after or 'empty'}"


def _features(new: tuple[str, ...], old: tuple[str, ...]) -> Iterator[str]:
    yield from (f"feature: {name} is new" for name in new if name not in old)
    yield from (f"feature: {name} is gone" for name in old if name not in new)


def _hazards(card: Card, previous: Card) -> Iterator[str]:
    new, old = ({one.id: one for one in mine.hazards} for mine in (card, previous))
    yield from (f"control: hazard {name} is new: {one.hazard}" for name, one in new.items() if name not in old)
    yield from (f"control: hazard {name} is gone: {one.hazard}" for name, one in old.items() if name not in new)
    for name, one in new.items():
        if name in old and one != old[name]:
            yield f"control: hazard {name} reads otherwise: {one.control}"


def _figures(new: Mapping[str, Mapping[str, float]], old: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name), new.get(name)
        if before is None or after is None:
            told = f"is new: {figure(after)}" if after else f"is gone (was {figure(before)})" if before else ""
            yield f"figure: {name} {told}"
        elif figure(before) != figure(after):
            apart = after["low"] > before["high"] or after["high"] < before["low"]
            end = "; the intervals do not meet" if apart else "; the intervals meet"
            yield f"figure: {name} was {figure(before)}, is {figure(after)}{end}"


def _answers(card: Card, previous: Card) -> Iterator[str]:
    """Questions that were open and are answered now, or the other way round."""
    states = {one.id: one.state for one in (*previous.attributes, *previous.assessment)}
    for one in (*card.attributes, *card.assessment):
        before = states.get(one.id, one.state)
        if before != one.state:
            yield f"answer: {one.id} ({one.asks}) was {before}, is {one.state}"
