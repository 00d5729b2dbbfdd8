"""Everything that is accounted for of one model, under one set of assumptions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bloomery.accounting.flops import (
    ADAMW_FLOPS_PER_PARAMETER,
    MatrixMultiply,
    adamw_step_flops,
    flops_by_part,
    forward_matmuls,
    training_flops_per_token,
)
from bloomery.accounting.memory import TrainingMemory, load_bytes, training_memory
from bloomery.accounting.parameters import parameters_by_part
from bloomery.accounting.time import training_flops, training_seconds
from bloomery.config import TransformerConfig


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """What the accounts of models that stand side by side have in common."""

    dtype: str = "float32"
    """Of the weights, their gradients and AdamW's moments."""
    activation_dtype: str = "float32"
    memory: int = 80_000_000_000
    """Of the accelerator, in bytes."""
    causal: bool = False
    """Whether attention's products count half."""
    steps: int = 400_000
    batch_size: int = 1024
    """Sequences a step."""
    peak_flops: float
    """FLOP/s of all accelerators together."""
    mfu: float = 0.5
    """The part of the peak that training reaches."""


@dataclass(frozen=True)
class Account:
    """The figures of one model."""

    name: str
    config: TransformerConfig
    assumptions: Assumptions

    @property
    def parameters(self) -> dict[str, int]:
        """The number of parameters by part."""
        return parameters_by_part(self.config)

    @property
    def load_bytes(self) -> int:
        """The bytes of the weights."""
        return load_bytes(self.config, self.assumptions.dtype)

    @property
    def matmuls(self) -> tuple[MatrixMultiply, ...]:
        """The matrix multiplies of a forward pass of one sequence."""
        return forward_matmuls(self.config, causal=self.assumptions.causal)

    @property
    def flops(self) -> dict[str, int]:
        """The FLOPs of a forward pass of one sequence, by part."""
        return flops_by_part(self.config, causal=self.assumptions.causal)

    @property
    def training_flops_per_token(self) -> int:
        """Forward and backward."""
        return training_flops_per_token(self.config, causal=self.assumptions.causal)

    @property
    def adamw_step_flops(self) -> int:
        """The FLOPs of one AdamW step."""
        return adamw_step_flops(self.config)

    @property
    def memory(self) -> TrainingMemory:
        """The memory of training."""
        return training_memory(
            self.config, dtype=self.assumptions.dtype, activation_dtype=self.assumptions.activation_dtype
        )

    @property
    def largest_batch(self) -> int:
        """The most sequences that fit the memory."""
        return self.memory.largest_batch(self.assumptions.memory)

    @property
    def training_flops(self) -> int:
        """The FLOPs of the whole training."""
        given = self.assumptions
        return training_flops(self.config, steps=given.steps, batch_size=given.batch_size, causal=given.causal)

    @property
    def training_seconds(self) -> float:
        """How long the whole training takes."""
        given = self.assumptions
        return training_seconds(
            self.config,
            steps=given.steps,
            batch_size=given.batch_size,
            peak_flops=given.peak_flops,
            mfu=given.mfu,
            causal=given.causal,
        )

    def to_dict(self) -> dict[str, Any]:
        """The figures for machines: bytes, FLOPs and seconds."""
        memory, flops = self.memory, self.flops
        return {
            "name": self.name,
            "config": self.config.to_dict(),
            "parameters": {**self.parameters, "total": sum(self.parameters.values())},
            "load_bytes": self.load_bytes,
            "forward": {
                "matmuls": [
                    {
                        "name": product.name,
                        "part": product.part,
                        "m": product.m,
                        "n": product.n,
                        "p": product.p,
                        "count": product.count,
                        "flops": product.flops,
                    }
                    for product in self.matmuls
                ],
                "flops": {**flops, "total": sum(flops.values())},
                "shares": shares(flops),
            },
            "training_memory": {
                "parameters": memory.parameters,
                "gradients": memory.gradients,
                "optimizer_state": memory.optimizer_state,
                "activations_per_sequence": memory.activations,
                "a": memory.per_sequence,
                "b": memory.fixed,
                "largest_batch": self.largest_batch,
            },
            "adamw": {"flops_per_parameter": ADAMW_FLOPS_PER_PARAMETER, "flops_per_step": self.adamw_step_flops},
            "training": {
                "flops_per_token": self.training_flops_per_token,
                "flops": self.training_flops,
                "seconds": self.training_seconds,
                "days": self.training_seconds / 86_400,
            },
        }


def shares(parts: Mapping[str, int]) -> dict[str, float]:
    """What part of the whole each part is."""
    total = sum(parts.values())
    return {name: value / total for name, value in parts.items()}
