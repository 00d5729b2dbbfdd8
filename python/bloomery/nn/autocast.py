"""What autocast asks for, where it can be."""

import torch

# Others, such as "meta", on which shapes alone are computed, raise when they are asked whether it is enabled. That is
# found out here and not at each call, which torch.compile (2.11) does not see through: a model was cut in two there,
# and each step compiled anew.
_KINDS = frozenset(kind for kind in ("cpu", "cuda", "mps", "xpu") if torch.amp.is_autocast_available(kind))


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """The dtype of products under autocast on a device; None where it is not enabled."""
    kind = device.type
    return torch.get_autocast_dtype(kind) if kind in _KINDS and torch.is_autocast_enabled(kind) else None
