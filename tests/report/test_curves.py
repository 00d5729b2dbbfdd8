"""The picture of a run's losses."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is absent: install the extra `train`")
image = pytest.importorskip("matplotlib.image", reason="matplotlib is absent: install the extra `train`")

from bloomery.cli import main  # noqa: E402 - after the skip
from bloomery.errors import ArgumentError  # noqa: E402
from bloomery.report.curves import draw_curves  # noqa: E402
from bloomery.report.history import running_mean  # noqa: E402

MakeRun = Callable[..., Path]


def test_the_picture_has_both_curves(run: Path, tmp_path: Path) -> None:
    draw_curves([run], tmp_path / "loss.png")
    pixels = image.imread(tmp_path / "loss.png")[..., :3]
    assert pixels.shape == (600, 960, 3)
    blue = (np.abs(pixels - (0x00, 0x72 / 255, 0xB2 / 255)) < 0.02).all(axis=-1)
    black = (pixels < 0.02).all(axis=-1)
    assert blue.sum() > 300
    assert black.sum() > 1000
    # From one side of the axes to the other.
    columns = np.flatnonzero(blue.any(axis=0))
    assert columns[0] < 120
    assert columns[-1] > 850
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["loss.png"]


def test_the_picture_says_what_it_shows(run: Path, make_run: MakeRun, tmp_path: Path) -> None:
    other = make_run("other", [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.5}])
    draw_curves([run], tmp_path / "one.svg")
    draw_curves([run, other], tmp_path / "two.svg")
    one, two = (re.findall(r"<!-- (.*?) -->", (tmp_path / name).read_text()) for name in ("one.svg", "two.svg"))
    assert {"step", "loss (cross-entropy, nats per token)", "training", "validation", "7.10", "3.14"} <= set(one)
    assert {"2 runs", f"{run}: training", f"{run}: validation", f"{other}: training"} <= set(two)
    assert f"{other}: validation" not in two


def test_what_cannot_be_drawn_is_refused(run: Path, make_run: MakeRun, tmp_path: Path) -> None:
    empty = make_run("empty", [])
    with pytest.raises(ArgumentError, match="empty has no metrics to draw"):
        draw_curves([run, empty], tmp_path / "loss.png")
    with pytest.raises(ArgumentError, match="no run is given"):
        draw_curves([], tmp_path / "loss.png")
    with pytest.raises(ArgumentError, match=r"loss\.jpeg: a picture is written as \.png"):
        draw_curves([run], tmp_path / "loss.jpeg")
    assert not list(tmp_path.glob("*loss*"))


def test_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out == f"wrote {run / 'report' / 'report.html'}\n"
    assert main(["report", str(run), str(run), "--output", str(tmp_path / "both.pdf")]) == 0
    assert capsys.readouterr().out == f"drew {run}, {run} in {tmp_path / 'both.pdf'}\n"
    assert (tmp_path / "both.pdf").read_bytes().startswith(b"%PDF")
    assert main(["report", str(tmp_path / "absent")]) == 2
    assert "absent has no metrics to draw" in capsys.readouterr().err


def test_the_running_mean_is_not_shifted_and_as_long() -> None:
    line = np.linspace(5, 2, 1000)
    np.testing.assert_allclose(running_mean(line)[:-10], line[:-10])
    np.testing.assert_allclose(running_mean(line)[-10:], line[-10:], atol=0.02)
    noise = np.random.default_rng(0).normal(size=1000)
    assert running_mean(noise)[10:].std() < 0.4
    np.testing.assert_allclose(running_mean(noise[:50]), noise[:50], atol=1e-12)
