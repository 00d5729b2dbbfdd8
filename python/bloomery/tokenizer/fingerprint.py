"""A tokenizer's fingerprint: what makes ids comparable."""

import hashlib
import json

from bloomery import _core


def fingerprint(tokenizer: _core.Tokenizer) -> str:
    """SHA-256, in hexadecimal, of all that decides ids: equal tokenizers have the same on every machine."""
    _, state = tokenizer._engine.__reduce__()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the facade's own core
    return hashlib.sha256(json.dumps(state, default=bytes.hex, separators=(",", ":")).encode()).hexdigest()
