"""Drawings as small as they can be without looking different, to carry a hundred of them in one file."""

import re

_COMMENT = re.compile(r"<!--.*?-->|<metadata>.*?</metadata>|<title>.*?</title>", re.DOTALL)
_BETWEEN = re.compile(r">\s+<")
_PLACES = re.compile(r'(\s(?:d|points|x|y|x1|x2|y1|y2|cx|cy|width|height|transform)=")([^"]*)"')
_LONG = re.compile(r"(-?\d+\.\d\d)\d+")
_SPACE = re.compile(r"\s+")


def slim(svg: str) -> str:
    """The drawing without comments and empty space, its places to a hundredth of a point."""
    return _PLACES.sub(_rounded, _BETWEEN.sub("><", _COMMENT.sub("", svg))).strip()


def data_uri(svg: str) -> str:
    """The drawing as the `src` of an image in a file, ready to stand between double quotes."""
    text = _SPACE.sub(" ", slim(svg)).replace("%", "%25").replace("#", "%23").replace('"', "%22")
    return "data:image/svg+xml;charset=utf-8," + text.replace("&", "&amp;")


def _rounded(found: re.Match[str]) -> str:
    short = _SPACE.sub(" ", _LONG.sub(r"\1", found[2])).strip()
    return f'{found[1]}{short}"'
