"""`bloomery generate`: text from a trained model."""

import argparse
import random
import sys
import time
import warnings
from typing import TYPE_CHECKING

from bloomery.cli import arguments, output, runs
from bloomery.units import human_seconds

if TYPE_CHECKING:
    from bloomery.generate import Completion


def add_parser(subcommands: arguments.Subcommands) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "generate",
        help="write text with a trained model",
        description="Continue prompts with the model of a run. The text goes to standard output as it is written, "
        "several samples one after the other.",
    )
    runs.add_run(parser)
    parser.add_argument(
        "--prompt",
        action="append",
        dest="prompts",
        metavar="TEXT",
        help="text to continue; may be repeated (default: none, which begins a document)",
    )
    parser.add_argument(
        "--max-tokens", type=arguments.positive, default=256, metavar="N", help="length at most (default: 256)"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.8,
        metavar="T",
        help="below 1 keeps to what is likely; 0 always takes the likeliest token (default: 0.8)",
    )
    parser.add_argument("--top-k", type=arguments.positive, metavar="K", help="draw from the K likeliest tokens only")
    parser.add_argument(
        "--top-p", type=float, metavar="P", help="draw from the fewest tokens whose probabilities add up to P only"
    )
    parser.add_argument("--seed", type=int, help="gives the same text each time (default: another one each time)")
    parser.add_argument(
        "--num-samples", type=arguments.positive, default=1, metavar="N", help="texts for each prompt (default: 1)"
    )
    parser.add_argument(
        "--no-stream",
        action="store_false",
        dest="stream",
        help="write all samples at the same time, as one batch, and print them at the end; the texts are the same",
    )
    parser.add_argument(
        "--end-of-text",
        metavar="TOKEN",
        help=f"token that ends a text (default: {arguments.END_OF_TEXT}, where the tokenizer has it)",
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1 ... (default: a GPU if there is one)")
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Loads the model, writes, and says how fast on standard error."""
    with runs.needing_torch():
        import torch  # noqa: PLC0415 - takes seconds to import

        from bloomery.generate import Sampling, generate  # noqa: PLC0415

    sampling = Sampling(temperature=args.temperature, top_k=args.top_k, top_p=args.top_p)
    seed: int = random.SystemRandom().getrandbits(32) if args.seed is None else args.seed
    device = ("cuda" if torch.cuda.is_available() else "cpu") if args.device == "auto" else args.device
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter where torch was built without the device
        raise arguments.UsageError(f"--device {device}: {str(error).partition(chr(10))[0]}") from error
    model, tokenizer = runs.load(args, device)
    end_of_text = None
    if args.end_of_text is not None:
        end_of_text = tokenizer.token_to_id(args.end_of_text)
        if end_of_text is None:
            raise arguments.UsageError(f"the tokenizer has no token {args.end_of_text!r}")
    prompts = [prompt for prompt in args.prompts or [""] for _ in range(args.num_samples)]
    streaming = args.stream and not args.json

    def write(first: int, batch: list[str]) -> "list[Completion]":
        return generate(
            model,
            tokenizer,
            batch,
            args.max_tokens,
            sampling=sampling,
            seed=seed + first,
            end_of_text=end_of_text,
            on_text=(lambda _, text: print(text, end="", flush=True)) if streaming else None,
        )

    start = time.perf_counter()
    # Notes would break into the text: they are printed below it.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if streaming:
            completions: list[Completion] = []
            for index, prompt in enumerate(prompts):
                _print_heading(index, len(prompts), seed)
                print(prompt, end="", flush=True)
                completions += write(index, [prompt])
                print()
        else:
            completions = write(0, prompts)
    seconds = time.perf_counter() - start
    if args.json:
        output.print_json(
            {
                "samples": [
                    {
                        "prompt": prompt,
                        "text": completion.text,
                        "tokens": len(completion.ids),
                        "ended": completion.ended,
                        "seed": seed + index,
                    }
                    for index, (prompt, completion) in enumerate(zip(prompts, completions, strict=True))
                ],
                "seconds": seconds,
            }
        )
    elif not streaming:
        for index, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
            _print_heading(index, len(prompts), seed)
            print(prompt + completion.text)
    for note in dict.fromkeys(str(warning.message) for warning in caught):
        print(f"note: {note}", file=sys.stderr)
    tokens = sum(len(completion.ids) for completion in completions)
    print(
        f"{tokens:,} tokens in {human_seconds(seconds)} ({tokens / seconds:,.0f} tokens/s), seed {seed}",
        file=sys.stderr,
    )


def _print_heading(index: int, samples: int, seed: int) -> None:
    if samples > 1:
        print(f"{'' if index == 0 else chr(10)}--- {index + 1} of {samples}, seed {seed + index}")
