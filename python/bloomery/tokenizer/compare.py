"""Several tokenizers on the same texts: compression, throughput, and what a large corpus would take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bloomery.tokenizer.measure import Measurement, measure
from bloomery.tokenizer.tokenizer import Tokenizer

PILE_BYTES = 825_000_000_000
"""The size of the Pile, the usual yardstick for a pre-training corpus."""


@dataclass(frozen=True)
class Comparison:
    """One tokenizer's results."""

    name: str
    vocab_size: int
    texts: dict[str, Measurement]
    total: Measurement
    """Of all the texts together."""

    def projected_seconds(self, corpus_bytes: int) -> float | None:
        """The time for a corpus of this size on this machine, were it like the texts; `None` where they are empty."""
        rate = self.total.bytes_per_second
        return corpus_bytes / rate if rate else None

    def projected_tokens(self, corpus_bytes: int) -> int | None:
        """The tokens in a corpus of this size, were it like the texts; `None` where they are empty."""
        ratio = self.total.bytes_per_token
        return round(corpus_bytes / ratio) if ratio else None


def compare(
    tokenizers: Mapping[str, Tokenizer],
    texts: Mapping[str, Sequence[str | Path]],
    *,
    errors: str = "strict",
    field: str = "text",
    column: str = "text",
    num_threads: int | None = None,
) -> list[Comparison]:
    """Measures every tokenizer on every text; a text is one or more input files under one name."""
    comparisons: list[Comparison] = []
    for name, tokenizer in tokenizers.items():
        measured = {
            text: measure(tokenizer, inputs, errors=errors, field=field, column=column, num_threads=num_threads)
            for text, inputs in texts.items()
        }
        total = Measurement(
            tokens=sum(measurement.tokens for measurement in measured.values()),
            bytes=sum(measurement.bytes for measurement in measured.values()),
            seconds=sum(measurement.seconds for measurement in measured.values()),
        )
        comparisons.append(Comparison(name, tokenizer.vocab_size, measured, total))
    return comparisons
