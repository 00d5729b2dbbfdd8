"""The study `accounting`: what GPT-2 and its like cost, by formula, by torch's counter, and measured."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from bloomery.accounting import ADAMW_FLOPS_PER_PARAMETER, Account, Assumptions, peak_flops, shares, training_memory
from bloomery.config import PRESETS, TransformerConfig, default_d_ff
from bloomery.experiments.study import memory
from bloomery.experiments.study.desk import Desk, listed
from bloomery.nn import TransformerLM
from bloomery.report.figures import COLOURS, GREY, legend, new_figure, percent_ticks
from bloomery.report.page import Figure, Listing, Page, Section, Table, Text
from bloomery.units import human_bytes, human_seconds

MODELS = ("gpt2-small", "gpt2-medium", "gpt2-large", "gpt2-xl")
LONG = 16_384
EDITIONS = (
    ("d_ff = 4·d_model", "A100", "float32"),
    ("d_ff = 8/3·d_model", "H100", "tf32"),
)
"""The two editions of the course: the width of the feed-forward network, and the accelerator that is counted on."""
# Small enough for any machine, large enough for its matrices to count.
_MEASURED = TransformerConfig(vocab_size=2048, context_length=128, d_model=128, num_layers=4, num_heads=4)
_BATCH_SIZES = (1, 2, 4, 8, 16)
_LABELS = {
    "feed_forward": "feed-forward",
    "projections": "attention projections",
    "attention_products": "attention products",
}


def run(desk: Desk) -> Page:
    """Computes, counts, measures, and writes it up."""
    editions = [accounts(*edition) for edition in EDITIONS]
    long = [
        Account(f"{each[-1].name} at {LONG:,}", replace(each[-1].config, context_length=LONG), each[-1].assumptions)
        for each in editions
    ]
    results: dict[str, Any] = {
        "editions": [
            {"edition": name, "hardware": hardware, "dtype": dtype, "models": [account.to_dict() for account in each]}
            for (name, hardware, dtype), each in zip(EDITIONS, editions, strict=True)
        ],
        "long_context": [account.to_dict() for account in long],
        "counted": desk.once("counted", lambda: [count(account) for account in (*editions[0], *editions[1], *long)]),
        "measured": desk.once("measured", measure_memory),
    }
    editions_told = [
        f"{name} on {hardware} at {each[0].assumptions.peak_flops / 1e12:g} TFLOP/s"
        for (name, hardware, _), each in zip(EDITIONS, editions, strict=True)
    ]
    return Page(
        title="What language models cost",
        question="How many parameters, FLOPs, bytes and days do GPT-2 small to XL take, which part of the model takes "
        "them, and how large a batch fits 80 GB?",
        answer=answers(results),
        setting=[
            (
                "GPT-2's sizes (vocabulary 50,257, context 1,024) with RMSNorm, RoPE and SwiGLU, in the course's two "
                "editions: "
                f"{listed(editions_told)}. "
                "All in float32; a matrix product of m×n and n×p counts 2·m·n·p FLOPs, and attention's products are "
                "counted whole."
            ),
            (
                "Every figure is computed when the page is made, by `bloomery.accounting`; the FLOPs are compared with "
                "what torch's own counter sees in the real model, and the memory with measured steps of a small one."
            ),
        ],
        sections=_sections(editions, long, results),
        results=results,
        commands=[desk.command(), *(_command(each) for each in EDITIONS)],
    )


def accounts(edition: str, hardware: str, dtype: str) -> list[Account]:
    """The four models of an edition."""
    peak = peak_flops(hardware, dtype)
    if peak is None:
        raise AssertionError(f"{hardware} has a published {dtype} peak")
    assumptions = Assumptions(peak_flops=peak)
    wide = edition == EDITIONS[0][0]
    return [
        Account(name, config if wide else replace(config, d_ff=default_d_ff(config.d_model)), assumptions)
        for name, config in ((name, PRESETS[name]) for name in MODELS)
    ]


def count(account: Account) -> dict[str, Any]:
    """The parameters and FLOPs of the real model, as torch counts them; on the meta device nothing is computed."""
    model = TransformerLM(account.config, device="meta")
    tokens = torch.zeros(1, account.config.context_length, dtype=torch.long, device="meta")
    with FlopCounterMode(display=False) as counter:
        model(tokens)
    return {
        "name": account.name,
        "d_ff": account.config.d_ff,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "parameters_by_formula": sum(account.parameters.values()),
        "flops": counter.get_total_flops(),
        "flops_by_formula": sum(account.flops.values()),
    }


def measure_memory() -> dict[str, Any] | None:
    """Measured peaks of training steps beside the formula's, and a·batch + b of either; None where nobody can say."""
    peaks = memory.measure(_MEASURED, _BATCH_SIZES)
    if peaks is None:
        return None
    formula = training_memory(_MEASURED)
    slope, constant = np.polyfit(list(peaks), list(peaks.values()), 1)
    return {
        "device": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "a processor",
        "model": _MEASURED.to_dict(),
        "peaks": {str(size): peak for size, peak in peaks.items()},
        "formula": {str(size): formula.total(size) for size in peaks},
        "a": float(slope),
        "b": float(constant),
        "a_by_formula": formula.per_sequence,
        "b_by_formula": formula.fixed,
    }


