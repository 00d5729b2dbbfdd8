"""From raw text to a model's writing in about two minutes on two processor cores, offline: `bloomery demo`."""

import dataclasses
import errno
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bloomery import Tokenizer
from bloomery.config import TransformerConfig
from bloomery.generate import Sampling, generate
from bloomery.report.curves import draw_curves
from bloomery.tokenizer.embedded import EmbeddedCorpus, stdlib_sources
from bloomery.train import RunConfig, Watcher, load_model, read_metrics, train
from bloomery.train.config import CheckpointConfig, DataConfig, EvaluationConfig, ScheduleConfig, TrainConfig

STEPS = 700
"""About a minute of training on two cores."""
PROMPTS = ("import ", "def ", "class ")

_VOCAB_SIZE = 512
_END_OF_TEXT = "<|endoftext|>"
# One file in so many is held out, spread evenly over the library.
_HELD_OUT = 20
_SAMPLE_TOKENS = 100
_NOTE = "about.txt"
_FILES = ("tokenizer.json", "train.npy", "valid.npy", "config.toml", "metrics.jsonl", "loss.png", "samples.txt")
_CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Stage:
    """A stage of the demo, done."""

    name: str
    did: str
    """What it did, in a line."""
    command: str
    """The command that does it with other data."""
    samples: tuple[str, ...] = ()
    """What the model wrote, in the last stage."""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Demo:
    """The demo. Its folder ends as the folder of a run, which every other command can work on."""

    folder: Path
    steps: int = STEPS
    progress: bool | None = None
    """Whether the tokenizer shows its progress; None where standard error is a terminal."""
    watcher: Watcher | None = None
    """Is told how training goes."""
    announce: Callable[[str], None] = lambda _: None
    """Is told what training chose for this machine."""

    def clear(self) -> bool:
        """Makes the folder or, where a demo was made before, takes away what that left. Says whether there was one.

        Raises:
            FileExistsError: The folder holds something, and no demo made it.
            OSError: It cannot be written to.
        """
        again = (self.folder / _NOTE).is_file()
        if not again and self.folder.exists() and any(self.folder.iterdir()):
            what = "is there already, and no demo made it: name another with --folder"
            raise FileExistsError(errno.EEXIST, what, str(self.folder))
        self.folder.mkdir(parents=True, exist_ok=True)
        note = "Made by `bloomery demo`, which makes its files in this folder anew whenever it is run.\n"
        (self.folder / _NOTE).write_text(note, encoding="utf-8")
        for name in _FILES:
            (self.folder / name).unlink(missing_ok=True)
        if (self.folder / _CHECKPOINTS).exists():
            shutil.rmtree(self.folder / _CHECKPOINTS)
        return again

    def run(self) -> Iterator[Stage]:
        """Does one stage after the other, in a folder that was cleared.

        Raises:
            FileNotFoundError: This Python comes without its library's sources.
            KeyboardInterrupt: Training was interrupted; its checkpoint is in the folder.
            OSError: A file cannot be written.
        """
        for stage in (self._train_tokenizer, self._encode, self._train, self._draw, self._write):
            start = time.perf_counter()
            done = stage()
            yield dataclasses.replace(done, seconds=time.perf_counter() - start)

    def config(self) -> RunConfig:
        """The run: a model of a million parameters that sees 700,000 tokens."""
        return RunConfig(
            folder=str(self.folder),
            model=TransformerConfig(vocab_size=_VOCAB_SIZE, context_length=128, d_model=128, num_layers=4, num_heads=4),
            data=DataConfig(
                train=[str(self.folder / "train.npy")],
                valid=[str(self.folder / "valid.npy")],
                tokenizer=str(self.folder / "tokenizer.json"),
            ),
            schedule=ScheduleConfig(max_lr=4e-3),
            # An accelerator would compile for longer than this trains.
            train=TrainConfig(steps=self.steps, batch_size=8, device="cpu"),
            evaluation=EvaluationConfig(every=max(self.steps // 10, 1), windows=128),
            checkpoint=CheckpointConfig(every=self.steps),
        )

    def _train_tokenizer(self) -> Stage:
        corpus = stdlib_sources()
        files, _ = split(corpus)
        tokenizer = Tokenizer.train(files, _VOCAB_SIZE, [_END_OF_TEXT], progress=self.progress)
        tokenizer.save(self.folder / "tokenizer.json")
        return Stage(
            "tokenizer",
            f"learned {tokenizer.vocab_size:,} tokens from {len(files):,} files of Python's own library",
            f"bloomery tokenizer train 'corpus/*.txt' --vocab-size {_VOCAB_SIZE} --output tokenizer.json",
        )

    def _encode(self) -> Stage:
        tokenizer = Tokenizer.load(self.folder / "tokenizer.json")
        tokens: list[int] = []
        for name, files in zip(("train.npy", "valid.npy"), split(stdlib_sources()), strict=True):
            report = tokenizer.encode_files(files, self.folder / name, end_of_text=_END_OF_TEXT, progress=self.progress)
            tokens.append(report.tokens)
        return Stage(
            "token ids",
            f"wrote {tokens[0]:,} tokens to train on, and {tokens[1]:,} of files held out to validate with",
            "bloomery tokenizer encode 'corpus/*.txt' --tokenizer tokenizer.json --output tokens.npy",
        )

    def _train(self) -> Stage:
        config = self.config()
        result = train(config, watcher=self.watcher, announce=self.announce)
        if result.stopped_by is not None:
            raise KeyboardInterrupt
        losses = [line["valid_loss"] for line in read_metrics(self.folder) if "valid_loss" in line]
        tokens = result.step * config.train.batch_size * config.model.context_length
        return Stage(
            "training",
            f"{result.step:,} steps, {tokens:,} tokens: the validation loss fell from {losses[0]:.2f} to "
            f"{losses[-1]:.2f} ({losses[-1] / losses[0]:.0%})",
            f"bloomery train {self.folder / 'config.toml'} --folder runs/mine --data.tokenizer tokenizer.json "
            "--data.train '[\"tokens.npy\"]' --data.valid '[]' --data.held_out 0.05",
        )

    def _draw(self) -> Stage:
        picture = self.folder / "loss.png"
        draw_curves([self.folder], picture)
        return Stage("picture", f"drew the losses in {picture}", "bloomery report runs/mine")

    def _write(self) -> Stage:
        model, tokenizer = load_model(self.folder)
        sampling = Sampling(temperature=0.7, top_p=0.95)
        completions = generate(model, tokenizer, PROMPTS, _SAMPLE_TOKENS, sampling=sampling, seed=0)
        samples = [prompt + completion.text for prompt, completion in zip(PROMPTS, completions, strict=True)]
        text = "\n\n".join(samples)
        (self.folder / "samples.txt").write_text(f"{text}\n", encoding="utf-8")
        tokens = sum(len(completion.ids) for completion in completions)
        return Stage(
            "samples",
            f"wrote {tokens:,} tokens after {', '.join(map(repr, PROMPTS))}",
            "bloomery generate runs/mine --prompt 'Once upon a time'",
            tuple(samples),
        )


def split(corpus: EmbeddedCorpus) -> tuple[Sequence[Path], Sequence[Path]]:
    """The corpus's files to train on, and those held out: every twentieth, or the last of fewer."""
    valid = corpus.files[_HELD_OUT - 1 :: _HELD_OUT] or corpus.files[-1:]
    held_out = set(valid)
    return [path for path in corpus.files if path not in held_out], valid
