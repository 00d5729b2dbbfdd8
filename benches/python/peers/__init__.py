"""The tokenizers that are compared, each behind the same few methods, so that a job is written once for all of them."""

import importlib
import importlib.metadata

from peers.base import END, Peer, Unable, Vocabulary

__all__ = ["END", "PEERS", "Peer", "Unable", "Vocabulary", "installed", "peer_class"]

# By the name in the table: the module and the class. The modules are imported only where they are measured, since
# importing a peer costs up to a second and tens of megabytes.
PEERS = {
    "bloomery": ("bloomery", "Bloomery"),
    "bloomery (uint32)": ("bloomery", "BloomeryWide"),
    "bloomery (huggingface ties)": ("bloomery", "BloomeryHuggingFace"),
    "gigatoken": ("gigatoken", "Gigatoken"),
    "gigatoken (one buffer)": ("gigatoken", "GigatokenBuffer"),
    "tiktoken": ("tiktoken", "Tiktoken"),
    "tokenizers": ("tokenizers", "Tokenizers"),
    "rustbpe": ("rustbpe", "RustBpe"),
    "bpeasy": ("bpeasy", "Bpeasy"),
    "fastokens": ("fastokens", "Fastokens"),
    "tokie": ("tokie", "Tokie"),
}


def peer_class(name: str) -> type[Peer]:
    """The class behind a name in the table; its package must be installed."""
    module, class_name = PEERS[name]
    return getattr(importlib.import_module(f"peers.{module}"), class_name)


def installed(name: str) -> str | None:
    """The version of the package behind a name, or None."""
    try:
        return importlib.metadata.version(PEERS[name][0])
    except importlib.metadata.PackageNotFoundError:
        return None
