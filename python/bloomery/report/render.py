"""Pages from templates: HTML that needs no other file."""

import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

import bloomery


def render(template: str, **values: Any) -> str:
    """A template of this package, filled in."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = _prose  # pyright: ignore[reportUnknownMemberType] - untyped there
    return environment.get_template(template).render(version=bloomery.__version__, **values)


def _prose(text: str) -> Markup:
    """Text for a paragraph, with code between backticks."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before
