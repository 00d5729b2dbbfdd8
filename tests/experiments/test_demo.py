"""`bloomery demo`, on a small library and for a few steps."""

import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is absent: install the extra `train`")
image = pytest.importorskip("matplotlib.image", reason="matplotlib is absent: install the extra `train`")

from bloomery.cli import main  # noqa: E402 - after the skip
from bloomery.experiments.demo import PROMPTS, Demo, split  # noqa: E402
from bloomery.tokenizer.embedded import stdlib_sources  # noqa: E402
from bloomery.train import RunConfig, load_model, read_metrics  # noqa: E402

DEMO_FOLDER = Path("runs/demo")
Bloomery = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def small_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty modules of the library in the place of all, and a folder to work in."""
    library = tmp_path / "lib"
    library.mkdir()
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:40]:
        (library / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(sysconfig, "get_path", lambda *_: str(library))
    monkeypatch.chdir(tmp_path)
    return library


@pytest.fixture
def bloomery(capsys: pytest.CaptureFixture[str]) -> Bloomery:
    def run(*arguments: object) -> tuple[int, str, str]:
        torch.set_num_threads(1)
        try:
            code = main([str(argument) for argument in arguments])
        finally:
            torch.use_deterministic_algorithms(False)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_from_text_to_samples(bloomery: Bloomery) -> None:
    code, out, err = bloomery("demo", "--steps", 4)
    assert code == 0, err
    lines = out.splitlines()
    for number, name in enumerate(("tokenizer", "token ids", "training", "picture", "samples"), 1):
        (index,) = (index for index, line in enumerate(lines) if line.startswith(f"{number}/5 {name}: "))
        assert lines[index].endswith((" s", " ms"))
        assert lines[index + 1].startswith("    yours: bloomery ")
    assert "step 4: validation loss" in err
    # It is a run like any other.
    model, tokenizer = load_model(DEMO_FOLDER)
    assert model.config.vocab_size == tokenizer.vocab_size == 512
    config = RunConfig.load(DEMO_FOLDER / "config.toml")
    assert [np.load(path).dtype for path in (*config.data.train, *config.data.valid)] == [np.uint16, np.uint16]
    losses = [line["valid_loss"] for line in read_metrics(DEMO_FOLDER) if "valid_loss" in line]
    assert f"fell from {losses[0]:.2f} to {losses[-1]:.2f}" in out
    assert losses[-1] < losses[0]
    picture = image.imread(DEMO_FOLDER / "loss.png")[..., :3]
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10
    samples = (DEMO_FOLDER / "samples.txt").read_text(encoding="utf-8")
    for prompt in PROMPTS:
        assert f"\n{prompt}" in f"\n{samples}"
        assert f"\n{prompt}" in out
    assert bloomery("generate", DEMO_FOLDER, "--prompt", "def ", "--max-tokens", 3)[0] == 0


def test_again_it_starts_anew_and_gives_the_same(bloomery: Bloomery) -> None:
    assert bloomery("demo", "--steps", 2)[2].startswith("885,888 parameters")
    samples = (DEMO_FOLDER / "samples.txt").read_text(encoding="utf-8")
    (DEMO_FOLDER / "mine.txt").write_text("kept", encoding="utf-8")
    code, _, err = bloomery("demo", "--steps", 2)
    assert code == 0
    assert err.startswith("runs/demo holds an earlier demo: starting anew in its place\n")
    assert (DEMO_FOLDER / "samples.txt").read_text(encoding="utf-8") == samples
    assert (DEMO_FOLDER / "mine.txt").read_text(encoding="utf-8") == "kept"


def test_another_folder_is_left_alone(bloomery: Bloomery, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "precious"
    run.mkdir(parents=True)
    (run / "config.toml").write_text("precious", encoding="utf-8")
    code, out, err = bloomery("demo", "--folder", run)
    assert (code, out) == (2, "")
    assert err == f"bloomery: error: {run}: is there already, and no demo made it: name another with --folder\n"
    assert [path.name for path in run.iterdir()] == ["config.toml"]


def test_without_pictures_it_says_what_to_install(tmp_path: Path) -> None:
    program = "import sys; sys.modules['matplotlib'] = None; from bloomery.cli import main; sys.exit(main(['demo']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bloomery: error: this needs matplotlib: pip install 'bloomery[train]'\n"
    assert not (tmp_path / "runs").exists()


def test_files_are_held_out_whole() -> None:
    corpus = stdlib_sources()
    train, valid = split(corpus)
    assert len(valid) == 2
    assert sorted([*train, *valid]) == list(corpus.files)


@pytest.mark.slow
def test_less_than_half_of_it_nearly_halves_the_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the whole library
    demo = Demo(folder=tmp_path / "demo", steps=300)
    demo.clear()
    try:
        assert len(list(demo.run())) == 5
    finally:
        torch.use_deterministic_algorithms(False)
    losses = [line["valid_loss"] for line in read_metrics(tmp_path / "demo") if "valid_loss" in line]
    assert losses[-1] <= 0.55 * losses[0]
