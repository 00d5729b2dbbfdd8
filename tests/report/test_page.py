"""Pages: what they hold, and that they need no other file."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("jinja2", reason="jinja2 is absent: install the extra `report`")
image = pytest.importorskip("matplotlib.image", reason="matplotlib is absent: install the extra `report`")

from bloomery.report.figures import new_figure  # noqa: E402 - after the skip
from bloomery.report.page import Figure, Listing, Page, Section, Table, Text, Tokens, write_page  # noqa: E402

MakeRun = Callable[..., Path]


@pytest.fixture
def page() -> Page:
    figure, (axes,) = new_figure()
    axes.plot([1, 2], [3, 4])
    return Page(
        title="A <title>",
        question="Which `code` & why?",
        answer=["Because."],
        setting=["On this."],
        sections=[
            Section(
                "First",
                [
                    Text("5 < 6"),
                    Listing("$ echo '<b>'"),
                    Figure("line", figure, "A rising line."),
                    Table(
                        "table", {"name": "", "share": ".0%", "none": ".2f"}, [["a,b", 0.25, None], ["c", 0.5, None]]
                    ),
                    Tokens([("one", ["low", "er"])]),
                ],
            )
        ],
        results={"answer": 42},
        commands=[["bloomery", "study", "x", "a file.txt"]],
    )


def test_a_page_needs_no_other_file(page: Page, tmp_path: Path) -> None:
    path = write_page(page, tmp_path / "made")
    html = path.read_text(encoding="utf-8")
    assert re.findall(r'(?:src|href)="(?!data:)', html) == []
    assert "http" not in html
    assert 'src="data:image/png;base64,' in html
    assert 'alt="A rising line."' in html


def test_text_is_escaped_and_code_is_set_as_code(page: Page, tmp_path: Path) -> None:
    html = write_page(page, tmp_path).read_text(encoding="utf-8")
    assert "<title>A &lt;title&gt;</title>" in html
    assert "Which <code>code</code> &amp; why?" in html
    assert "5 &lt; 6" in html
    assert "$ echo &#39;&lt;b&gt;&#39;" in html
    assert "<span>low</span><span>er</span>" in html


def test_values_are_formatted_on_the_page_and_whole_in_the_files(page: Page, tmp_path: Path) -> None:
    html = write_page(page, tmp_path).read_text(encoding="utf-8")
    assert '<td>a,b</td><td class="number">25%</td><td class="number">–</td>' in html
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["name", "share", "none"], ["a,b", "0.25", ""], ["c", "0.5", ""]]
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8")) == {"answer": 42}
    assert (tmp_path / "commands.sh").read_text(encoding="utf-8") == "bloomery study x 'a file.txt'\n"
    assert image.imread(tmp_path / "line.png").shape[:2] == (552, 960)
    assert not list(tmp_path.glob(".*"))


def test_runs_side_by_side(run: Path, make_run: MakeRun, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is absent: install the extra `train`")
    from bloomery.report.runs import runs_page

    config = (run / "config.toml").read_text(encoding="utf-8")
    lines = [{"step": step, "loss": 6 - step / 50} for step in range(1, 51)]
    other = make_run("other", lines, config.replace("batch_size = 4", "batch_size = 8"))
    page = runs_page([run, other])
    assert any("went from 7.100 to 3.140" in sentence for sentence in page.answer)
    assert any(f"{other}: after 50 of 100 steps" in sentence for sentence in page.answer)
    assert page.answer[-1].startswith(f"The lowest is {run}.")
    (differences,) = (block for block in page.blocks if isinstance(block, Table) and block.name == "differences")
    assert list(differences.rows) == [["train.batch_size", "4", "8"]]
    write_page(page, tmp_path / "page")
    names = {path.name for path in (tmp_path / "page").iterdir()}
    assert {"report.html", "loss.png", "by-tokens-and-time.png", "schedule.png", "runs.csv", "results.json"} <= names


def test_a_loss_that_rose_again_is_told(make_run: MakeRun) -> None:
    pytest.importorskip("torch", reason="torch is absent: install the extra `train`")
    from bloomery.report.runs import runs_page

    lines = [{"step": step, "loss": 2.0} for step in range(1, 101)]
    valid = [{"step": step, "valid_loss": loss} for step, loss in ((0, 6.0), (50, 2.0), (100, 3.0))]
    page = runs_page([make_run("run", [*lines, *valid])])
    assert any("best was 2.000 at step 50, and it has risen since" in sentence for sentence in page.answer)
