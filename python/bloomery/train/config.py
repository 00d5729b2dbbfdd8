"""A training run as its TOML file says it: one dataclass a section; what is unknown or wrong is refused by name."""

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Self, Union, cast, get_args, get_origin, get_type_hints

import tomli_w

from bloomery.config import TransformerConfig
from bloomery.errors import ArgumentError
from bloomery.files import input_error


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """`[data]`: the token files."""

    train: list[str] = field(default_factory=list[str])
    """Files of token ids (`.npy`, or `.bin` with dtype) to train on."""
    valid: list[str] = field(default_factory=list[str])
    """Files of token ids to evaluate on; without any, and nothing held out, there is no evaluation."""
    held_out: float = 0.0
    """Share of each training file, at its end, to evaluate on rather than train on."""
    weights: list[float] | None = None
    """The training files' shares of the windows; without them every token counts alike."""
    dtype: Literal["uint16", "uint32"] | None = None
    """The type of an id in `.bin` files."""
    tokenizer: str | None = None
    """The tokenizer that made the ids. It is copied into the run, gives the model its vocabulary size, and with it the
    validation loss is told in bits per byte too."""


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """`[optimizer]`: which, and the clipping of gradients before it."""

    name: Literal["adamw", "muon"] = "adamw"
    """muon is for the matrices of the layers; embeddings, output head and gains keep AdamW. It takes AdamW's learning
    rate and weight decay."""
    momentum: float = 0.95
    """Muon's."""
    betas: list[float] = field(default_factory=lambda: [0.9, 0.95])
    """Decay of the first and second moments."""
    eps: float = 1e-8
    """Added to the root of the second moment."""
    weight_decay: float = 0.1
    """Share of a weight lost at a step, times the learning rate."""
    max_l2_norm: float = 1.0
    """Gradients are scaled down to this global L2 norm; 0 leaves them as they are."""


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """`[schedule]`: the learning rate by step."""

    name: Literal["cosine", "wsd", "constant"] = "cosine"
    max_lr: float = 1e-3
    """After the warm-up."""
    min_lr: float | None = None
    """At the end; a tenth of max_lr unless given."""
    warmup_steps: int | None = None
    """A twentieth of all steps unless given."""
    cosine_steps: int | None = None
    """The step at which the cosine ends (T_c); the last one unless given."""
    decay_steps: int | None = None
    """Length of the decay at the end of a WSD schedule; a fifth of all steps unless given."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """`[train]`: how long, how much at once, and on what."""

    steps: int = 1000
    """Optimizer steps."""
    batch_size: int = 32
    """Windows in a step, over all processes."""
    micro_batch_size: int | None = None
    """Windows that a process computes at a time; its whole share of the batch unless given. Fewer need less memory."""
    seed: int = 0
    """Of the weights and the windows."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes an accelerator where there is one."""
    precision: Literal["auto", "float32", "bfloat16", "fp8"] = "auto"
    """Of the matrix products; the weights are float32. auto is bfloat16 where the device has units for it. fp8 is
    bfloat16 with gradients that go back through the layers' linear maps and the output head, the head's own, and
    queries, keys and values by products in 8 bits, for GPUs that have units for those (Hopper, Ada and later)."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """What each of several processes (torchrun's) holds: with ddp the whole model, with fsdp a shard of its weights,
    gradients and optimizer state, so that a model needs only fit into the memory of all together; a layer's weights are
    fetched when it is computed. The same steps but for rounding; checkpoints are the same too, and either goes on from
    the other's."""
    compile: Literal["auto", "on", "off"] = "auto"
    """torch.compile; auto is on for accelerators, and on a processor for runs of 5,000 steps or more, in one process,
    where a C++ compiler and Python's headers are there."""
    implementation: Literal["fast", "plain"] = "fast"
    """fast takes fused kernels for attention, loss and AdamW; plain the written-out ones. Equal but for rounding."""
    deterministic: bool = False
    """Makes a run on an accelerator repeatable bit for bit, at some cost in speed; on a CPU it always is."""


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """`[evaluation]`: the validation loss."""

    every: int = 100
    """Steps between evaluations; there is one before the first step and one after the last."""
    windows: int = 256
    """Size of the fixed sample of windows; 0 takes the whole set."""
    batch_size: int | None = None
    """Windows at a time; as in training unless given."""


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """`[checkpoint]`: what is kept to resume from."""

    every: int = 500
    """Steps between checkpoints; there is one after the last step."""
    keep: int = 2
    """The latest ones to keep; the one with the best validation loss is kept beside them."""


@dataclass(frozen=True, kw_only=True)
class LoggingConfig:
    """`[logging]`: beside metrics.jsonl, which is always written."""

    every: int | None = None
    """Steps between looks at the loss. Every step on a CPU and every tenth on an accelerator unless given, where a loss
    is looked at when the next ones are due, so that no step waits for it. All steps are written, whenever that is."""
    tensorboard: bool = False
    """Writes TensorBoard events into the run folder."""
    wandb: str | None = None
    """A Weights & Biases project to send the metrics to."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A whole run. `folder` is where it is kept."""

    folder: str = "runs/model"
    model: TransformerConfig = field(default_factory=TransformerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)

    def __post_init__(self) -> None:
        for section, names in _POSITIVE.items():
            for name in names:
                value = getattr(getattr(self, section), name)
                if value is not None and value < 1:
                    raise ArgumentError(f"{section}.{name} = {value} is not allowed: it must be 1 or more")
        if self.schedule.max_lr <= 0:
            raise ArgumentError(f"schedule.max_lr = {self.schedule.max_lr} is not allowed: it must be above 0")
        if not 0 <= self.data.held_out < 1:
            raise ArgumentError(f"data.held_out = {self.data.held_out} is not allowed: it must be from 0 to below 1")
        if len(self.optimizer.betas) != 2:
            raise ArgumentError(f"optimizer.betas = {self.optimizer.betas} is not allowed: it must be two numbers")

    @classmethod
    def load(cls, path: Path, overrides: Mapping[str, str] | None = None) -> Self:
        """Reads a TOML file, and puts `overrides` (`section.key` to text, as on a command line) in its place.

        Raises:
            OSError: The file cannot be read.
            InputError: It is not TOML.
            ArgumentError: A section or key that there is not (the message has the nearest), or a value of another type.
        """
        return cls.from_dict(cls.read(path, overrides))

    @staticmethod
    def read(path: Path, overrides: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The nested dicts that `load` makes a run of: what the file and the overrides say, and nothing else."""
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise input_error(path, str(error)) from error
        for name, text in (overrides or {}).items():
            section, _, key = name.rpartition(".")
            target: Any = values.setdefault(section, {}) if section else values
            if not isinstance(target, dict):
                raise ArgumentError(f"{section!r} is not a section")
            target[key] = _parse(text)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The run that nested dicts say; what they leave out has its default."""
        sections = {item.name: item for item in dataclasses.fields(cls)}
        _refuse_unknown(values, sections, "section or key")
        hints = get_type_hints(cls)
        made: dict[str, Any] = {}
        for name, value in values.items():
            section = hints[name]
            if not dataclasses.is_dataclass(section):
                made[name] = _checked(name, value, section)
            elif not isinstance(value, dict):
                raise ArgumentError(f"{name} = {value!r} is not allowed: it is a section, [{name}]")
            else:
                made[name] = _section(name, section, cast("dict[str, Any]", value))
        return cls(**made)

    def to_dict(self) -> dict[str, Any]:
        """Nested dicts without what is None, which TOML cannot say."""

        def without_none(value: Any) -> Any:
            if not isinstance(value, dict):
                return value
            section = cast("dict[str, Any]", value)
            return {key: item for key, item in section.items() if item is not None}

        return {name: without_none(value) for name, value in dataclasses.asdict(self).items()}

    def to_toml(self) -> str:
        """The run as TOML, every default spelt out."""
        return tomli_w.dumps(self.to_dict())


_POSITIVE = {
    "train": ("steps", "batch_size", "micro_batch_size"),
    "evaluation": ("every", "batch_size"),
    "checkpoint": ("every", "keep"),
    "logging": ("every",),
}


def parse_overrides(words: Sequence[str]) -> dict[str, str]:
    """`--section.key value` and `--section.key=value` as a dict.

    Raises:
        ArgumentError: A word that is neither, or a key without a value.
    """
    overrides: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise ArgumentError(f"{word!r} is not an override: write --section.key VALUE")
        if not equals:
            if not rest:
                raise ArgumentError(f"{word} has no value: write {word} VALUE")
            value = rest.pop(0)
        overrides[name] = value
    return overrides


def _section(name: str, section: Any, values: Mapping[str, Any]) -> Any:
    known = {item.name: item for item in dataclasses.fields(section)}
    _refuse_unknown(values, known, f"key of [{name}]")
    hints = get_type_hints(section)
    return section(**{key: _checked(f"{name}.{key}", value, hints[key]) for key, value in values.items()})


def _refuse_unknown(values: Mapping[str, Any], known: Mapping[str, Any], what: str) -> None:
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise ArgumentError(f"{name!r} is not a {what}: {hint}")


def _checked(name: str, value: Any, hint: Any) -> Any:
    """The value, if it is of the type; whole numbers pass for fractions."""
    if get_origin(hint) in {Union, UnionType}:
        if value is None:
            return None
        (hint,) = (option for option in get_args(hint) if option is not NoneType)
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
        raise ArgumentError(f"{name} = {value!r} is not allowed: it must be {' or '.join(map(repr, get_args(hint)))}")
    if get_origin(hint) is list:
        if isinstance(value, list):
            items = cast("list[Any]", value)
            return [_checked(f"{name}[{i}]", item, get_args(hint)[0]) for i, item in enumerate(items)]
    elif hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    elif isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    kind = "list" if get_origin(hint) is list else _KINDS.get(hint, str(hint))
    raise ArgumentError(f"{name} = {value!r} is not allowed: it must be a {kind}")


_KINDS = {int: "whole number", float: "number", bool: "truth value (true or false)", str: "text"}


def _parse(text: str) -> Any:
    """A value as TOML has it; what is none is text, so that words need no quotes on a command line."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
