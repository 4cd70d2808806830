from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
from PIL import Image

from mnas.reports.comparison import Bar
from mnas.reports.plot import Chart, Dot, Mark, draw

DOTS = (Dot(0.5, 0.7, True, best=True), Dot(0.8, 0.65, False), Dot(1.5, 0.9, True, knee=True))
MARKS = tuple(
    Mark(label, role, dtype, Bar(x - 0.05, x, x + 0.05), Bar(y - 0.01, y, y + 0.01), knee, best)
    for label, role, dtype, x, y, knee, best in (
        ("2", "finalist", "float32", 1.4, 0.92, True, False),
        ("2", "finalist", "int8", 0.9, 0.91, False, True),
        ("0.35", "baseline", "float32", 1.0, 0.90, False, False),
        ("0.5", "baseline", "float32", 1.6, 0.91, False, False),
    )
)
CHART = Chart("A title", "first line\nsecond line", DOTS, MARKS, 1.0, "float32, predicted")


def texts(chart: Chart, path: Path) -> list[str]:
    draw(chart, [path])
    return [
        " ".join(element.itertext()) for element in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")
    ]


def test_the_legend_names_everything_that_is_drawn(tmp_path: Path) -> None:
    found = texts(CHART, tmp_path / "plot.svg")
    for name in (
        "A title",
        "predicted front (2)",
        "trained candidate (1)",
        "finalist, float32",
        "finalist, int8",
        "MobileNetV2, float32",
        "latency in ms (measured: median, quartiles)",
        "latency in ms (float32, predicted)",
    ):
        assert name in found
    for name in ("knee", "best under 1 ms", "target, 1 ms"):
        assert found.count(name) == 2
    assert {"2", "0.35", "0.5"} <= set(found)


def test_without_finalists_there_is_one_panel(tmp_path: Path) -> None:
    chart = Chart("A title", "a line", DOTS, (), None, "float32, predicted")
    found = texts(chart, tmp_path / "plot.svg")
    assert not [text for text in found if text.startswith(("finalist", "target", "best under"))]
    draw(chart, [tmp_path / "one.png"])
    draw(CHART, [tmp_path / "two.png"])
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "two.png") as two:
        assert one.width < 0.7 * two.width


def test_nothing_to_draw_is_drawn(tmp_path: Path) -> None:
    draw(Chart("A title", "a line", (), (), 1.0, "float32, predicted"), [tmp_path / "plot.png"])
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_a_plot_twice_is_the_same_and_leaves_settings_alone(tmp_path: Path) -> None:
    before = {name: mpl.rcParams[name] for name in mpl.rcParams if name != "backend"}
    draw(CHART, [tmp_path / "a.svg", tmp_path / "b.svg"])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert {name: mpl.rcParams[name] for name in before} == before


def test_nothing_is_cut_off(tmp_path: Path) -> None:
    draw(replace(CHART, target_ms=0.1234), [tmp_path / "plot.png"])
    with Image.open(tmp_path / "plot.png") as image:
        grey = image.convert("L")
        edges = (
            (0, 0, grey.width, 4),
            (0, grey.height - 4, grey.width, grey.height),
            (0, 0, 4, grey.height),
            (grey.width - 4, 0, grey.width, grey.height),
        )
        assert all(grey.crop(edge).getextrema() == (255, 255) for edge in edges)
