"""Counting and encoding on a Ray cluster: an engine for `Tokenizer.train`, `WordCounts.from_files` and `encode_files`.

Needs the extra ``ray``.
"""

from bloomery.cluster.engine import Ray

__all__ = ["Ray"]
