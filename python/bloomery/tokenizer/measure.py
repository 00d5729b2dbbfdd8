"""How well and how fast a tokenizer encodes given texts."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bloomery.tokenizer.tokenizer import Tokenizer

# Shorter runs are repeated, and the best one counts: the clock and the first touch of the tables would show.
_LONG_ENOUGH_SECONDS = 0.3
_MOST_RUNS = 5


@dataclass(frozen=True)
class Measurement:
    """What encoding a text to a file came to."""

    tokens: int
    bytes: int
    """Of the text itself, decompressed."""
    seconds: float

    @property
    def bytes_per_token(self) -> float:
        """The compression: higher is better."""
        return self.bytes / self.tokens if self.tokens else 0.0

    @property
    def bytes_per_second(self) -> float:
        """The throughput, writing the ids included."""
        return self.bytes / self.seconds if self.seconds else 0.0


def measure(
    tokenizer: Tokenizer,
    inputs: Sequence[str | Path],
    *,
    errors: str = "strict",
    field: str = "text",
    column: str = "text",
    num_threads: int | None = None,
) -> Measurement:
    """Encodes the inputs, as one text, to a temporary file, as the real job would, and says what that took."""
    with tempfile.TemporaryDirectory(prefix="bloomery-") as folder:
        spent = 0.0
        best = float("inf")
        for _ in range(_MOST_RUNS):
            report = tokenizer.encode_files(
                inputs,
                Path(folder) / "tokens.npy",
                errors=errors,
                field=field,
                column=column,
                num_threads=num_threads,
                progress=False,
            )
            spent += report.seconds
            best = min(best, report.seconds)
            if spent >= _LONG_ENOUGH_SECONDS:
                break
    return Measurement(report.tokens, report.bytes, best)
