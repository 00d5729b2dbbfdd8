"""A page on a tokenizer, its whole vocabulary inside: to search, and to type a text and see it split, merge by merge.

The page's own script does it all, without a server; it pre-tokenizes by the same patterns, written as JavaScript has
them. It needs jinja2 alone of the extra `report`.
"""

import json
import re
from pathlib import Path
from typing import Any

from markupsafe import Markup

from bloomery import Tokenizer
from bloomery.report.render import render
from bloomery.tokenizer.inspect import inspect

_LONGEST = 30

_SPACE, _LETTER, _NUMBER = r"\p{White_Space}", r"\p{L}", r"\p{N}"
_OTHER = rf" ?[^{_SPACE}{_LETTER}{_NUMBER}]+"
_BEFORE = rf"[^\r\n{_LETTER}{_NUMBER}]?"
_SPACES = rf"{_SPACE}+(?!\P{{White_Space}})"
# A contraction in either case; the long s is a small s to a regex that ignores case.
_CONTRACTION = "'(?:[sſSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_PATTERNS = {
    name: "|".join(alternatives)
    for name, alternatives in {
        "gpt2": ("'(?:[sdmt]|ll|ve|re)", rf" ?{_LETTER}+", rf" ?{_NUMBER}+", _OTHER, _SPACES, rf"{_SPACE}+"),
        "cl100k": (
            _CONTRACTION,
            rf"{_BEFORE}{_LETTER}+",
            rf"{_NUMBER}{{1,3}}",
            rf"{_OTHER}[\r\n]*",
            rf"{_SPACE}+$",
            rf"{_SPACE}*[\r\n]",
            _SPACES,
            _SPACE,
        ),
        "o200k": (
            rf"{_BEFORE}{_UPPER}*{_LOWER}+(?:{_CONTRACTION})?",
            rf"{_BEFORE}{_UPPER}+{_LOWER}*(?:{_CONTRACTION})?",
            rf"{_NUMBER}{{1,3}}",
            rf"{_OTHER}[\r\n/]*",
            rf"{_SPACE}*[\r\n]+",
            _SPACES,
            rf"{_SPACE}+",
        ),
        "qwen": (
            _CONTRACTION,
            rf"{_BEFORE}{_LETTER}+",
            _NUMBER,
            rf"{_OTHER}[\r\n]*",
            rf"{_SPACE}*[\r\n]+",
            _SPACES,
            rf"{_SPACE}+",
        ),
    }.items()
}
"""The named schemes as JavaScript has them: it knows neither possessive repetition, which changes none of these, nor a
part that ignores case, and its \\s is another set than Unicode's white space."""


def write_tokenizer_page(tokenizer: Tokenizer, name: str, output: Path) -> None:
    """Writes the page.

    Args:
        tokenizer: The tokenizer.
        name: What the page calls it.
        output: The page, which appears whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    facts = inspect(tokenizer, _LONGEST)
    highest = max(facts.lengths.values(), default=1)
    html = render(
        "tokenizer.html",
        name=name,
        facts=facts,
        lengths=[(length, count, 100 * count / highest) for length, count in facts.lengths.items()],
        data=Markup(_embedded(tokenizer_data(tokenizer))),  # noqa: S704 - escaped by _embedded
    )
    unfinished = output.with_name(f".{output.name}")
    unfinished.write_text(html, encoding="utf-8")
    unfinished.replace(output)


def tokenizer_data(tokenizer: Tokenizer) -> dict[str, Any]:
    """What the page's script works on; a token is a string with a character for each byte."""
    vocab = tokenizer.vocab
    ids = {token: token_id for token_id, token in vocab.items()}
    added = tokenizer.added_tokens
    return {
        "ids": list(vocab),
        "tokens": [token.decode("latin-1") for token in vocab.values()],
        "merges": [token_id for pair in tokenizer.merges for token_id in (ids[pair[0]], ids[pair[1]])],
        "added": [[token.content, token.id] for token in added],
        "pattern": javascript_pattern(tokenizer.pattern),
        "normalizer": tokenizer.normalizer,
        "unmade": _unmade(tokenizer),
    }


def javascript_pattern(pattern: str) -> str:
    """A named scheme, or a regex, as JavaScript has it; of a regex no more than white space is translated."""
    return _PATTERNS.get(pattern) or re.sub(r"\\s", lambda _: r"\p{White_Space}", pattern)


def _unmade(tokenizer: Tokenizer) -> list[int]:
    """The tokens that no merge makes and that a pre-token nevertheless becomes: vocabularies of ranks may have some."""
    made = {left + right for left, right in tokenizer.merges}
    added = {token.id for token in tokenizer.added_tokens}
    found: list[int] = []
    for token_id, token in tokenizer.vocab.items():
        if len(token) > 1 and token_id not in added and token not in made:
            text = token.decode(errors="replace")
            if tokenizer.encode_ordinary(text) == [token_id]:
                found.append(token_id)
    return found


def _embedded(data: dict[str, Any]) -> str:
    """JSON that can stand in a page: nothing in it ends the script."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
