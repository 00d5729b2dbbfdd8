"""Studies that run by themselves, from text to results. They need the extra `train` (torch, matplotlib, jinja2).

`STUDIES` are the questions of a course on language models: each is a module here whose `run` takes a desk
(`study.desk`) and gives a page (`bloomery.report.page`), and `run_study` does one. `demo` goes from text to a model's
writing.
"""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from bloomery.experiments.study.desk import Desk, Settings

STUDIES: Mapping[str, str] = MappingProxyType(
    {
        "unicode": "what Unicode strings are made of, and why a tokenizer starts from UTF-8",
        "bpe": "what training a BPE tokenizer takes, and what it learns",
        "tokenizers": "tokenizers of several corpora on one another's text",
        "accounting": "what language models cost in parameters, FLOPs, memory and days",
        "sgd": "gradient descent at learning rates that crawl, converge and blow up",
        "learning-rate": "the best learning rate, and how far it is from divergence",
        "batch-size": "what the batch size does to the loss by tokens and by time",
        "ablations": "what norms, positions and gates are worth",
        "generate": "how temperature and top-p change what a model writes",
        "corpora": "one model on two corpora, and how their losses compare",
    }
)
"""The studies by name, and what each is about."""


def run_study(name: str, root: Path, settings: Settings, say: Callable[[str], None] = lambda _: None) -> Path:
    """Runs a study, or goes on with it where it was interrupted, and writes its page.

    Args:
        name: One of `STUDIES`.
        root: The study gets a folder of its name here; corpora made ready lie beside it.
        settings: What is asked of it.
        say: Is told in a line what has been done.

    Returns:
        The page.

    Raises:
        ArgumentError: The folder holds the study with other settings, or the settings do not suit it.
        OSError, InputError, InvalidUtf8Error: A corpus cannot be read, or a file not written.
        KeyboardInterrupt: It was interrupted; run again, it goes on.
    """
    from bloomery.report.page import write_page  # noqa: PLC0415 - needs the extra `report`

    desk = Desk(name=name, root=root, settings=settings, say=say)
    desk.open()
    # Only this study's: some need torch, which takes seconds to import.
    study = importlib.import_module(f"bloomery.experiments.{name.replace('-', '_')}")
    return write_page(study.run(desk), desk.folder)
