"""What autocast asks for, where it can be."""

import torch


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """The dtype of products under autocast on a device; None where it is not enabled.

    Devices that know no autocast, such as "meta", on which shapes alone are computed, raise when they are asked.
    """
    kind = device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return None
