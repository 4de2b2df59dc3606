"""Bundles fetched from the registry to be served: a folder each, kept, so that answers can be derived again."""

import json
from dataclasses import dataclass
from pathlib import Path

SERVED = Path("var/served")
_LAST = "last.json"


@dataclass(frozen=True)
class Served:
    """A bundle as a folder, and what the registry calls it."""

    folder: Path
    version: str


def place_for(folder: Path, version: str, bundle_id: str) -> Path:
    """The version's folder; beside it, named by its id, where a registry that began anew has used the number before."""
    place = folder / version
    return place if bundle_id_of(place) in ("", bundle_id) else folder / f"{version}-{bundle_id}"


def remember(served: Served, folder: Path = SERVED) -> None:
    """Keeps in mind what is served now, for a start at which the registry does not answer."""
    part = folder / f".{_LAST}"
    part.write_text(json.dumps({"folder": served.folder.name, "version": served.version}))
    part.replace(folder / _LAST)


def last_served(folder: Path = SERVED) -> Served | None:
    """What was served last, if its folder is still there."""
    try:
        known = json.loads((folder / _LAST).read_text())
    except OSError:
        return None
    served = Served(folder / known["folder"], known["version"])
    return served if bundle_id_of(served.folder) else None


def bundle_id_of(place: Path) -> str:
    """What the manifest in a folder calls it; empty if there is none."""
    try:
        return str(json.loads((place / "manifest.json").read_text())["bundle_id"])
    except (OSError, ValueError, KeyError):
        return ""
