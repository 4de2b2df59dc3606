"""Words and figures inside sentences, as every section writes them. Light: workers import it."""

from collections.abc import Iterable

from training.audit.document import Estimate


def capital(text: str) -> str:
    """The text as a sentence begins; what follows stays as it is (`str.capitalize` would say Ptsd)."""
    return text[:1].upper() + text[1:]


def listed(words: Iterable[str]) -> str:
    """Several things as one would say them: a, b and c; `nothing` where there are none."""
    *first, last = [*words] or ["nothing"]
    return f"{', '.join(first)} and {last}" if first else last


def with_interval(one: Estimate, unit: str = " SD", sign: bool = True, digits: int = 2) -> str:
    """A figure with its 95 % interval: +0.27 SD (95 % interval +0.24 to +0.30)."""
    shape = f"{'+' if sign else ''}.{digits}f"
    said = f"{one.value:{shape}}{unit}"
    if one.low is None or one.high is None:
        return said
    return f"{said} (95 % interval {one.low:{shape}} to {one.high:{shape}})"


def id_of(name: str) -> str:
    """The name of a feature or a head within the id of a table or a picture."""
    return "".join(c if c.isalnum() or c in "_.-" else "-" for c in name.lower())
