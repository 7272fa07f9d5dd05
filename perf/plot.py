# SPDX-License-Identifier: Apache-2.0
"""Curves as SVG files, drawn by gnuplot."""
from lab.base import run

HEAD = """set terminal svg size 720,440 noenhanced font "sans,13" background rgb "white"
set output "{file}"
set title "{title}"
set xlabel "{xlabel}"
set ylabel "{ylabel}"
set grid
set key top left
set yrange [0:*]
{scale}
"""


def curve(bench, name, title, xlabel, ylabel, lines, log=True):
    """
    Draws lines ({label: [(x, y)]}) into NAME.svg where --plots says; nothing without it.
    """
    if bench.plots is None:
        return
    bench.plots.mkdir(parents=True, exist_ok=True)
    script = HEAD.format(file=bench.plots / f"{name}.svg", title=title, xlabel=xlabel,
                         ylabel=ylabel, scale="set logscale x" if log else "")
    for number, points in enumerate(lines.values()):
        rows = "\n".join(f"{x} {y}" for x, y in points)
        script += f"$line{number} << END\n{rows}\nEND\n"
    script += "plot " + ", ".join(f'$line{number} with linespoints lw 2 pt 7 title "{label}"'
                                  for number, label in enumerate(lines)) + "\n"
    run("gnuplot", "-", input=script)
