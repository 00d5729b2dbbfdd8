"""Who may import whom: the package's layers, and that tokenizing needs numpy alone."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import bloomery

PACKAGE = Path(bloomery.__file__).parent

_MODEL = {"files", "nn", "optim", "data", "accounting", "config", "tokenizer"}
_RUNS = {"train", "generate", "export", "units"} | _MODEL
# The parts of bloomery that each part may import, itself aside; `errors` is open to all but nn and optim.
MAY_IMPORT = {
    "cli": {"experiments", "report", "cluster"} | _RUNS,
    "experiments": {"report"} | _RUNS,
    "report": _RUNS,
    "cluster": _RUNS,
    "train": _MODEL,
    "generate": _MODEL,
    "export": _MODEL,
    "data": {"tokenizer", "config", "_core"},
    "accounting": {"config"},
    "nn": {"config"},
    "optim": set[str](),
    "tokenizer": {"_core"},
    "config": set[str](),
    "errors": set[str](),
    "files": set[str](),
    "units": set[str](),
    "__init__": {"tokenizer"},
}
# Packages from outside, where they are limited.
MAY_USE = {
    "nn": {"torch"},
    "nn/quack_epilogues.py": {"torch", "quack", "cutlass"},
    "nn/triton_attention.py": {"torch", "triton"},
    "nn/triton_kernels.py": {"torch", "triton"},
    "nn/triton_loss.py": {"torch", "triton"},
    "optim": {"torch"},
    "accounting": set[str](),
    "config": set[str](),
    "errors": set[str](),
    "units": set[str](),
    "tokenizer": {"numpy"},
    "tokenizer/reference.py": {"regex"},
    "tokenizer/storage.py": {"fsspec"},
    "__init__": set[str](),
    "cli/tokenizer": {"numpy"},
}


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a file imports, anywhere in it."""
    package = ("bloomery", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_part(name: str) -> str:
    """`tokenizer` for `bloomery.tokenizer.x`, and for `bloomery` itself, whose public names are of that part."""
    _, _, rest = name.partition(".")
    part = rest.split(".")[0]
    return part if part in MAY_IMPORT or part == "_core" else "tokenizer"


SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(PACKAGE)) for path in SOURCES])
def test_layers(path: Path) -> None:
    part = part_of(path)
    allowed = {part} | MAY_IMPORT[part] | (set() if part in {"nn", "optim"} else {"errors"})
    own = {imported_part(name) for name in imports(path) if name.split(".")[0] == "bloomery"}
    assert own <= allowed, f"{part} may import {sorted(allowed)} of bloomery"


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(PACKAGE)) for path in SOURCES])
def test_packages_from_outside(path: Path) -> None:
    place = path.relative_to(PACKAGE).as_posix()
    limits = [packages for prefix, packages in MAY_USE.items() if place.removesuffix(".py").startswith(prefix)]
    limits = [MAY_USE[place]] if place in MAY_USE else limits
    outside = {name.split(".")[0] for name in imports(path)} - sys.stdlib_module_names - {"bloomery"}
    for allowed in limits:
        assert outside <= allowed


def test_the_layers_name_every_part() -> None:
    assert {part_of(path) for path in SOURCES} <= set(MAY_IMPORT)


def test_tokenizing_imports_neither_torch_nor_any_peer() -> None:
    # A finder that refuses them shows the attempt even where they are not installed.
    program = """
import sys
import tomllib

class Refuse:
    def find_spec(self, name, path=None, target=None):
        peers = {"torch", "transformers", "tokenizers", "tiktoken", "regex", "pyarrow", "fsspec", "ray"}
        assert name.split(".")[0] not in peers, name

sys.meta_path.insert(0, Refuse())
import bloomery
import bloomery.cli

tokenizer = bloomery.Tokenizer({byte: bytes([byte]) for byte in range(256)}, [], ["<s>"])
assert tokenizer.decode(tokenizer.encode("text<s>")) == "text<s>"
"""
    subprocess.run([sys.executable, "-c", program], check=True)


CORE = Path(__file__).parents[1] / "rust" / "core"
# The Rust modules that each module of the core may use beside itself and the small common ones.
COMMON = {"atomic", "control", "definition", "error", "hash", "memory", "parallel", "processor"}
MAY_CALL = {
    "pretokenize": set[str](),
    "special": set[str](),
    "vocab": set[str](),
    "merges": {"vocab", "live"},
    "live": set[str](),
    "normalize": set[str](),
    "columnar": set[str](),
    "input": {"columnar"},
    "format": {"columnar", "live", "pretokenize", "special", "vocab", "merges"},
    "count": {"input", "pretokenize", "special", "format"},
    "train": {"count", "pretokenize", "special", "vocab", "merges"},
    # The engine's object: what encoding and decoding read, and the methods that call them.
    "tokenizer": {"encode", "decode", "live", "normalize", "pretokenize", "special", "vocab", "merges"},
    "encode": {"tokenizer", "input", "normalize", "pretokenize", "special", "vocab", "merges"},
    "decode": {"tokenizer", "special", "vocab"},
}


def core_modules() -> dict[str, str]:
    """The code of each module of the core, without tests and comments."""
    modules: dict[str, str] = {}
    for path in sorted((CORE / "src").rglob("*.rs")):
        name = path.relative_to(CORE / "src").parts[0].removesuffix(".rs")
        code, _, _ = path.read_text(encoding="utf-8").partition("#[cfg(test)]")
        modules[name] = modules.get(name, "") + re.sub(r"(?m)^\s*//.*$", "", code)
    return modules


@pytest.mark.parametrize("module", sorted(MAY_CALL))
def test_layers_of_the_core(module: str) -> None:
    used = set(re.findall(r"\bcrate::(\w+|\{)", core_modules()[module]))
    assert used <= {module} | COMMON | MAY_CALL[module], f"{module} leans on what lies above it, or hides it in braces"


def test_every_module_of_the_core_has_its_place() -> None:
    assert set(core_modules()) == {"lib"} | COMMON | set(MAY_CALL)


def test_the_core_knows_nothing_of_python() -> None:
    manifest = tomllib.loads((CORE / "Cargo.toml").read_text(encoding="utf-8"))
    tables = [manifest.get(name, {}) for name in ("dependencies", "dev-dependencies", "build-dependencies")]
    assert not {"pyo3", "numpy", "bloomery-python"} & {name for table in tables for name in table}
