"""What holds for the command as a whole: the version, errors, interruption, a reader that goes away."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import bloomery
from bloomery.cli import arguments, build_parser, main
from bloomery.units import human_bytes, human_seconds

COMMAND = (sys.executable, "-m", "bloomery.cli")


def test_version() -> None:
    done = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"bloomery {bloomery.__version__}\n"


@pytest.mark.parametrize("subcommand", ("train", "encode", "decode", "inspect", "compare", "convert"))
def test_help(run, subcommand: str) -> None:
    result = run(subcommand, "--help")
    assert result.code == 0
    assert "--json" in result.out


@pytest.mark.parametrize("command", ((), ("tokenizer",), ("tokenizer", "melt"), ("tokenizer", "train", "--melt")))
def test_usage_errors_are_one_line(command: tuple[str, ...]) -> None:
    done = subprocess.run([*COMMAND, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("bloomery: error: ")
    assert done.stderr.count("\n") == 1
    assert "--help`" in done.stderr


README = Path(__file__).parents[2] / "README.md"
# A backslash at its end joins a line to the next, as in the shell.
README_COMMANDS = re.findall(r"^bloomery .*$", README.read_text(encoding="utf-8").replace("\\\n", ""), re.MULTILINE)


@pytest.mark.parametrize("line", README_COMMANDS)
def test_the_commands_of_the_readme_parse(line: str) -> None:
    assert callable(build_parser().parse_args(shlex.split(line)[1:]).run)


README_OVERRIDES = [line for line in README_COMMANDS if line.startswith("bloomery train docs/")]


@pytest.mark.parametrize("line", README_OVERRIDES)
def test_the_runs_of_the_readme_are_runs(line: str) -> None:
    train = pytest.importorskip("bloomery.train", reason="torch is absent: install the extra `train`")
    arguments = build_parser().parse_args(shlex.split(line)[1:])
    train.RunConfig.load(README.parent / arguments.config, train.parse_overrides(arguments.rest))


def test_the_readme_begins_with_the_demo() -> None:
    first, *_ = re.findall(r"```sh\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    setup, install, demo = first.strip().split(" && ")
    assert (setup, install) == ("python3 -m venv .venv", ".venv/bin/pip install '.[train]'")
    assert callable(build_parser().parse_args(shlex.split(demo)[1:]).run)


def test_a_missing_file_is_named(run) -> None:
    assert run("train", "absent.txt").error == "absent.txt: No such file or directory"


def test_the_missing_default_tokenizer_says_how_to_make_it(run) -> None:
    error = run("inspect").error
    assert "runs/tokenizer/tokenizer.json does not exist" in error
    assert "`bloomery tokenizer train`" in error


def test_an_interrupted_command_leaves_quietly(monkeypatch: pytest.MonkeyPatch, capsys, tokenizer_path: Path) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bloomery.Tokenizer, "load", interrupt)
    assert main(["tokenizer", "inspect", str(tokenizer_path)]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_goes_away_is_no_error(tokenizer_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        command = [*COMMAND, "tokenizer", "inspect", str(tokenizer_path)]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("text", "size"),
    (
        ("825GB", 825 * 10**9),
        ("1.5 TB", 15 * 10**11),
        ("2gib", 2 * 1024**3),
        ("300000", 300_000),
        ("3e9", 3 * 10**9),
        ("7 kB", 7000),
    ),
)
def test_sizes(text: str, size: int) -> None:
    assert arguments.byte_size(text) == size


@pytest.mark.parametrize("text", ("", "GB", "12 parsecs", "-1GB", "0", "1.2.3", "5ib"))
def test_bad_sizes_are_refused(run, text: str, tokenizer_path: Path) -> None:
    error = run("compare", tokenizer_path, f"--corpus-size={text}").error
    assert "is not a size: write it as 825GB" in error


@pytest.mark.parametrize("text", ("0", "-2", "two"))
def test_threads_are_a_positive_number(run, text: str) -> None:
    assert f"{text!r} is not a positive number" in run("train", f"--threads={text}").error


def test_numbers_for_people() -> None:
    assert [human_bytes(size) for size in (0, 999, 1000, 34_100_000, 825e9, 2e15)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "34.1 MB",
        "825.0 GB",
        "2,000.0 TB",
    ]
    assert [human_seconds(seconds) for seconds in (0.04, 59, 90, 7200, 200_000)] == [
        "40 ms",
        "59.0 s",
        "1.5 min",
        "2.0 h",
        "2.3 days",
    ]