def answers(results: Mapping[str, Any]) -> list[str]:
    """The findings in sentences."""
    first, second = (edition["models"] for edition in results["editions"])
    small, xl = first[0], first[-1]
    long = results["long_context"][0]
    sentences = [
        (
            f"GPT-2 XL has {xl['parameters']['total']:,} parameters with d_ff = {xl_d_ff(results, 0):,}, "
            f"{human_bytes(xl['load_bytes'], digits=2)} to load in float32; with d_ff = {xl_d_ff(results, 1):,} it has "
            f"{second[-1]['parameters']['total']:,}, {human_bytes(second[-1]['load_bytes'], digits=2)}."
        ),
        (
            f"A forward pass of one sequence takes {flops(xl['forward']['flops']['total'])} FLOPs, of which "
            f"{_largest_part(xl)}; with the narrower feed-forward network "
            f"{flops(second[-1]['forward']['flops']['total'])}."
        ),
        (
            f"From small to XL the output head's share falls from {share(small, 'output_head')} to "
            f"{share(xl, 'output_head')}, and the feed-forward network's goes from {share(small, 'feed_forward')} to "
            f"{share(xl, 'feed_forward')}: the head grows with the width, the layers with its square, and there are "
            "more of them."
        ),
        (
            f"At a context of {LONG:,} one sequence takes {flops(long['forward']['flops']['total'])} FLOPs, "
            f"{long['forward']['flops']['total'] / xl['forward']['flops']['total']:.1f} times as many for "
            f"{LONG // 1024} times the tokens, and attention's two products, which grow with the square of the "
            f"length, are {share(long, 'attention_products')} of it instead of {share(xl, 'attention_products')}."
        ),
    ]
    sentences += [
        f"Training XL with AdamW ({edition['edition']}) takes {memory_line(edition['models'][-1])} bytes: the largest "
        f"batch in 80 GB is {edition['models'][-1]['training_memory']['largest_batch']}."
        for edition in results["editions"]
    ]
    sentences.append(
        f"A step of AdamW itself takes {ADAMW_FLOPS_PER_PARAMETER} FLOPs a parameter, "
        f"{flops(xl['adamw']['flops_per_step'])} for XL: "
        f"{xl['adamw']['flops_per_step'] / (3 * xl['forward']['flops']['total']):.1%} of what a forward and a "
        "backward pass of a single sequence take, and less of a larger batch."
    )
    for edition in results["editions"]:
        training = edition["models"][-1]["training"]
        sentences.append(
            f"400,000 steps of XL ({edition['edition']}) at a batch of 1,024 and 50% MFU on one {edition['hardware']} "
            f"take {training['days']:,.0f} days ({training['seconds'] / 3600:,.0f} hours)."
        )
    wrong = [
        each["name"]
        for each in results["counted"]
        if (each["flops"], each["parameters"]) != (each["flops_by_formula"], each["parameters_by_formula"])
    ]
    sentences.append(
        f"Torch's counter disagrees with the formulas on {listed(wrong)}."
        if wrong
        else "Torch's counter and the real models' parameters agree with the formulas to the last digit, on all "
        f"{len(results['counted'])} models."
    )
    measured = results["measured"]
    if measured is not None:
        sentences.append(
            f"Measured on {measured['device']}, a small model's steps take "
            f"{human_bytes(measured['a'], digits=2)}·batch + {human_bytes(measured['b'], digits=2)}; the formula says "
            f"{human_bytes(measured['a_by_formula'], digits=2)}·batch + "
            f"{human_bytes(measured['b_by_formula'], digits=2)}, {measured['a_by_formula'] / measured['a']:.0%} and "
            f"{measured['b_by_formula'] / measured['b']:.0%} of it."
        )
    return sentences


def flops(number: float) -> str:
    """A number of FLOPs: `4.513e12`."""
    mantissa, _, exponent = f"{number:.3e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def share(model: Mapping[str, Any], part: str) -> str:
    """A part's share of the forward pass."""
    return f"{model['forward']['shares'][part]:.1%}"


