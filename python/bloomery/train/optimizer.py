"""The optimizer that a run's config says."""

from typing import Any

import torch
from torch import nn

from bloomery.nn import TransformerLM
from bloomery.optim import AdamW, Combined, Muon
from bloomery.train.config import OptimizerConfig


def make_optimizer(model: TransformerLM, config: OptimizerConfig, lr: float, *, fast: bool) -> torch.optim.Optimizer:
    """AdamW for all parameters, or Muon for the matrices of the layers and AdamW for the rest.

    Args:
        model: Whose parameters.
        config: Which optimizer.
        lr: The first learning rate.
        fast: Whether AdamW is torch's fused one, or the written-out one; equal but for rounding.
    """
    if config.name == "adamw":
        return _adamw(list(model.parameters()), config, lr, fast=fast)
    matrices = [parameter for parameter in model.layers.parameters() if parameter.ndim == 2]
    chosen = {id(parameter) for parameter in matrices}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    muon = Muon(matrices, lr, momentum=config.momentum, weight_decay=config.weight_decay)
    return Combined(muon, _adamw(rest, config, lr, fast=fast))


def _adamw(parameters: list[nn.Parameter], config: OptimizerConfig, lr: float, *, fast: bool) -> torch.optim.Optimizer:
    beta1, beta2 = config.betas
    options: dict[str, Any] = {
        "lr": lr,
        "betas": (beta1, beta2),
        "eps": config.eps,
        "weight_decay": config.weight_decay,
    }
    return torch.optim.AdamW(parameters, fused=True, **options) if fast else AdamW(parameters, **options)
