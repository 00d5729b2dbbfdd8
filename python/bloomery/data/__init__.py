"""Token files, the windows that a model learns from, and known corpora; numpy alone until `get_batch` is called."""

from bloomery.data.batches import BatchSampler, Validation, get_batch, validation_windows
from bloomery.data.tokens import Ids, check_ids, open_tokens

__all__ = ["BatchSampler", "Ids", "Validation", "check_ids", "get_batch", "open_tokens", "validation_windows"]
