"""How well and how fast a tokenizer encodes given texts."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bloomery.tokenizer.tokenizer import EncodeReport, Tokenizer

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
        runs: list[EncodeReport] = []
        while len(runs) < _MOST_RUNS and sum(run.seconds for run in runs) < _LONG_ENOUGH_SECONDS:
            runs.append(
                tokenizer.encode_files(
                    inputs,
                    Path(folder) / "tokens.npy",
                    errors=errors,
                    field=field,
                    column=column,
                    num_threads=num_threads,
                    progress=False,
                )
            )
    best = min(runs, key=lambda run: run.seconds)
    return Measurement(best.tokens, best.bytes, best.seconds)
