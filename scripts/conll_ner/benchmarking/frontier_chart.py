"""The table and the chart of the frontier."""

from pathlib import Path
from typing import Any

from conll_ner.common.markdown import escape_markdown, join_rows

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "svg.fonttype": "none",  # keep text as text: smaller, searchable, accessible
    "svg.hashsalt": "report",  # same input, same file
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # names with "$" are text
}
HEADER = ["", "F1", "words/s", "MB", "MiB at the first text", "at most", "s to the first text"]


def format_frontier(systems: dict[str, dict[str, Any]]) -> str:
    """RETURNS (str): A Markdown table, the most accurate first."""
    lines = [HEADER, ["---", *["---:"] * (len(HEADER) - 1)]]
    for name, row in sorted(systems.items(), key=lambda pair: -pair[1]["f1"]):
        lines.append(
            [
                escape_markdown(name),
                f"{100 * row['f1']:.2f}",
                f"{row['words_per_second']:,}",
                f"{row['megabytes']:,.1f}",
                f"{row['first_text_memory_mb']:,.0f}",
                f"{row['peak_memory_mb']:,.0f}",
                f"{row['first_text_seconds']:.1f}",
            ]
        )
    return join_rows(lines)


def draw_frontier(systems: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw F1 against words per second, as SVG; the line joins the systems that no other one beats
    in both."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    points = {name: (row["words_per_second"], 100 * row["f1"]) for name, row in systems.items()}
    with rc_context(STYLE):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot()
        for name, point in points.items():
            axes.plot(*point, "o", color="#2563eb")
            axes.annotate(name, point, xytext=(5, 4), textcoords="offset points", fontsize=8)
        best = best_points(list(points.values()))
        axes.plot(*zip(*best, strict=True), color="#93c5fd", zorder=0)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.0f}")  # matplotlib's own one writes formulas
        axes.margins(x=0.25, y=0.1)
        axes.set_xlabel("words per second")
        axes.set_ylabel("F1, %")
        axes.grid(alpha=0.3)
        figure.savefig(path, format="svg", metadata={"Date": None})


def best_points(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """RETURNS (list[tuple[float, float]]): The points that no other one reaches in both, from the
    fastest to the slowest."""
    best: list[tuple[float, float]] = []
    for point in sorted(points, reverse=True):
        if not best or point[1] > best[-1][1]:
            best.append(point)
    return best
