"""The study `ablations`: the model without its norms, with them elsewhere, without positions, and without the gate."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bloomery.accounting import count_parameters
from bloomery.experiments.study import training
from bloomery.experiments.study.budget import Plan, make_plan
from bloomery.experiments.study.desk import Desk
from bloomery.experiments.study.runs import Outcome, unigram_loss, workers
from bloomery.report.figures import COLOURS, GREY, new_figure
from bloomery.report.page import Figure, Page, Section, Table, Text

BASE, NO_NORM, NO_NORM_TUNED = "base", "no norm", "no norm, own rate"
CHANGES: Mapping[str, dict[str, Any]] = {
    BASE: {},
    NO_NORM: {"norm": "none"},
    "post-norm": {"norm_position": "post"},
    "no position": {"position": "none"},
    "SiLU": {"feed_forward": "silu"},
}
"""What each variant changes in the model; `no norm, own rate` is `no norm` at the learning rate that suits it best,
where that is another one."""
ABOUT = {
    BASE: "pre-norm, RoPE, SwiGLU",
    NO_NORM: "no RMSNorm anywhere, at the base's learning rate",
    NO_NORM_TUNED: "no RMSNorm anywhere, at its own best learning rate",
    "post-norm": "the norm after each residual sum instead of before each part",
    "no position": "neither RoPE nor any other position (NoPE)",
    "SiLU": "two matrices at d_ff = 4·d_model in the place of SwiGLU's three",
}
_NO_MORE_THAN_FREQUENCIES = 0.98
"""Of the loss of knowing how frequent each token is: whoever ends above has learned little else."""
_FACTORS = (0.1, 0.33, 3.0)
"""Times the base's learning rate, to look for one that suits the model without norms."""
_MINUTES_FOR_THREE_SEEDS = 10


def run(desk: Desk) -> Page:
    """Trains every variant at several seeds and writes it up."""
    minutes = desk.settings.minutes
    seeds = range(3 if minutes is None or minutes >= _MINUTES_FOR_THREE_SEEDS else 2)
    total = len(seeds) * (len(CHANGES) + 1) - 1 + len(_FACTORS)
    with workers(desk, total) as pool:
        plan = make_plan(desk, pool, total)
        data = training.training_data(desk, plan)

        def config(variant: str, seed: int, rate: float | None = None) -> tuple[str, Any]:
            name = "-".join([variant.replace(" ", "-"), *([f"lr-{rate:g}"] if rate else []), f"seed-{seed}"])
            return name, plan.run(desk, data, name, max_lr=rate, seed=seed, model=CHANGES[variant])

        rates = [float(f"{plan.max_lr * factor:.1e}") for factor in _FACTORS]
        variants = {config(variant, seed)[0]: variant for seed in seeds for variant in CHANGES}
        first = pool.train(
            dict([config(variant, seed) for seed in seeds for variant in CHANGES])
            | dict([config(NO_NORM, 0, rate) for rate in rates])
        )
        tried = {rate: first[config(NO_NORM, 0, rate)[0]] for rate in rates}
        tried[plan.max_lr] = first[config(NO_NORM, 0)[0]]
        best = min(tried, key=lambda rate: _loss(tried[rate]))
        tuned = [config(NO_NORM, seed, best if best != plan.max_lr else None) for seed in seeds]
        outcomes = first | pool.train(dict(tuned))
    groups = {variant: [outcomes[name] for name in variants if variants[name] == variant] for variant in CHANGES}
    if best != plan.max_lr:
        groups[NO_NORM_TUNED] = [outcomes[name] for name, _ in tuned]
    frequencies = unigram_loss(str(data.tokens_path))
    results: dict[str, Any] = {
        "max_lr": plan.max_lr,
        "seeds": len(seeds),
        "no_norm_rates": {f"{rate:g}": tried[rate].to_dict() for rate in sorted(tried)},
        "no_norm_best": best,
        "unigram_loss": frequencies,
        "variants": {
            variant: summarise(groups[variant], groups[BASE], frequencies) for variant in ABOUT if variant in groups
        },
    }
    ordered = list(outcomes.values())
    return Page(
        title="Ablations: what norms, positions and gates are worth",
        question="How much worse (or better) is the model without its norms, with them after the residual sum, without "
        "positions, and with plain SiLU in the place of SwiGLU?",
        answer=answers(results),
        setting=[
            *plan.sentences(data, len(ordered)),
            (
                f"Every variant has the base's learning rate, {plan.max_lr:g}, but for the one named otherwise, and "
                f"{len(seeds)} seeds: other first weights, other windows to train and to validate on. Differences are "
                "between runs of the same seed."
            ),
        ],
        sections=_sections(results, groups, tried, plan, ordered),
        results=results,
        commands=training.commands(desk, [data], ordered),
    )


