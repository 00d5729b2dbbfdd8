"""The page on a tokenizer: its script splits text as the tokenizer does."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jinja2", reason="jinja2 is absent: install the extra `report`")

from bloomery import Tokenizer, report
from bloomery.cli import main
from bloomery.report.tokenizer import tokenizer_data

SCRIPT = Path(report.__file__).parent / "templates" / "tokenizer.js"
TEXTS = (
    "",
    "Hello, world! don't DON'T 'ſ it'S we'LL",
    "a  \n  b\n\n\tx   ",
    "한국어 Straße 🙂👩‍👧 \u0085\ufeff\u00a0 x\u2028y",
    "12345 67 ٣٤ x1y2",
    "<|endoftext|>x<|endoftext|><|endoftext",
    "f(x) /* comment */\r\n\r\n  return {'a': \"b\"};//\n/",
    "e\u0301 é Å \u1e9b\u0323",
)


def ids_by_script(tokenizer: Tokenizer, texts: tuple[str, ...], tmp_path: Path) -> list[list[int]]:
    """What the page's script makes of the texts, run by node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is absent: it runs the page's script")
    program = tmp_path / "program.js"
    program.write_text(
        SCRIPT.read_text(encoding="utf-8")
        + """
const { data, texts } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const encoder = makeEncoder(data);
process.stdout.write(JSON.stringify(texts.map((text) => encoder.encode(text).flatMap((word) => word.ids))));
""",
        encoding="utf-8",
    )
    given = json.dumps({"data": tokenizer_data(tokenizer), "texts": texts})
    done = subprocess.run([node, str(program)], input=given, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("pattern", ("gpt2", "cl100k", "o200k", "qwen", r"\w+|\s|[^\w\s]+"))
def test_its_ids_are_the_tokenizers(pattern: str, tmp_path: Path) -> None:
    text = "low lower lowest new newest 한국어 12345 don't DON'T <|endoftext|> it's it'S /* x */ f(x)\n\n" * 20
    tokenizer = Tokenizer.train_from_iterable([text], 280, ["<|endoftext|>"], pattern=pattern)
    # A regex of one's own: JavaScript's \w knows ASCII alone.
    texts = tuple(text for text in TEXTS if text.isascii()) if "w" in pattern and "\\" in pattern else TEXTS
    assert ids_by_script(tokenizer, texts, tmp_path) == [tokenizer.encode(text) for text in texts]


@pytest.mark.parametrize("name", ("cl100k_base.tiktoken", "qwen.tiktoken", "gpt_neox_tokenizer.json"))
def test_its_ids_are_those_of_published_vocabularies(name: str, shared: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(shared / "vocab" / name)
    text = (shared / "corpora" / "tinystories_2M.txt").read_text(encoding="utf-8")[:5000]
    texts = (*TEXTS, text, (shared / "cs336" / "german.txt").read_text(encoding="utf-8"))
    assert ids_by_script(tokenizer, texts, tmp_path) == [tokenizer.encode(text) for text in texts]


def test_the_page_holds_all_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = Tokenizer.train_from_iterable(["</script><b> x y" * 30], 262, ["<|endoftext|>"])
    tokenizer.save(tmp_path / "tokenizer.json")
    page = tmp_path / "page.html"
    assert main(["tokenizer", "inspect", str(tmp_path / "tokenizer.json"), "--html", str(page)]) == 0
    assert capsys.readouterr().out == f"wrote {page}\n"
    html = page.read_text(encoding="utf-8")
    assert re.findall(r'(?:src|href)="(?!data:)', html) == []
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert match is not None
    data = json.loads(match[1])
    assert [token.encode("latin-1") for token in data["tokens"]] == list(tokenizer.vocab.values())
    assert len(data["merges"]) == 2 * len(tokenizer.merges)
    assert "262 tokens and 5 merges" in html


def test_a_page_never_overwrites_a_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tokenizer.json"
    Tokenizer.train_from_iterable(["low lower"], 260, []).save(path)
    before = path.read_bytes()
    assert main(["tokenizer", "inspect", str(path), "--html", str(path)]) == 2
    assert "a page's name ends in .html" in capsys.readouterr().err
    assert main(["tokenizer", "inspect", str(path), "text.txt", "--html", "page.html"]) == 2
    assert path.read_bytes() == before


def test_it_needs_jinja2_alone(tmp_path: Path) -> None:
    path, page = tmp_path / "tokenizer.json", tmp_path / "page.html"
    Tokenizer.train_from_iterable(["low lower"], 260, []).save(path)
    program = "import sys; {}; from bloomery.cli import main; sys.exit(main({!r}))"
    words = ["tokenizer", "inspect", str(path), "--html", str(page)]
    for missing, code in ((("torch", "matplotlib"), 0), (("jinja2",), 2)):
        refused = "; ".join(f"sys.modules[{name!r}] = None" for name in missing)
        command = [sys.executable, "-c", program.format(refused, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
    assert done.stderr == "bloomery: error: this needs jinja2: pip install 'bloomery[report]'\n"
