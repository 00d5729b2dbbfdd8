"""Where the result of a measurement goes."""

import json
from pathlib import Path
from typing import Any


def publish(page: str, result: dict[str, Any], output: Path | None) -> None:
    """Prints the page, and writes it and the result beside it as OUTPUT.md and OUTPUT.json where asked."""
    print(page)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.with_suffix(".md").write_text(page, encoding="utf-8")
        output.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
