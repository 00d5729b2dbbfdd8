"""What a model costs, in closed forms over its config: parameters, FLOPs, memory and time. Needs no torch."""

from bloomery.accounting.account import Account, Assumptions, shares
from bloomery.accounting.flops import (
    ADAMW_FLOPS_PER_PARAMETER,
    MatrixMultiply,
    adamw_step_flops,
    flops_by_part,
    forward_flops,
    forward_matmuls,
    training_flops_per_token,
)
from bloomery.accounting.hardware import HARDWARE, Hardware, find_hardware, peak_flops
from bloomery.accounting.memory import BYTES, TrainingMemory, activation_elements, load_bytes, training_memory
from bloomery.accounting.parameters import count_parameters, parameters_by_part
from bloomery.accounting.time import training_flops, training_seconds

__all__ = [
    "ADAMW_FLOPS_PER_PARAMETER",
    "BYTES",
    "HARDWARE",
    "Account",
    "Assumptions",
    "Hardware",
    "MatrixMultiply",
    "TrainingMemory",
    "activation_elements",
    "adamw_step_flops",
    "count_parameters",
    "find_hardware",
    "flops_by_part",
    "forward_flops",
    "forward_matmuls",
    "load_bytes",
    "parameters_by_part",
    "peak_flops",
    "shares",
    "training_flops",
    "training_flops_per_token",
    "training_memory",
    "training_seconds",
]
