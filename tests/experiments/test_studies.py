"""The studies that train no model: they run, and what they say follows from what they found."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is absent: install the extra `train`")
pytest.importorskip("matplotlib", reason="matplotlib is absent: install the extra `train`")

from bloomery import Tokenizer, WordCounts
from bloomery.cli import main
from bloomery.errors import ArgumentError
from bloomery.experiments import accounting, bpe, sgd, tokenizers, unicode
from bloomery.experiments.study.corpora import corpora_of, prepare
from bloomery.experiments.study.desk import Desk, Settings, listed
from bloomery.experiments.study.process import watch
from bloomery.report.page import write_page
from bloomery.tokenizer.inspect import Token

MakeDesk = Callable[..., Desk]


def test_unicode(make_desk: MakeDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As some libraries do.
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)
    page = unicode.run(make_desk("unicode"))
    results = page.results
    assert ">>> chr(0)\n'\\x00'\n" in results["nul"]
    assert "UnicodeDecodeError" in results["wrong_decoder"]
    assert results["decoder"]["code_points_broken"] == 0x110000 - 0x800 - 128
    pairs = results["pairs"]
    assert (pairs["two"], pairs["one"], pairs["none"]) == (128 * 128, 30 * 64, 65_536 - 128 * 128 - 30 * 64)
    assert sum(pairs["reasons"].values()) == pairs["none"]
    stories, code = results["corpora"].values()
    assert stories["bytes"]["utf-16"] == 2 * stories["bytes"]["utf-8"]
    assert stories["zeros"]["utf-32"] == 0.75
    assert code["bytes"]["utf-8"] > code["characters"]
    assert results["decoder"]["documents"]["stories"]["broken"] == 0
    assert results["decoder"]["documents"]["code"]["broken"] > 0
    assert write_page(page, tmp_path / "page").is_file()


def test_the_toy_descent_does_what_its_formula_says() -> None:
    verdicts = {lr: sgd.descend(lr)["verdict"] for lr in sgd.LEARNING_RATES}
    assert verdicts == {1.0: "falls", 10.0: "falls", 100.0: "reaches zero", 1000.0: "diverges"}
    crawling = sgd.descend(1.0)
    assert crawling["losses"] == pytest.approx(crawling["predicted"])
    assert len(crawling["losses"]) == sgd.STEPS + 1


def test_sgd(make_desk: MakeDesk, tmp_path: Path) -> None:
    page = sgd.run(make_desk("sgd"))
    one, ten, hundred, thousand, *_ = page.answer
    assert "18% of it is gone" in one
    assert "faster than at 1" in ten
    assert "gone after 4 steps" in hundred
    assert "faster than at 10" in hundred
    assert "it diverges" in thousand
    assert write_page(page, tmp_path / "page").is_file()


def test_bpe(make_desk: MakeDesk, tmp_path: Path) -> None:
    desk = make_desk("bpe")
    page = bpe.run(desk)
    stories = page.results["corpora"]["stories"]
    assert stories["vocab_size"] == 300
    assert stories["peak_bytes"] > 10_000_000
    assert set(stories["phases"]) == set(bpe.PHASES)
    ratios = [ratio for _, ratio in stories["compression"]]
    assert ratios == sorted(ratios)
    assert ratios[-1] > 1.5
    sizes, words, unique = zip(*stories["words"], strict=True)
    assert sizes == tuple(sorted(sizes))
    assert all(fewer <= more for fewer, more in zip(unique, words, strict=True))
    assert {token["kind"] for token in stories["longest"]} <= set(bpe.KINDS)
    html = write_page(page, tmp_path / "page").read_text(encoding="utf-8")
    assert "bloomery tokenizer train" in html
    # Again it is read from where it was kept.
    measured = desk.folder / "parts" / "stories.json"
    assert json.loads(measured.read_text(encoding="utf-8")) == stories


@pytest.mark.parametrize(
    ("token", "kind"),
    (
        (b" responsibility", "word"),
        ("한국어".encode(), "word"),
        (b"of the", "words"),
        (b" --------", "run of one character"),
        ("Ã©Ã¨".encode(), "misread UTF-8"),
        (b"\n\n    ", "white space"),
        (b"\xed\x95", "part of a character"),
        (b"|---|", "signs"),
        ("☖☗♘".encode(), "signs"),
        ("ภาษาไทย".encode(), "word"),
        ("§ 12 Größe".encode(), "mixed"),
        (b"x86_64", "mixed"),
    ),
)
def test_kinds_of_tokens(token: bytes, kind: str) -> None:
    assert bpe.kind(Token(300, token)) == kind


def test_words_made_alike_are_as_many_and_as_long() -> None:
    text = "In 1999 küßte § Größe, 한국어 – 日本語 in Ελλάδα; привет 𠀀𠀁!\n"
    alike = text.encode().translate(bpe._ALIKE).decode()
    assert len(alike.encode()) == len(text.encode())
    assert [len(word.encode()) for word in alike.split()] == [len(word.encode()) for word in text.split()]
    assert len(WordCounts.from_iterable([alike])) < len(WordCounts.from_iterable([text]))
    assert WordCounts.from_iterable([alike]).total == WordCounts.from_iterable([text]).total


def test_long_and_invisible_tokens_are_shown_in_brief() -> None:
    token = {"kind": "signs", "text": "☖" * 104, "escaped": "\\xe2" * 312}
    assert bpe._shown(token) == "☖" * 40 + "…"
    assert bpe._shown({"kind": "white space", "text": "\n\n  ", "escaped": ""}) == "⏎⏎␣␣"
    assert bpe._shown({"kind": "part of a character", "text": "\ufffd", "escaped": "\\xed\\x95"}) == "\\xed\\x95"


def test_passages_are_short_in_any_script() -> None:
    korean = Tokenizer.train_from_counts(WordCounts.from_iterable(["한국어 사전" * 50]), 260)
    plain = korean.truncate(256)
    passage = tokenizers.most_different(["한국어 사전은 " * 300, "plain words " * 300], [korean, plain])
    assert "한국어" in passage
    assert 100 < len(plain.encode_ordinary(passage)) <= 320


def test_tokenizers(make_desk: MakeDesk, tmp_path: Path) -> None:
    page = tokenizers.run(make_desk("tokenizers"))
    square = page.results["square"]
    assert set(square) == set(square["stories"]) == {"stories", "code"}
    assert square["stories"]["stories"]["bytes_per_token"] > square["code"]["stories"]["bytes_per_token"]
    assert square["code"]["code"]["bytes_per_token"] > square["stories"]["code"]["bytes_per_token"]
    (shared,) = page.results["overlap"]
    assert 256 < shared["shared"] < 300
    assert shared["by_size"][0] == (256, 1.0)
    corpora = page.results["corpora"]
    assert [corpora[name]["id_bytes"] for name in corpora] == [2, 2]
    assert any("The highest id is 399, and uint16 holds 65,535" in sentence for sentence in page.answer)
    html = write_page(page, tmp_path / "page").read_text(encoding="utf-8")
    assert 'class="line"><span>' in html


def test_one_corpus_is_a_square_too(make_desk: MakeDesk, two_corpora: tuple[str, str], tmp_path: Path) -> None:
    page = tokenizers.run(make_desk("tokenizers", inputs=two_corpora[:1]))
    assert page.results["overlap"] == []
    assert write_page(page, tmp_path / "page").is_file()


def test_accounting_has_the_figures_that_are_known(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    # Counting takes seconds a model; another test does it with one.
    monkeypatch.setattr(accounting, "count", _as_by_formula)
    monkeypatch.setattr(accounting, "measure_memory", lambda: None)
    answer = "\n".join(accounting.run(make_desk("accounting")).answer)
    for figure in (
        "2,127,057,600 parameters with d_ff = 6,400, 8.51 GB",
        "1,640,452,800",
        "4.513e12 FLOPs",
        "3.517e12",
        "1.495e14 FLOPs, 33.1 times",
        "55.2%",
        "from 22.6%",
        "from 49.8%",
        "6,584 days",
        "(4,850 hours)",
        "agree with the formulas to the last digit, on all 10 models",
    ):
        assert figure in answer


def test_accounting_names_what_torch_counts_otherwise() -> None:
    (account, *_) = accounting.accounts(*accounting.EDITIONS[0])
    counted = accounting.count(account)
    assert counted["flops"] == counted["flops_by_formula"] == sum(account.flops.values())
    assert counted["parameters"] == counted["parameters_by_formula"]


def _as_by_formula(account: accounting.Account) -> dict[str, object]:
    flops, parameters = sum(account.flops.values()), sum(account.parameters.values())
    return {
        "name": account.name,
        "d_ff": account.config.d_ff,
        "parameters": parameters,
        "parameters_by_formula": parameters,
        "flops": flops,
        "flops_by_formula": flops,
    }


def test_memory_is_measured_where_the_system_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting, "_BATCH_SIZES", (1, 8))
    found = accounting.measure_memory()
    if found is None:
        pytest.skip("this system does not tell the peak memory of a step")
    assert list(found["peaks"].values()) == sorted(found["peaks"].values())
    # The formula leaves some of it out, and is right about the rest.
    assert 0.4 < found["a_by_formula"] / found["a"] < 1.3


def test_a_command_is_watched_with_its_memory() -> None:
    watched = watch(["account", "--json"])
    assert json.loads(watched.output)
    assert watched.peak_bytes > 5_000_000
    # More than a pipe holds.
    lengths = [str(length) for length in range(1, 200)]
    assert len(watch(["account", "--json", "--context-lengths", *lengths]).output) > 100_000
    with pytest.raises(ArgumentError, match=r"^absent\.json"):
        watch(["tokenizer", "inspect", "absent.json"])


def test_corpora_have_names_and_are_made_ready_once(make_desk: MakeDesk, two_corpora: tuple[str, str]) -> None:
    desk = make_desk("tokenizers", inputs=(two_corpora[0], two_corpora[0]))
    first, second = corpora_of(desk)
    assert (first.name, second.name) == ("stories", "stories-2")
    prepared = prepare(desk, first, 300)
    assert prepared.tokenizer.vocab_size == 300
    assert prepared.bytes == Path(two_corpora[0]).stat().st_size
    text = Path(two_corpora[0]).read_text(encoding="utf-8")
    assert prepared.head(10**9) == text
    assert text.startswith(prepared.head(1000))
    assert prepared.head(1000).endswith("<|endoftext|>")
    documents = prepared.documents(10)
    assert len(set(documents)) == 10
    assert set(documents) <= set(text.split("<|endoftext|>"))
    changed = prepared.tokens_path.stat().st_mtime_ns
    prepare(desk, first, 300)
    assert prepared.tokens_path.stat().st_mtime_ns == changed


def test_a_corpus_that_has_changed_is_refused(make_desk: MakeDesk, tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("low lower lowest " * 50, encoding="utf-8")
    desk = make_desk("unicode", inputs=(str(path),))
    prepare(desk, corpora_of(desk)[0], 260)
    path.write_text("new newer newest " * 60, encoding="utf-8")
    with pytest.raises(ArgumentError, match="was made of other files than mine is now"):
        prepare(desk, corpora_of(desk)[0], 260)


def test_without_inputs_there_is_pythons_own_text(tmp_path: Path) -> None:
    library, manual = corpora_of(Desk(name="x", root=tmp_path, settings=Settings()))
    assert (library.name, manual.name) == ("library", "manual")
    assert len(library.inputs) > 100
    assert Path(manual.inputs[0]).read_text(encoding="utf-8").count("<|endoftext|>") > 20


def test_a_folder_of_other_settings_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(tmp_path / "studies")
    assert main(["study", "sgd", "--minutes", "3", "--folder", root]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"sgd: {tmp_path / 'studies' / 'sgd' / 'report.html'}, in ")
    assert main(["study", "sgd", "--minutes", "4", "--folder", root]) == 2
    assert "holds this study with other settings (minutes 3.0 is 4.0 now)" in capsys.readouterr().err
    commands = (tmp_path / "studies" / "sgd" / "commands.sh").read_text(encoding="utf-8")
    assert commands == f"bloomery study sgd --minutes 3 --folder {root}\n"


def test_a_mistyped_file_name_leaves_the_folder_to_the_right_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "mine.txt"
    text.write_text("low lower lowest<|endoftext|>new newer newest<|endoftext|>" * 500, encoding="utf-8")
    rest = ["--vocab-sizes", "300", "--folder", str(tmp_path / "studies")]
    assert main(["study", "unicode", str(tmp_path / "nime.txt"), *rest]) != 0
    assert "nime.txt: No such file" in capsys.readouterr().err
    assert main(["study", "unicode", str(text), *rest]) == 0
    assert main(["study", "unicode", str(text), *rest, "--minutes", "4"]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    (
        (["study", "nothing"], "invalid choice: 'nothing'"),
        (["study", "sgd", "--minutes", "0"], "is no number of minutes"),
        (["study", "sgd", "--minutes", "3", "--scale", "full"], "not allowed with argument"),
        (["study", "sgd", "--run", "runs/x"], "--run is for generate"),
        (["study", "unicode", "absent.txt"], "absent.txt"),
    ),
)
def test_bad_arguments(
    words: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = main(words)
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_studies_of_tokenizers_need_no_torch(tmp_path: Path, two_corpora: tuple[str, str]) -> None:
    program = (
        "import sys; sys.modules['torch'] = None; from bloomery.cli import main; "
        f"sys.exit(main(['study', 'tokenizers', {two_corpora[0]!r}, '--folder', {str(tmp_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr


def test_words_are_listed() -> None:
    assert [listed(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
