"""The corpus that every machine with Python has: the standard library's own sources."""

import sysconfig
from dataclasses import dataclass
from pathlib import Path

# Installed packages lie inside the library's folder but are not part of it.
_NOT_THE_LIBRARY = {"site-packages", "dist-packages"}


@dataclass(frozen=True)
class EmbeddedCorpus:
    """The standard library's sources, and what was left out of them."""

    folder: Path
    files: tuple[Path, ...]
    """In the order of their names, so that two runs read the same text."""
    bytes: int
    """Of all the files."""
    not_utf8: tuple[Path, ...]
    """Files left out because they declare another encoding, or none that holds (tests of Python's own decoders)."""


def stdlib_sources() -> EmbeddedCorpus:
    """Finds the `.py` files of the running Python's standard library that are UTF-8, installed packages left out."""
    folder = Path(sysconfig.get_path("stdlib"))
    files: list[Path] = []
    not_utf8: list[Path] = []
    size = 0
    for path in sorted(folder.rglob("*.py")):
        if _NOT_THE_LIBRARY.intersection(path.relative_to(folder).parts) or not path.is_file():
            continue
        content = path.read_bytes()
        try:
            content.decode()
        except UnicodeDecodeError:
            not_utf8.append(path)
        else:
            files.append(path)
            size += len(content)
    if not files:
        raise FileNotFoundError(f"{folder} holds no .py file: this Python has no standard library sources, give inputs")
    return EmbeddedCorpus(folder, tuple(files), size, tuple(not_utf8))
