"""Shows the examples in docstrings as code on the site (mkdocs.yml names this file)."""

import re
from typing import Any

from griffe import Extension, Object

DOCTEST = re.compile(r"^[ \t]*>>> .*(?:\n[ \t]*\S.*)*", flags=re.M)


class Doctests(Extension):
    """Puts a fence around each doctest, which Markdown would take for a quotation."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = DOCTEST.sub(fenced, obj.docstring.value)


def fenced(example: re.Match[str]) -> str:
    """An example between fences, at its own indentation."""
    indent = re.match(r"[ \t]*", example[0])
    margin = "" if indent is None else indent[0]
    return f"{margin}```pycon\n{example[0]}\n{margin}```"
