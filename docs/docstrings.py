"""Docstrings as Sphinx reads them.

They are written to be read as they are. For Sphinx, indented formulae become literal blocks, lines
NAME: TEXT a list or, where they are the fields of a named tuple, a section Attributes; and what has
a meaning in reStructuredText only stands for itself.
"""

import re
from collections.abc import Iterator, Sequence

_ITEM = re.compile(r"\s*([*-] |\d+\. )")
_NAMED = re.compile(r"([a-z]\w*):\s+(\S.*)")
_ARGUMENT = re.compile(r"\s*\*{1,2}\w+(, \*{1,2}\w+)*:")  # *args: and **kwargs:, as napoleon reads


def rst(lines: Sequence[str], fields: Sequence[str] = ()) -> list[str]:
    """The lines of a docstring for Sphinx.

    Args:
      lines: of a docstring without indentation.
      fields: names of the fields of a named tuple.

    Returns:
      The lines.
    """
    found: list[str] = []
    for block in _blocks(lines):
        first = block[0]
        if first.startswith("    ") and _is_text(found) and not _ITEM.match(first):
            found += ["::", "", *block]
        elif first == "Returns:":  # napoleon would take what is before a colon for a type
            text = [escaped(line.strip()) for line in block[1:]]
            found += [f":returns: {text[0]}", *(f"   {line}" for line in text[1:])]
        elif _NAMED.match(first) and all(x[0] == " " or _NAMED.match(x) for x in block):
            found += list(_named(block, fields))
        else:
            found += map(escaped, block)
        found.append("")
    return found


def _blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    """What empty lines part."""
    block: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []


def _is_text(lines: list[str]) -> bool:
    """Whether the last paragraph is one that an indented block may stand under."""
    last = next((line for line in reversed(lines) if line.strip()), "")
    return bool(last) and not last.startswith(" ") and not _ITEM.match(last)


def _named(block: list[str], fields: Sequence[str]) -> Iterator[str]:
    """Lines NAME: TEXT, each with indented ones that go on with it."""
    attributes = _NAMED.match(block[0])[1] in fields
    if attributes:
        yield "Attributes:"
    for line in block:
        entry = _NAMED.match(line)
        text = escaped(entry[2] if entry else line.strip())
        if attributes:
            yield f"  {entry[1]}: {text}" if entry else f"    {text}"
        else:
            yield f"* ``{entry[1]}``: {text}" if entry else f"  {text}"


def escaped(line: str) -> str:
    """A line of text in which only backticks, list items and names of arguments mean something."""
    # A capital and a dot are no list: initials of an author, or an axis.
    line = re.sub(r"^((?:\s+\*{0,2}\w+: |\s*)[A-Z])\.(?=\s|$)", r"\1\\.", line)
    start = (_ARGUMENT.match(line) or _ITEM.match(line) or re.match(r"\s*", line))[0]
    parts = re.split(r"(``.*?``|`[^`]*`)", line[len(start) :])
    for index in range(0, len(parts), 2):
        text = re.sub(r"([*|])", r"\\\1", parts[index])
        text = re.sub(r"(\w)_(?=\W|$)", r"\1\\_", text)
        if index and re.match(r"\w", text):
            text = f"\\ {text}"  # `Trajectory`s
        parts[index] = text
    return start + "".join(parts)
