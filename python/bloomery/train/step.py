"""A model, its loss and its optimizer, and what one training step does to them."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from bloomery.errors import ArgumentError
from bloomery.nn import FP8_MULTIPLE, TransformerLM
from bloomery.optim import clip_gradients
from bloomery.train.config import RunConfig
from bloomery.train.distributed import reducing, share_work, whole
from bloomery.train.loss import LanguageModelLoss
from bloomery.train.optimizer import make_optimizer
from bloomery.train.runtime import Runtime

_EPS = 1e-6  # as `clip_grads_with_norm_` has it


class TrainStep:
    """What is trained, and how it is trained on one batch.

    Attributes:
        model: The model.
        loss: Its loss.
        optimizer: Of its parameters.
        micro_batch_size: Windows that this process computes at a time.
        micro_steps: How many times, in a step.
    """

    def __init__(self, config: RunConfig, runtime: Runtime) -> None:
        """Builds the model from the run's seed.

        Raises:
            ArgumentError: The batch does not divide into processes and micro-batches, or the model does not fit the
                precision.
        """
        self.runtime = runtime
        self.micro_batch_size, self.micro_steps = _shares(config, runtime)
        self._max_l2_norm = config.optimizer.max_l2_norm or math.inf
        self._fast = config.train.implementation == "fast"
        torch.manual_seed(config.train.seed)  # pyright: ignore[reportUnknownMemberType] - untyped in torch
        self.model = TransformerLM(config.model, device=runtime.device)
        self.model.use_fused_attention(enabled=self._fast)
        self.model.use_joint_projections(enabled=self._fast)
        self.model.use_hopper_kernels(enabled=self._fast and runtime.hopper)
        if runtime.fp8:
            _require_multiples(config)
            self.model.use_fp8()
        # What fetches a layer's weights cannot be compiled with the layer.
        self.loss = LanguageModelLoss(self.model, fast=self._fast, compiled=runtime.compiled, by_layer=runtime.sharded)
        self._forward = share_work(self.loss, runtime)
        self.optimizer = make_optimizer(self.model, config.optimizer, config.schedule.max_lr, fast=self._fast)

    def __call__(self, batches: Iterator[tuple[Tensor, Tensor]], lr: float) -> tuple[Tensor, Tensor]:
        """One optimizer step, which waits for nothing on the device.

        Args:
            batches: Gives `micro_steps` micro-batches, inputs and targets [micro_batch_size, T] on the device.
            lr: Learning rate.

        Returns:
            This process's mean loss, and the gradients' norm before clipping; scalars on the device.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        total = torch.zeros((), device=self.runtime.device)
        for micro in range(self.micro_steps):
            inputs, targets = next(batches)
            # Gradients are summed over micro-batches here, and over processes with the last one.
            with reducing(self._forward, enabled=micro + 1 == self.micro_steps):
                with self.runtime.autocast():
                    loss: Tensor = self._forward(inputs, targets) / self.micro_steps
                loss.backward()  # pyright: ignore[reportUnknownMemberType] - untyped in torch
            total += loss.detach()
        norm = self._clip()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return total, norm

    def _clip(self) -> Tensor:
        if not self._fast:
            return whole(clip_gradients(self.model.parameters(), self._max_l2_norm))
        # In two steps, as `clip_grad_norm_` has them: of shards the norm is computed once, and not for every gradient.
        parameters = list(self.model.parameters())
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = whole(nn.utils.get_total_norm(gradients))
        if isinstance(self.optimizer, torch.optim.AdamW) and not self.runtime.sharded:
            # The fused one divides by this as it reads the gradients, which saves a pass over them.
            self.optimizer.grad_scale = ((norm + _EPS) / self._max_l2_norm).clamp(min=1.0)  # pyright: ignore[reportAttributeAccessIssue]
        else:
            nn.utils.clip_grads_with_norm_(parameters, self._max_l2_norm, norm)
        return norm


def _shares(config: RunConfig, runtime: Runtime) -> tuple[int, int]:
    """The size of a micro-batch, and how many a process has in a step."""
    share, rest = divmod(config.train.batch_size, runtime.world_size)
    size = config.train.micro_batch_size or max(share, 1)
    if rest or share % size:
        raise ArgumentError(
            f"train.batch_size = {config.train.batch_size} does not divide into {runtime.world_size} "
            f"processes with micro-batches of {size} windows each"
        )
    return size, share // size


def _require_multiples(config: RunConfig) -> None:
    for name in ("d_model", "d_ff"):
        width: int = getattr(config.model, name)
        if width % FP8_MULTIPLE:
            raise ArgumentError(
                f"train.precision = 'fp8' needs widths that are multiples of {FP8_MULTIPLE}: "
                f"model.{name} = {width} is none"
            )
