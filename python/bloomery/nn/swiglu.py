"""The feed-forward networks: gated (SwiGLU) and plain SiLU."""

import torch
from torch import Tensor, nn

from bloomery.nn import hopper
from bloomery.nn.fp8_joint import fp8_swiglu
from bloomery.nn.functional import silu
from bloomery.nn.fused import fused_swiglu
from bloomery.nn.fused_fp8 import fp8_fused_swiglu
from bloomery.nn.joint import gate
from bloomery.nn.linear import Linear, joint_linear, joint_weight, joint_weight_by_turns


class SwiGLU(nn.Module):
    """w2(silu(w1 x) ⊙ w3 x): [..., d_model] to the same shape (Shazeer, 2020, equation 6).

    Attributes:
        w1: The gate, d_model to d_ff.
        w2: Back, d_ff to d_model.
        w3: What is gated, d_model to d_ff.
        joint: Whether w1 x and w3 x are computed as one product; see `joint_linear`.
        hopper: Whether that product ends in the gate; see `use_hopper`.
    """

    def __init__(
        self, d_model: int, d_ff: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.w1 = Linear(d_model, d_ff, device, dtype)
        self.w2 = Linear(d_ff, d_model, device, dtype)
        self.w3 = Linear(d_model, d_ff, device, dtype)
        self.joint = False
        self.hopper = False

    def use_hopper(self, *, enabled: bool) -> None:
        """Makes `add_to` use the kernels of `hopper`, where the widths allow it."""
        self.hopper = enabled and not any(width % hopper.MULTIPLE for width in self.w1.weight.shape)

    def forward(self, x: Tensor) -> Tensor:
        """[..., d_model] to the same shape."""
        if self.joint and self.w2.fp8:
            return fp8_swiglu(x, joint_weight(self.w1, self.w3), self.w2.weight)
        if self.joint:
            return self.w2(gate(joint_linear(x, self.w1, self.w3)))
        return self.w2(silu(self.w1(x)) * self.w3(x))

    def add_to(self, residual: Tensor, x: Tensor, gain: Tensor) -> Tensor:
        """Residual + the network of x · gain, by joint products; all [..., d_model] but gain [d_model]."""
        if self.hopper:
            weight = joint_weight_by_turns(self.w1, self.w3, gain)
            return (fp8_fused_swiglu if self.w2.fp8 else fused_swiglu)(residual, x, weight, self.w2.weight)
        weight = joint_weight(self.w1, self.w3, gain=gain)
        if self.w2.fp8:
            return residual + fp8_swiglu(x, weight, self.w2.weight)
        return self.w2.add_to(residual, gate(x @ weight.T))


class SiLUFeedForward(nn.Module):
    """w2(silu(w1 x)): [..., d_model] to the same shape; the ablation of SwiGLU's gate.

    Attributes:
        w1: d_model to d_ff.
        w2: d_ff to d_model.
    """

    def __init__(
        self, d_model: int, d_ff: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.w1 = Linear(d_model, d_ff, device, dtype)
        self.w2 = Linear(d_ff, d_model, device, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """[..., d_model] to the same shape."""
        return self.w2(silu(self.w1(x)))