def memory_line(model: Mapping[str, Any]) -> str:
    """The memory of training as a·batch + b."""
    found = model["training_memory"]
    return f"{found['a']:,}·batch + {found['b']:,}"


def xl_d_ff(results: Mapping[str, Any], edition: int) -> int:
    """Of XL in one of the editions."""
    return results["editions"][edition]["models"][-1]["forward"]["matmuls"][-2]["n"]


def _largest_part(model: Mapping[str, Any]) -> str:
    parts = model["forward"]["shares"]
    name = max(parts, key=lambda part: parts[part])
    return f"{parts[name]:.1%} in the {_label(name)}"


def _label(part: str) -> str:
    return _LABELS.get(part, part.replace("_", " "))


def _command(edition: Sequence[str]) -> list[str]:
    name, hardware, dtype = edition
    narrow = [] if name == EDITIONS[0][0] else ["--d-ff", str(default_d_ff(PRESETS[MODELS[-1]].d_model))]
    return ["bloomery", "account", MODELS[-1], *narrow, "--hardware", hardware, "--precision", dtype]


def _sections(
    editions: Sequence[Sequence[Account]], long: Sequence[Account], results: Mapping[str, Any]
) -> list[Section]:
    everything = [(name, account) for (name, *_), each in zip(EDITIONS, editions, strict=True) for account in each]
    xl = editions[0][-1]
    return [
        Section(
            "Parameters",
            [
                Table(
                    "models",
                    {
                        "model": "",
                        "edition": "",
                        "layers": "",
                        "d_model": ",",
                        "heads": "",
                        "d_ff": ",",
                        "parameters": ",",
                        "to load, float32": human_bytes,
                        "forward FLOPs": flops,
                    },
                    [
                        [
                            account.name,
                            name,
                            account.config.num_layers,
                            account.config.d_model,
                            account.config.num_heads,
                            account.config.d_ff,
                            sum(account.parameters.values()),
                            account.load_bytes,
                            sum(account.flops.values()),
                        ]
                        for name, account in everything
                    ],
                ),
                Table(
                    "parameters",
                    {"part": "", **{f"XL, {name}": "," for name, *_ in EDITIONS}},
                    [
                        [_label(part), *(each[-1].parameters[part] for each in editions)]
                        for part in xl.parameters
                        if xl.parameters[part]
                    ],
                ),
            ],
        ),
        Section(
            "FLOPs of a forward pass",
            [
                _shares_figure(editions[0], long[0]),
                Table(
                    "shares",
                    {"model": "", "edition": "", **{_label(part): ".1%" for part in xl.flops}},
                    [
                        [account.name, name, *shares(account.flops).values()]
                        for name, account in (
                            *everything,
                            *((name, account) for (name, *_), account in zip(EDITIONS, long, strict=True)),
                        )
                    ],
                ),
                Table(
                    "matmuls",
                    {"m×n · n×p": "", "m": ",", "n": ",", "p": ",", "times": ",", "FLOPs": flops, "share": ".1%"},
                    [
                        [each.name, each.m, each.n, each.p, each.count, each.flops, each.flops / sum(xl.flops.values())]
                        for each in xl.matmuls
                    ],
                    f"Every matrix product of a forward pass of one sequence by XL, {EDITIONS[0][0]}.",
                ),
                Table(
                    "counted",
                    {
                        "model": "",
                        "d_ff": ",",
                        "FLOPs by formula": ",",
                        "by torch's counter": ",",
                        "parameters by formula": ",",
                        "counted": ",",
                    },
                    [
                        [
                            each["name"],
                            each["d_ff"],
                            each["flops_by_formula"],
                            each["flops"],
                            each["parameters_by_formula"],
                            each["parameters"],
                        ]
                        for each in results["counted"]
                    ],
                ),
            ],
        ),
        Section(
            "Memory of training with AdamW",
            [
                Text(
                    "With P parameters, B sequences of T tokens, d = d_model, f = d_ff, H heads, L layers, a "
                    "vocabulary of V, and 4 bytes a number; each operation's result is kept once for the backward "
                    "pass:"
                ),
                Listing(
                    "parameters         4·P\n"
                    "gradients          4·P\n"
                    "AdamW's moments    4·2·P\n"
                    "norms              4·B·(L·2·T·d + T·d)\n"
                    "QKV projections    4·B·L·3·T·d\n"
                    "scores, softmax    4·B·L·2·H·T²\n"
                    "sum of the values  4·B·L·T·d\n"
                    "output projection  4·B·L·T·d\n"
                    "W1, SiLU, W3, gate 4·B·L·4·T·f\n"
                    "W2                 4·B·L·T·d\n"
                    "logits, loss       4·B·2·T·V\n"
                ),
                _memory_figure(editions, results["measured"]),
                Table(
                    "memory",
                    {
                        "model": "",
                        "edition": "",
                        "b: fixed": human_bytes,
                        "a: a sequence": human_bytes,
                        "largest batch in 80 GB": ",",
                    },
                    [
                        [account.name, name, account.memory.fixed, account.memory.per_sequence, account.largest_batch]
                        for name, account in everything
                    ],
                ),
                *_measured(results["measured"]),
            ],
        ),
        Section(
            "Time",
            [
                Table(
                    "time",
                    {
                        "model": "",
                        "edition": "",
                        "AdamW step, FLOPs": flops,
                        "training FLOPs": flops,
                        "on": "",
                        "TFLOP/s": "g",
                        "time": human_seconds,
                    },
                    [
                        [
                            account.name,
                            name,
                            account.adamw_step_flops,
                            account.training_flops,
                            hardware,
                            account.assumptions.peak_flops / 1e12,
                            account.training_seconds,
                        ]
                        for (name, hardware, _), each in zip(EDITIONS, editions, strict=True)
                        for account in each
                    ],
                    "400,000 steps of 1,024 sequences at 50% of the peak; a backward pass takes twice the forward "
                    "pass.",
                )
            ],
        ),
    ]


