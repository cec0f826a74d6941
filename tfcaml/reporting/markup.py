"""HTML from Python values: what is text is escaped, whatever is in it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any

_WITHOUT_END = ("img", "meta", "col")
# What no HTML may hold, not even as a reference: controls, halves of surrogate pairs.
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Markup(str):
    """Text that is HTML already. `element` makes it; nothing that users give is it."""


def element(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """An element of HTML.

    Args:
      name: of the element, such as "p".
      *children: `Markup`; or what is shown as text; or lists of both; None is left out.
      **attributes: "class_" is "class", and "http_equiv" is "http-equiv"; True stands for one
        without a value, None for one that is left out.
    """
    given = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escaped(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _WITHOUT_END:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{joined(children)}</{name}>")


def joined(children: Iterable[Any]) -> Markup:
    """Children of an element one after the other, see there."""
    parts = []
    for child in children:
        if isinstance(child, list | tuple):
            parts.append(joined(child))
        elif child is not None:
            parts.append(child if isinstance(child, Markup) else escaped(child))
    return Markup("".join(parts))


def escaped(value: Any) -> Markup:
    """Text that is shown as it is, with a mark for each character that HTML can't hold."""
    return Markup(html.escape(_NO_TEXT.sub("\ufffd", str(value))))
