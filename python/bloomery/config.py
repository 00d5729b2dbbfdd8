"""The shape of a language model as plain values: `bloomery.nn` builds from it and `bloomery.accounting` reads it.

Nothing here needs torch, so that a model can be described, saved and accounted for without it.
"""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any, Literal, Self, get_args

from bloomery.errors import ArgumentError

Norm = Literal["rms", "none"]
NormPosition = Literal["pre", "post"]
Position = Literal["rope", "none"]
FeedForward = Literal["swiglu", "silu"]

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "norm": get_args(Norm),
    "norm_position": get_args(NormPosition),
    "position": get_args(Position),
    "feed_forward": get_args(FeedForward),
}
_D_FF_MULTIPLE = 64


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """A decoder-only Transformer. The defaults are the 17M-parameter TinyStories model.

    Raises:
        ArgumentError: A value that no model can have; the message names the field, the value and what is allowed.
    """

    vocab_size: int = 10_000
    """Rows of the embedding: the tokenizer's highest id + 1, or more."""
    context_length: int = 256
    """The longest sequence, in tokens."""
    d_model: int = 512
    """Width of the residual stream."""
    num_layers: int = 4
    """Transformer blocks."""
    num_heads: int = 16
    """Attention heads a block; each is d_model / num_heads wide."""
    d_ff: int = 0
    """Width inside the feed-forward network. 0 or None asks for the usual one, and is replaced by it: for swiglu
    8/3·d_model rounded to the nearest multiple of 64 (as many parameters as two matrices of 4·d_model), for silu
    4·d_model. `dataclasses.replace` keeps the number: give it ``d_ff=0`` too when d_model or feed_forward changes."""
    rope_theta: float = 10_000.0
    """Base of the rotary wavelengths."""
    norm: Norm = "rms"
    """Normalisation; "none" leaves out every norm (QK-norm aside)."""
    norm_position: NormPosition = "pre"
    """Whether a block normalises what goes into its parts, or the residual sum that comes after each ("post").
    The final norm stays in both."""
    position: Position = "rope"
    """Rotary positions, or none at all."""
    feed_forward: FeedForward = "swiglu"
    """Gated (three matrices) or plain SiLU (two)."""
    tie_embeddings: bool = False
    """Whether the output head is the embedding matrix."""
    qk_norm: bool = False
    """Whether queries and keys are RMS-normalised head by head, before RoPE."""
    rms_norm_eps: float = 1e-5
    """Added to the mean square before its root."""

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context_length", "d_model", "num_layers", "num_heads"):
            self._require_positive(name)
        for name, choices in _CHOICES.items():
            self._require(name, " or ".join(map(repr, choices)), getattr(self, name) in choices)
        if not self.d_ff:
            object.__setattr__(self, "d_ff", default_d_ff(self.d_model, self.feed_forward))
        self._require_positive("d_ff")
        for name in ("rope_theta", "rms_norm_eps"):
            value: object = getattr(self, name)
            positive = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
            self._require(name, "a positive number", positive)
            object.__setattr__(self, name, float(getattr(self, name)))
        for name in ("tie_embeddings", "qk_norm"):
            self._require(name, "true or false", isinstance(getattr(self, name), bool))
        if self.d_model % self.num_heads:
            raise ArgumentError(
                f"d_model = {self.d_model} does not divide into num_heads = {self.num_heads} equal heads: "
                "make d_model a multiple of num_heads"
            )
        if self.position == "rope" and self.d_head % 2:
            raise ArgumentError(
                f"d_model / num_heads = {self.d_head} is odd, and RoPE rotates pairs: "
                "make it even, or set position = 'none'"
            )

    @property
    def d_head(self) -> int:
        """Width of an attention head."""
        return self.d_model // self.num_heads

    def to_dict(self) -> dict[str, Any]:
        """The fields as TOML and JSON can hold them; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A config from field names and values; fields left out have their defaults.

        Raises:
            ArgumentError: A name that is no field (the message has the nearest one), or a value that is not allowed.
        """
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
                raise ArgumentError(f"{name!r} is not a field of a model: {hint}")
        return cls(**values)

    def _require_positive(self, name: str) -> None:
        value: object = getattr(self, name)
        positive = isinstance(value, int) and not isinstance(value, bool) and value > 0
        self._require(name, "a positive integer", positive)

    def _require(self, name: str, what: str, ok: bool) -> None:  # noqa: FBT001 - the condition reads best in its place
        if not ok:
            raise ArgumentError(f"{name} = {getattr(self, name)!r} is not allowed: it must be {what}")


def default_d_ff(d_model: int, feed_forward: FeedForward = "swiglu") -> int:
    """The usual width inside the feed-forward network.

    For swiglu 8/3·d_model rounded to the nearest multiple of 64, at least 64 (512 gives 1,344; 1,600 gives 4,288);
    for silu 4·d_model.
    """
    if feed_forward == "silu":
        return 4 * d_model
    return max(1, round(8 * d_model / (3 * _D_FF_MULTIPLE))) * _D_FF_MULTIPLE


def _gpt2(d_model: int, num_layers: int, num_heads: int) -> TransformerConfig:
    return TransformerConfig(
        vocab_size=50_257,
        context_length=1_024,
        d_model=d_model,
        num_layers=num_layers,
        num_heads=num_heads,
        d_ff=4 * d_model,
    )


PRESETS: Mapping[str, TransformerConfig] = MappingProxyType(
    {
        "tinystories-17m": TransformerConfig(),
        "gpt2-small": _gpt2(768, 12, 12),
        "gpt2-medium": _gpt2(1_024, 24, 16),
        "gpt2-large": _gpt2(1_280, 36, 20),
        "gpt2-xl": _gpt2(1_600, 48, 25),
    }
)
"""Models by name. The GPT-2 ones have its sizes (Radford et al., 2019) with this package's architecture: RMSNorm, RoPE
and a gated feed-forward network of three matrices at d_ff = 4·d_model."""
