"""Known corpora by name: what they are, where they are, and how to tell that one has arrived whole."""

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bloomery.data.download import Fetched, HubFile, fetch_file
from bloomery.errors import ArgumentError


@dataclass(frozen=True)
class Corpus:
    """A corpus that the Hugging Face hub holds as plain files."""

    summary: str
    files: dict[str, HubFile]
    """By split: ``train``, ``valid``."""


_TINYSTORIES = "roneneldan/TinyStories"
_TINYSTORIES_REVISION = "f54c09fd23315a6f9c86f9dc80f725de7d8f9c64"
_OWT_SAMPLE = "stanford-cs336/owt-sample"

# A size or hash that is None is taken from the hub when the file is fetched.
CORPORA = {
    "tinystories": Corpus(
        "short stories in a small child's words, written by GPT-4; documents end with <|endoftext|>",
        {
            "train": HubFile(
                _TINYSTORIES,
                "TinyStoriesV2-GPT4-train.txt",
                _TINYSTORIES_REVISION,
                size=2_227_753_162,
                sha256="6418d412de72888f52b5142c761ac21a582f7d1166f0bfbdb5f03ccfdec90443",
            ),
            "valid": HubFile(
                _TINYSTORIES,
                "TinyStoriesV2-GPT4-valid.txt",
                _TINYSTORIES_REVISION,
                size=22_502_601,
                sha256="6874bae9a4c1a4e7edcf0e53b86c17817e9cf881fc75ff2368da457b80c0585d",
            ),
        },
    ),
    "owt-sample": Corpus(
        "a sample of OpenWebText: web pages that people linked to; documents end with <|endoftext|>",
        {"train": HubFile(_OWT_SAMPLE, "owt_train.txt.gz"), "valid": HubFile(_OWT_SAMPLE, "owt_valid.txt.gz")},
    ),
}
"""The known corpora by name. Compressed files need not be unpacked: the tokenizer reads them as they are."""


def fetch(
    name: str,
    folder: str | os.PathLike[str],
    *,
    splits: Sequence[str] | None = None,
    endpoint: str | None = None,
    progress: bool | None = None,
) -> list[Fetched]:
    """Fetches a corpus from the Hugging Face hub; what is there already is checked and kept.

    A file appears under its own name only when it is whole. Until then it ends in ``.part``, and the next call goes on
    where the last one was interrupted.

    Args:
        name: One of `CORPORA`.
        folder: Where the files go; made if need be.
        splits: Which of the corpus's files; None for all.
        endpoint: The hub's address; None for that of ``HF_ENDPOINT``, or https://huggingface.co.
        progress: True for progress bars on standard error, False for none, None for them on a terminal only.

    Returns:
        What was fetched, in order of the splits, and by what it was verified.

    Raises:
        ArgumentError: There is no corpus or split of that name.
        DownloadError: A file cannot be fetched, and is not there already.
        ChecksumError: A file has another size or hash than it should.
        OSError: The folder cannot be written to.
    """
    files = corpus(name).files
    for split in splits or ():
        if split not in files:
            raise ArgumentError(f"{name} has no split {split!r}: choose from {', '.join(files)}")
    chosen = files if splits is None else splits
    return [fetch_file(files[split], Path(folder), endpoint=endpoint, progress=progress) for split in chosen]


def corpus(name: str) -> Corpus:
    """The corpus of a name."""
    if name not in CORPORA:
        near = difflib.get_close_matches(name, CORPORA, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ArgumentError(f"there is no corpus {name!r}: {hint}known are {', '.join(CORPORA)}")
    return CORPORA[name]