def summarise(outcomes: Sequence[Outcome], base: Sequence[Outcome], frequencies: float) -> dict[str, Any]:
    """A variant's losses over the seeds, and their differences from the base's, seed by seed.

    Args:
        outcomes: The variant's.
        base: The base's, of the same seeds.
        frequencies: The loss of knowing how frequent each token is.
    """
    losses = [outcome.loss for outcome in outcomes]
    whole = [loss for loss in losses if loss is not None]
    pairs = zip(losses, (outcome.loss for outcome in base), strict=True)
    differences = [loss - other for loss, other in pairs if loss is not None and other is not None]
    return {
        "runs": [outcome.to_dict() for outcome in outcomes],
        "diverged": len(losses) - len(whole),
        "unstable": sum(outcome.stability == "unstable" for outcome in outcomes),
        "stuck": sum(loss > _NO_MORE_THAN_FREQUENCIES * frequencies for loss in whole),
        "mean": float(np.mean(whole)) if whole else None,
        "spread": float(np.ptp(whole)) if whole else None,
        "difference": float(np.mean(differences)) if differences else None,
        "differences": differences,
        "verdict": verdict(
            differences,
            diverged=len(losses) - len(whole),
            noise=float(np.ptp([outcome.loss for outcome in base if outcome.loss is not None] or [0.0])),
        ),
    }


def verdict(differences: Sequence[float], *, diverged: int, noise: float) -> str:
    """`diverges`, `worse`, `better`, or `undecided` where the seeds differ by more than the variant does.

    Args:
        differences: From the base, seed by seed.
        diverged: How many seeds did.
        noise: By how much the base's seeds differ.
    """
    if diverged:
        return "diverges"
    if not differences or not (all(each > 0 for each in differences) or all(each < 0 for each in differences)):
        return "undecided"
    mean = float(np.mean(differences))
    clear = abs(mean) >= np.ptp(differences) or np.abs(differences).min() > noise
    if len(differences) > 1 and not clear:
        return "undecided"
    return "worse" if mean > 0 else "better"


def answers(results: Mapping[str, Any]) -> list[str]:
    """The findings in sentences."""
    variants = results["variants"]
    base = variants[BASE]
    if base["mean"] is None:
        return [
            f"The base run diverged at its learning rate of {results['max_lr']:g}: nothing can be compared with it."
        ]
    sentences = [
        (
            f"The base ends at a validation loss of {base['mean']:.3f}; over {results['seeds']} seeds it spreads by "
            f"{base['spread']:.3f}."
        )
    ]
    ordered = sorted(
        (name for name in variants if name != BASE),
        key=lambda name: (variants[name]["mean"] is None, -float(np.mean(variants[name].get("differences") or [0]))),
    )
    for name in ordered:
        found = variants[name]
        what = f"{name[0].upper()}{name[1:]} ({ABOUT[name]})"
        if name == NO_NORM_TUNED:
            what = f"No norm at its own best learning rate of those tried, {results['no_norm_best']:g}"
        if found["verdict"] == "diverges":
            sentences.append(f"{what}: diverges in {found['diverged']} of {results['seeds']} runs.")
            continue
        size = f"{_size(found['differences'])} nats a token"
        told = {
            "worse": f"worse by {size}",
            "better": f"better by {size}",
            "undecided": f"not told apart from the base (different by {size}): the seeds differ as much",
        }[found["verdict"]]
        rough = f", and unstable in {found['unstable']} of {results['seeds']} runs" if found["unstable"] else ""
        # Of a base that has not got further itself it says nothing.
        stuck = (
            f"; in {found['stuck']} of {results['seeds']} runs it learned no more than how frequent each token is "
            f"({results['unigram_loss']:.3f})"
            if found["stuck"] and not base["stuck"]
            else ""
        )
        sentences.append(f"{what}: {told}{rough}{stuck}.")
    same, rate = variants[NO_NORM], results["no_norm_best"]
    if rate == results["max_lr"]:
        sentences.append(f"Without norms none of the other learning rates tried did better than the base's, {rate:g}.")
    elif (tuned := variants[NO_NORM_TUNED])["mean"] is not None:
        gain = "it trains at all" if same["mean"] is None else f"the loss is {same['mean'] - tuned['mean']:.3f} lower"
        sentences.append(
            f"Without norms {'a lower' if rate < results['max_lr'] else 'a higher'} learning rate does better: at "
            f"{rate:g} instead of {results['max_lr']:g} {gain}."
            + (
                " Norms keep the size of what flows through the layers in hand, and thereby allow for larger steps."
                if rate < results["max_lr"]
                else ""
            )
        )
    return sentences


