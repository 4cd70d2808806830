"""Draw what a command prints as a picture: `COMMAND | python docs/picture.py out.png`. Knows no command."""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont
from rich.text import Text

SIZE, MARGIN, LINE = 22, 24, 1.35
PAPER, INK = "#1e1e1e", "#d4d4d4"
#: rich's names of the terminal's colours
COLOURS = {"color(1)": "#f14c4c", "color(2)": "#23d18b", "color(3)": "#e5e510", "color(4)": "#3b8eea"}


def main() -> None:
    """Read standard input, write the file named on the command line."""
    fonts = Path(get_data_path()) / "fonts" / "ttf"
    plain = ImageFont.truetype(str(fonts / "DejaVuSansMono.ttf"), SIZE)
    bold = ImageFont.truetype(str(fonts / "DejaVuSansMono-Bold.ttf"), SIZE)
    lines = [Text.from_ansi(line) for line in sys.stdin.read().rstrip().splitlines()]
    step, height = plain.getlength("x"), SIZE * LINE
    columns = max(len(line.plain) for line in lines)
    size = (round(2 * MARGIN + columns * step), round(2 * MARGIN + len(lines) * height))
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    for row, line in enumerate(lines):
        for column, letter in enumerate(line.plain):
            styles = [span.style for span in line.spans if span.start <= column < span.end]
            words = " ".join(map(str, styles)).split()
            colour = next((COLOURS[word] for word in words if word in COLOURS), INK)
            if "dim" in words:
                colour = "#8a8a8a"
            at = (MARGIN + column * step, MARGIN + row * height)
            draw.text(at, letter, fill=colour, font=bold if "bold" in words else plain)
    picture.quantize(32).save(sys.argv[1], optimize=True)


if __name__ == "__main__":
    main()
