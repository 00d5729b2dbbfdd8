"""How facts are printed: as JSON for machines, as aligned lines for people."""

import json
from collections.abc import Iterable, Mapping, Sequence

from bloomery.tokenizer.peak import peak_memory
from bloomery.units import human_bytes


def print_json(facts: Mapping[str, object]) -> None:
    """Prints one JSON object on one line."""
    print(json.dumps(facts))


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Prints names and values in two columns."""
    print_table([(f"{name}:", str(value)) for name, value in facts])


def print_table(rows: Sequence[Sequence[str]], *, numbers_from: int | None = None) -> None:
    """Prints rows with aligned columns; those from `numbers_from` on are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.rjust(width) if numbers_from is not None and index >= numbers_from else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join(cells).rstrip())


def peak_facts() -> dict[str, int | None]:
    """What `--json` says of memory: `peak_memory` in bytes, null where the system does not say."""
    return {"peak_memory": peak_memory()}


def print_peak() -> None:
    """Prints the most memory that this process took, where the system says it."""
    peak = peak_memory()
    if peak is not None:
        print(f"peak memory: {human_bytes(peak)}")