def _measured(measured: Mapping[str, Any] | None) -> list[Text | Table]:
    if measured is None:
        return [Text("This system does not tell the peak memory of a step, so that the formula was not measured here.")]
    return [
        Table(
            "measured",
            {"batch": "", "measured": human_bytes, "by formula": human_bytes, "formula / measured": ".0%"},
            [
                [int(size), peak, measured["formula"][size], measured["formula"][size] / peak]
                for size, peak in measured["peaks"].items()
            ],
            f"Peak of a training step in the written-out (plain) implementation on {measured['device']}: vocabulary "
            f"{measured['model']['vocab_size']:,}, context {measured['model']['context_length']}, d_model "
            f"{measured['model']['d_model']}, {measured['model']['num_layers']} layers. What the formula leaves out "
            "is what its operations keep inside: RoPE's products, upcast copies of the norms, masks, and the "
            "backward pass's own gradients.",
        )
    ]


def _shares_figure(accounts: Sequence[Account], long: Account) -> Figure:
    figure, (axes,) = new_figure(height=4.4)
    drawn = [*accounts, long]
    left = np.zeros(len(drawn))
    for part, colour in zip(accounts[0].flops, COLOURS, strict=False):
        values = np.array([shares(account.flops)[part] for account in drawn])
        axes.barh(range(len(drawn)), values, 0.65, left=left, color=colour, label=_label(part))
        for place, (value, start) in enumerate(zip(values, left, strict=True)):
            if value > 0.05:
                axes.text(start + value / 2, place, f"{value:.0%}", ha="center", va="center", color="white", fontsize=9)
        left += values
    axes.set_yticks(range(len(drawn)), [account.name for account in drawn])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    percent_ticks(axes.xaxis)
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return Figure(
        "shares",
        figure,
        f"Where the FLOPs of a forward pass go, {EDITIONS[0][0]}; the last row is XL at a context of {LONG:,}.",
    )


def _memory_figure(editions: Sequence[Sequence[Account]], measured: Mapping[str, Any] | None) -> Figure:
    figure, panels = new_figure(panels=1 if measured is None else 2, width=9.5, height=4)
    batches = np.arange(0, 9)
    for (name, *_), each, colour in zip(EDITIONS, editions, COLOURS, strict=False):
        panels[0].plot(
            batches,
            [each[-1].memory.total(int(batch)) / 1e9 for batch in batches],
            "o-",
            color=colour,
            label=f"XL, {name}",
        )
    panels[0].axhline(80, color=GREY, linestyle="--", label="80 GB")
    panels[0].set_ylim(bottom=0)
    panels[0].set_xlabel("batch")
    panels[0].set_ylabel("GB, by formula")
    legend(panels[0])
    if measured is not None:
        sizes = [int(size) for size in measured["peaks"]]
        panels[1].plot(
            sizes, [peak / 1e6 for peak in measured["peaks"].values()], "o-", color=COLOURS[2], label="measured"
        )
        panels[1].plot(
            sizes, [peak / 1e6 for peak in measured["formula"].values()], "s--", color=COLOURS[3], label="by formula"
        )
        panels[1].set_ylim(bottom=0)
        panels[1].set_xlabel("batch")
        panels[1].set_ylabel("MB, a small model")
        legend(panels[1])
    return Figure(
        "memory", figure, "Memory of training by batch size: XL by formula (left), and a small model measured (right)."
    )
