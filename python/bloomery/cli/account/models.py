"""Which models, and which hardware, the arguments of `bloomery account` mean."""

import argparse
import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from bloomery.accounting import HARDWARE, find_hardware
from bloomery.cli import arguments
from bloomery.config import PRESETS, TransformerConfig, default_d_ff
from bloomery.errors import ArgumentError

_DEFAULT = "tinystories-17m"
# The fields of a config that some figure depends on, or that decide whether a model can be built.
_NUMBERS = ("vocab_size", "context_length", "d_model", "num_layers", "num_heads", "d_ff")
_CHOICES = {
    "norm": ("rms", "none"),
    "norm_position": ("pre", "post"),
    "position": ("rope", "none"),
    "feed_forward": ("swiglu", "silu"),
}
_SWITCHES = ("tie_embeddings", "qk_norm")


def add_models(parser: argparse.ArgumentParser) -> None:
    """Adds MODEL, the fields that may be changed, and what stands beside it."""
    model = f"{', '.join(PRESETS)}, a config TOML with a [model] section, or a run's folder"
    parser.add_argument("model", nargs="?", metavar="MODEL", help=f"{model} (default: {_DEFAULT})")
    fields = parser.add_argument_group("the model's fields, in place of MODEL's")
    for name in _NUMBERS:
        fields.add_argument(_flag(name), type=arguments.positive, default=argparse.SUPPRESS, metavar="N")
    for name, choices in _CHOICES.items():
        fields.add_argument(_flag(name), choices=choices, default=argparse.SUPPRESS)
    for name in _SWITCHES:
        fields.add_argument(_flag(name), action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS)
    beside = parser.add_argument_group("side by side")
    beside.add_argument("--against", action="append", default=[], metavar="MODEL", help="a second model, as it is")
    beside.add_argument(
        "--context-lengths",
        nargs="+",
        type=arguments.positive,
        metavar="N",
        help="every model at these context lengths",
    )


def models_of(args: argparse.Namespace) -> Iterator[tuple[str, TransformerConfig]]:
    """The models to put side by side, with names that tell them apart."""
    changes = {name: getattr(args, name) for name in (*_NUMBERS, *_CHOICES, *_SWITCHES) if hasattr(args, name)}
    models = [(" ".join([args.model or _DEFAULT, *_spelled(changes)]), _config(args.model, changes))]
    models += [(name, _config(name, {})) for name in args.against]
    for name, config in models:
        if args.context_lengths is None:
            yield name, config
        for length in args.context_lengths or ():
            yield f"{name} at {length:,}", replace(config, context_length=length)


def _config(model: str | None, changes: Mapping[str, Any]) -> TransformerConfig:
    """The config of a preset or file with some fields changed; a usual d_ff follows the changes."""
    values = _values(model)
    try:
        base = TransformerConfig.from_dict(values)
    except ArgumentError as error:
        raise arguments.UsageError(f"{model}: [model]: {error}") from error
    if base.d_ff == default_d_ff(base.d_model, base.feed_forward):
        values.pop("d_ff", None)
    return TransformerConfig.from_dict({**values, **changes})


def _values(model: str | None) -> dict[str, Any]:
    if model is None:
        return {}
    if model in PRESETS:
        return PRESETS[model].to_dict()
    path = Path(model)
    if path.is_dir():
        path /= "config.toml"
    elif not path.exists() and path.suffix != ".toml":
        near = difflib.get_close_matches(model, PRESETS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise arguments.UsageError(
            f"{model!r} is neither a model nor a file: {hint}There are {', '.join(PRESETS)}, or name a config TOML"
        )
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise arguments.UsageError(f"{path} is not TOML: {error}") from error
    section: Any = document.get("model")
    if not isinstance(section, dict):
        raise arguments.UsageError(f"{path} has no [model] section: put vocab_size, d_model and the like under one")
    return cast("dict[str, Any]", section)


def peak_of(name: str, precision: str) -> float:
    """The FLOP/s of an accelerator by its name."""
    hardware = find_hardware(name)
    known = {each.name.lower(): each.name for each in HARDWARE}
    if hardware is None:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        hint = f"did you mean {known[near[0]]}? " if near else ""
        raise arguments.UsageError(
            f"the peak of {name!r} is not known: {hint}There are {', '.join(known.values())}, or give --peak"
        )
    peak = hardware.peak_flops(precision)
    if peak is None:
        raise arguments.UsageError(
            f"{hardware.name} has no {precision} units: choose another --precision or --hardware"
        )
    return peak


def _flag(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def _spelled(changes: Mapping[str, Any]) -> Iterator[str]:
    for name, value in changes.items():
        if isinstance(value, bool):
            yield _flag(name) if value else _flag(f"no_{name}")
        else:
            yield f"{_flag(name)} {value}"
