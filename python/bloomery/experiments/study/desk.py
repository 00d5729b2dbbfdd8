"""Where a study works: its folder, what was asked of it, and what it need not do again."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bloomery.errors import ArgumentError

_SETTINGS = "settings.json"
_PARTS = "parts"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is asked of a study."""

    inputs: tuple[str, ...] = ()
    """Corpora, a file or glob pattern each; without any, what comes with Python."""
    minutes: float | None = 5.0
    """What it may take, about; None is the course's own size, however long that takes."""
    vocab_sizes: tuple[int, ...] = (10_000, 32_000)
    """Of the tokenizers under study: the first corpus's, the second's ..., the last one's for the rest."""
    run: str | None = None
    """A run to work on in the place of one that the study trains."""

    def to_dict(self) -> dict[str, Any]:
        """As it is kept beside the results."""
        return json.loads(json.dumps(asdict(self)))


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The place of one study. Corpora that were made ready lie beside it, for all studies under the same root."""

    name: str
    root: Path
    settings: Settings = field(default_factory=Settings)
    say: Callable[[str], None] = lambda _: None
    """Is told in a line what has been done."""

    @property
    def folder(self) -> Path:
        """The study's own."""
        return self.root / self.name

    @property
    def data(self) -> Path:
        """Of the corpora that were made ready."""
        return self.root / "data"

    def open(self) -> None:
        """Makes the folder, or finds one of the same settings, whose results are gone on with.

        A study that failed before it had any, over a mistyped name for example, leaves nothing to go on with.

        Raises:
            ArgumentError: The folder holds results of other settings.
            OSError: It cannot be written to.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / _SETTINGS
        wanted = self.settings.to_dict()
        has_results = any(file.is_file() and file != path for file in self.folder.rglob("*"))
        if not (path.exists() and has_results):
            write_json(wanted, path)
            return
        found = self.found_settings()
        changed = [
            f"{name} {found.get(name)} is {wanted[name]} now" for name in wanted if found.get(name) != wanted[name]
        ]
        if changed:
            raise ArgumentError(
                f"{self.folder} holds this study with other settings ({'; '.join(changed)}): remove it, or name "
                "another place with --folder"
            )

    def found_settings(self) -> dict[str, Any]:
        """The settings of the results that are there."""
        return json.loads((self.folder / _SETTINGS).read_text(encoding="utf-8"))

    def once(self, part: str, compute: Callable[[], Any]) -> Any:
        """What `compute` gives, as JSON can hold it; kept, so that it is computed once however often the study runs."""
        path = self.folder / _PARTS / f"{part}.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(compute(), path)
        return json.loads(path.read_text(encoding="utf-8"))

    def command(self) -> list[str]:
        """The command line of this study."""
        settings = self.settings
        words = ["bloomery", "study", self.name, *settings.inputs]
        words += ["--scale", "full"] if settings.minutes is None else ["--minutes", f"{settings.minutes:g}"]
        if settings.vocab_sizes != Settings().vocab_sizes:
            words += ["--vocab-sizes", *map(str, settings.vocab_sizes)]
        if settings.run is not None:
            words += ["--run", settings.run]
        return [*words, "--folder", str(self.root)]


def write_json(values: Any, path: Path) -> None:
    """Writes a file whole or not at all."""
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(path)


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them: `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
