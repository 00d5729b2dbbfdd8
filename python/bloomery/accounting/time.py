"""How long training takes on hardware of a given peak."""

from bloomery.accounting.flops import training_flops_per_token
from bloomery.config import TransformerConfig


def training_flops(config: TransformerConfig, *, steps: int, batch_size: int, causal: bool = False) -> int:
    """The FLOPs of `steps` steps on `batch_size` sequences of the full context length each.

    Three forward passes' worth, as the backward pass takes two; the optimizer's (`adamw_step_flops`) are left out.
    """
    return training_flops_per_token(config, causal=causal) * config.context_length * batch_size * steps


def training_seconds(
    config: TransformerConfig, *, steps: int, batch_size: int, peak_flops: float, mfu: float, causal: bool = False
) -> float:
    """The seconds that training takes at `mfu` (0 to 1) of `peak_flops` FLOP/s, of all accelerators together."""
    return training_flops(config, steps=steps, batch_size=batch_size, causal=causal) / (peak_flops * mfu)