def _size(differences: Sequence[float]) -> str:
    """How large differences are that point the same way, or may be none."""
    mean, half = float(np.mean(differences)), float(np.ptp(differences)) / 2
    if half > abs(mean) / 2 and (min(differences) > 0 or max(differences) < 0):
        least, most = sorted((abs(min(differences)), abs(max(differences))))
        return f"{least:.3f} to {most:.3f}"
    return f"{abs(mean):.3f} ± {half:.3f}"


def _loss(outcome: Outcome) -> float:
    return float("inf") if outcome.loss is None else outcome.loss


def _sections(
    results: Mapping[str, Any],
    groups: Mapping[str, Sequence[Outcome]],
    tried: Mapping[float, Outcome],
    plan: Plan,
    ordered: Sequence[Outcome],
) -> list[Section]:
    colours = dict(zip(ABOUT, COLOURS, strict=False))
    # From where the curves part, as all of them fall alike at first, but with the end of each.
    ends = [group[0].loss for group in groups.values() if group[0].loss is not None]
    early = groups[BASE][0].history.valid.loss[:3][-1]
    highest = max(float(early), 1.02 * max(ends, default=0.0))
    parameters = {name: count_parameters(group[0].history.config.model) for name, group in groups.items()}
    return [
        Section(
            "Against the base",
            [
                _differences(results["variants"], colours),
                Table(
                    "variants",
                    {
                        "variant": "",
                        "what it is": "",
                        "parameters": ",",
                        "validation loss": ".4f",
                        "spread": ".4f",
                        "difference": "+.4f",
                        "verdict": "",
                    },
                    [
                        [
                            name,
                            ABOUT[name],
                            parameters[name],
                            found["mean"],
                            found["spread"],
                            found["difference"],
                            "–" if name == BASE else found["verdict"],
                        ]
                        for name, found in results["variants"].items()
                    ],
                    "Means over the seeds; the spread is the largest less the smallest. A verdict needs every seed to "
                    "agree, and a mean difference larger than its spread or each larger than the base's spread.",
                ),
            ],
        ),
        Section(
            "Curves",
            [
                training.curves(
                    "curves",
                    {
                        f"{name} (diverged)" if group[0].loss is None else name: (group[0], colours[name])
                        for name, group in groups.items()
                    },
                    "Validation loss of the first seed by steps and by training time, after the steep beginning; "
                    "dashed where training was thrown back or diverged.",
                    highest=highest,
                )
            ],
        ),
        Section(
            "No norm at other learning rates",
            [
                Table(
                    "no-norm",
                    {"learning rate": "g", "validation loss": ".4f", "stability": ""},
                    [[rate, tried[rate].loss, tried[rate].stability] for rate in sorted(tried)],
                    f"The model without norms, first seed; the base's rate is {plan.max_lr:g}.",
                ),
                Text(
                    "What the variants have in common they keep: the final norm stays with post-norm, and SiLU's two "
                    f"matrices at d_ff = {groups['SiLU'][0].history.config.model.d_ff} have about as many parameters "
                    f"as SwiGLU's three at {plan.config.d_ff}."
                ),
            ],
        ),
        Section("The runs", [training.table(ordered)]),
    ]


def _differences(variants: Mapping[str, Any], colours: Mapping[str, str]) -> Figure:
    figure, (axes,) = new_figure(height=3.8)
    names = [name for name in variants if name != BASE]
    base = variants[BASE]["runs"]
    for place, name in enumerate(reversed(names)):
        found = variants[name]
        axes.text(-0.01, place, name, transform=axes.get_yaxis_transform(), ha="right", va="center")
        if found["difference"] is None:
            axes.annotate("diverged", (0, place), (6, 0), textcoords="offset points", va="center", color=GREY)
            continue
        axes.barh(place, found["difference"], 0.55, color=colours[name], alpha=0.55)
        points = [
            run["valid_loss"] - other["valid_loss"]
            for run, other in zip(found["runs"], base, strict=True)
            if run["valid_loss"] is not None and other["valid_loss"] is not None
        ]
        axes.plot(points, [place] * len(points), "o", color=colours[name], markersize=5)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks([])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel("validation loss less the base's of the same seed (nats per token); to the right is worse")
    return Figure(
        "differences", figure, "How far each variant ends from the base: the mean as a bar, each seed as a dot."
    )
