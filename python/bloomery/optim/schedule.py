"""Learning rates as pure functions of the step, counted from 0."""

import math


def cosine_schedule(step: int, max_lr: float, min_lr: float, warmup_steps: int, cosine_steps: int) -> float:
    """Linear warm-up, half a cosine down to the minimum, then the minimum for good.

    The warm-up goes from 0 at step 0 to max_lr at step warmup_steps; the cosine (Loshchilov and Hutter, 2017, equation
    5) ends at min_lr at step cosine_steps, the T_c of the LLaMA recipe: both are counted from the run's beginning.

    Raises:
        ValueError: A negative step, or a cosine that ends before the warm-up.
    """
    _require_counts(step=step, warmup_steps=warmup_steps)
    if cosine_steps < warmup_steps:
        raise ValueError(
            f"cosine_steps = {cosine_steps} is below warmup_steps = {warmup_steps}: "
            "both are counted from step 0, so the cosine must end after the warm-up"
        )
    if step < warmup_steps:
        return step / warmup_steps * max_lr
    if step >= cosine_steps:
        return min_lr
    progress = (step - warmup_steps) / (cosine_steps - warmup_steps)
    return min_lr + (1 + math.cos(math.pi * progress)) / 2 * (max_lr - min_lr)


def wsd_schedule(
    step: int, max_lr: float, min_lr: float, warmup_steps: int, stable_steps: int, decay_steps: int
) -> float:
    """Warm-up, stable, decay (Hu et al., 2024, section 4.2), then the minimum for good.

    Linear from 0 to max_lr over warmup_steps, max_lr for stable_steps, and linear down to min_lr over decay_steps.
    Unlike a cosine it need not know the run's length before the decay begins.

    Raises:
        ValueError: A negative step or number of steps.
    """
    _require_counts(step=step, warmup_steps=warmup_steps, stable_steps=stable_steps, decay_steps=decay_steps)
    if step < warmup_steps:
        return step / warmup_steps * max_lr
    decayed = step - warmup_steps - stable_steps
    if decayed < 0:
        return max_lr
    if decayed >= decay_steps:
        return min_lr
    return max_lr - decayed / decay_steps * (max_lr - min_lr)


def _require_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 0:
            raise ValueError(f"{name} = {count} is not allowed: it must be 0 or more")
