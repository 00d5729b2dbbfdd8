"""`bloomery generate`, `export` and `import`."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bloomery import Tokenizer
from bloomery.cli import main
from bloomery.config import TransformerConfig
from bloomery.export import import_hf
from bloomery.generate import Sampling, generate
from bloomery.nn import TransformerLM
from bloomery.train import load_model, save_model

CONTEXT = 24
PROMPT = "low lower"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> TransformerLM:
    torch.manual_seed(5)
    config = TransformerConfig(vocab_size=280, context_length=CONTEXT, d_model=16, num_layers=1, num_heads=2)
    model = TransformerLM(config)
    torch.nn.init.normal_(model.get_parameter("lm_head.weight"))
    return model


@pytest.fixture
def folder(tmp_path: Path, model: TransformerLM, tokenizer: Tokenizer) -> Path:
    save_model(tmp_path / "run", model, tokenizer)
    return tmp_path / "run"


@pytest.fixture
def bloomery(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_the_text_is_streamed(bloomery, folder: Path, model: TransformerLM, tokenizer: Tokenizer) -> None:
    options = ("--prompt", PROMPT, "--max-tokens", 12, "--seed", 3, "--top-k", 50, "--top-p", 0.9)
    code, out, err = bloomery("generate", folder, *options)
    sampling = Sampling(temperature=0.8, top_k=50, top_p=0.9)
    (completion,) = generate(model, tokenizer, PROMPT, 12, sampling=sampling, seed=3)
    assert (code, out) == (0, PROMPT + completion.text + "\n")
    assert err.startswith("12 tokens in ")
    assert err.endswith("seed 3\n")
    assert bloomery("generate", folder, *options, "--no-stream")[1] == out


def test_several_samples(bloomery, folder: Path, model: TransformerLM, tokenizer: Tokenizer) -> None:
    options = ("--prompt", PROMPT, "--prompt", "x", "--num-samples", 2, "--max-tokens", 8, "--seed", 3)
    streamed = bloomery("generate", folder, *options)[1]
    assert streamed == bloomery("generate", folder, *options, "--no-stream")[1]
    facts = json.loads(bloomery("generate", folder, *options, "--json")[1])
    samples = facts["samples"]
    assert [(sample["prompt"], sample["seed"]) for sample in samples] == [(PROMPT, 3), (PROMPT, 4), ("x", 5), ("x", 6)]
    assert len({sample["text"] for sample in samples}) == 4
    for index, sample in enumerate(samples):
        assert f"--- {index + 1} of 4, seed {3 + index}\n{sample['prompt']}{sample['text']}\n" in streamed
        # One of them again, by the seed in its heading.
        (alone,) = generate(
            model, tokenizer, sample["prompt"], 8, sampling=Sampling(temperature=0.8), seed=sample["seed"]
        )
        assert (alone.text, len(alone.ids), alone.ended) == (sample["text"], sample["tokens"], sample["ended"])


def test_temperature_zero_and_the_end_of_text(
    bloomery, folder: Path, model: TransformerLM, tokenizer: Tokenizer
) -> None:
    (whole,) = generate(model, tokenizer, PROMPT, 20, sampling=Sampling(temperature=0))
    greedy = ("generate", folder, "--prompt", PROMPT, "--max-tokens", 20, "--temperature", 0)
    assert bloomery(*greedy)[1] == bloomery(*greedy)[1] == PROMPT + whole.text + "\n"
    ending = next(token for token in whole.ids[2:] if tokenizer.id_to_token(token).isascii())
    token = tokenizer.id_to_token(ending).decode()
    facts = json.loads(bloomery(*greedy, "--json", f"--end-of-text={token}")[1])
    (sample,) = facts["samples"]
    assert (sample["ended"], sample["tokens"]) == (True, whole.ids.index(ending))
    code, _, err = bloomery(*greedy, "--end-of-text", "<nothing>")
    assert (code, err) == (2, "bloomery: error: the tokenizer has no token '<nothing>'\n")


def test_no_prompt_begins_a_document(bloomery, folder: Path) -> None:
    code, out, err = bloomery("generate", folder, "--max-tokens", 5)
    assert code == 0
    assert out != "\n"
    assert err.count("\n") == 1


def test_growing_past_the_context_is_said_once(bloomery, folder: Path) -> None:
    code, _, err = bloomery("generate", folder, "--max-tokens", 80, "--num-samples", 3, "--temperature", 2)
    assert code == 0
    assert err.count("note: the text is longer than the model's context of 24 tokens") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    (
        (("--temperature", -1), "temperature must be 0"),
        (("--top-p", 2), "top_p must be above 0 and at most 1, not 2.0"),
        (("--seed", -1), "seed must be 0 or more, not -1"),
        (("--checkpoint", "elsewhere"), "elsewhere"),
        (("--device", "gpu"), "--device gpu: "),
        (("--device", "cuda:99"), "--device cuda:99: "),
    ),
)
def test_bad_arguments(bloomery, folder: Path, options: tuple[object, ...], message: str) -> None:
    code, out, err = bloomery("generate", folder, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_folder_that_is_no_run(bloomery, tmp_path: Path) -> None:
    for command in (("generate", "absent"), ("export", "absent", "out")):
        code, _, err = bloomery(*command)
        assert code == 2
        assert "absent/config.toml: No such file or directory" in err
    assert not (tmp_path / "out").exists()


def test_there_and_back(bloomery, folder: Path, model: TransformerLM, tokenizer: Tokenizer) -> None:
    code, out, err = bloomery("export", folder, "--format", "hf", "there")
    assert (code, err) == (0, "")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert f"{parameters:,} parameters" in out
    assert import_hf("there")[1] == tokenizer
    code, out, err = bloomery("import", "there", "back")
    assert (code, err) == (0, "")
    assert "next: bloomery generate back\n" in out
    again, tokenizer_again = load_model(Path("back"))
    assert tokenizer_again == tokenizer
    state = again.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    options = ("--prompt", PROMPT, "--max-tokens", 8, "--seed", 1)
    assert bloomery("generate", folder, *options)[1] == bloomery("generate", "back", *options)[1]


def test_export_and_import_as_json(bloomery, folder: Path, model: TransformerLM) -> None:
    facts = json.loads(bloomery("export", folder, "there", "--json")[1])
    parameters = sum(parameter.numel() for parameter in model.parameters())
    size = sum(path.stat().st_size for path in Path("there").iterdir())
    assert facts == {
        "run": str(folder),
        "output": "there",
        "format": "hf",
        "parameters": parameters,
        "bytes": size,
    }
    facts = json.loads(bloomery("import", "there", "back", "--json")[1])
    assert facts == {"input": "there", "run": "back", "parameters": parameters}


def test_what_is_there_is_not_replaced(bloomery, folder: Path) -> None:
    bloomery("export", folder, "there")
    code, _, err = bloomery("export", folder, "there")
    assert code == 2
    assert err.startswith("bloomery: error: there: is there already and not empty: name another folder")
    code, _, err = bloomery("import", "there", folder)
    assert code == 2
    assert "holds a run already" in err


def test_a_model_that_llama_cannot_express(bloomery, tmp_path: Path, tokenizer: Tokenizer) -> None:
    config = TransformerConfig(vocab_size=280, context_length=8, d_model=16, num_layers=1, num_heads=2, qk_norm=True)
    save_model(tmp_path / "run", TransformerLM(config), tokenizer)
    code, _, err = bloomery("export", "run", "there")
    assert (code, err.count("\n")) == (2, 1)
    assert "qk_norm = True: LlamaForCausalLM cannot express it" in err
    assert not Path("there").exists()


def test_without_torch_the_commands_say_what_to_install(folder: Path) -> None:
    # None in sys.modules is how Python marks a module that is not to be imported.
    program = "import sys; sys.modules['torch'] = None; from bloomery.cli import main; sys.exit(main(sys.argv[1:]))"
    for command in (("generate", folder), ("export", folder, "out"), ("import", "a", "b")):
        arguments = [sys.executable, "-c", program, *map(str, command)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr == "bloomery: error: this needs torch: pip install 'bloomery[train]'\n"
