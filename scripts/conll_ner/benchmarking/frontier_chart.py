"""The table and the chart of the frontier."""

from pathlib import Path
from typing import Any

from conll_ner.benchmarking.frontier_systems import CHECKPOINT_KINDS, FULL, OTHER, SLIM, TRANSITION
from conll_ner.common.markdown import escape_markdown, join_rows

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "svg.fonttype": "none",  # keep text as text: smaller, searchable, accessible
    "svg.hashsalt": "report",  # same input, same file
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # names with "$" are text
}
# Colour and mark by kind. Only points of the labelled kinds have the model's name beside them: the
# others are usually of the same models, at the same F1.
MARKS = {
    SLIM: ("#2563eb", "o"),
    FULL: ("#60a5fa", "s"),
    TRANSITION: ("#d97706", "D"),
    OTHER: ("#d97706", "P"),
    **dict(zip(CHECKPOINT_KINDS, [("#6b7280", mark) for mark in "v^<>"], strict=True)),
}
LABELLED = (SLIM, TRANSITION, OTHER)
HEADER = [
    *("", "F1", "words/s", "rounds", "MB"),
    *("MiB at the first text", "at most", "s to the first text"),
]


def format_frontier(systems: dict[str, dict[str, Any]]) -> str:
    """RETURNS (str): A Markdown table, the most accurate first."""
    lines = [HEADER, ["---", *["---:"] * (len(HEADER) - 1)]]
    for name, row in sorted(systems.items(), key=lambda pair: -pair[1]["f1"]):
        lines.append(
            [
                escape_markdown(name),
                f"{100 * row['f1']:.2f}",
                f"{row['words_per_second']:,}",
                f"{min(row['rounds']):,} to {max(row['rounds']):,}",
                f"{row['megabytes']:,.1f}",
                f"{row['first_text_memory_mb']:,.0f}",
                f"{row['peak_memory_mb']:,.0f}",
                f"{row['first_text_seconds']:.1f}",
            ]
        )
    return join_rows(lines)


def draw_frontier(systems: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw F1 against words per second, as SVG; the line joins the systems that no other one beats
    in both. A point's label is the model, its mark the way to run it."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    with rc_context(STYLE):
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.add_subplot()
        best = best_points([place(row) for row in systems.values()])
        axes.plot(*zip(*best, strict=True), color="#93c5fd", zorder=0)
        for kind, (color, mark) in MARKS.items():
            rows = [row for row in systems.values() if row["kind"] == kind]
            if rows:
                speeds, f1 = zip(*(place(row) for row in rows), strict=True)
                axes.plot(speeds, f1, mark, color=color, label=kind)
        for row in systems.values():
            if row["kind"] not in LABELLED:
                continue
            # The line falls to the right: beside its points there is room above, else below.
            on_line = place(row) in best
            axes.annotate(
                row["model"].replace(", ", "\n", 1),
                place(row),
                xytext=(4, 4) if on_line else (0, -7),
                textcoords="offset points",
                ha="left" if on_line else "center",
                va="bottom" if on_line else "top",
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:,.0f}")  # matplotlib's own one writes formulas
        axes.margins(x=0.15, y=0.15)
        axes.set_xlabel("words per second")
        axes.set_ylabel("F1, %")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)  # where the fewest marks are
        figure.savefig(path, format="svg", metadata={"Date": None})


def place(row: dict[str, Any]) -> tuple[float, float]:
    """RETURNS (tuple[float, float]): Where a system is in the chart."""
    return row["words_per_second"], 100 * row["f1"]


def best_points(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """RETURNS (list[tuple[float, float]]): The points that no other one reaches in both, from the
    fastest to the slowest."""
    best: list[tuple[float, float]] = []
    for point in sorted(points, reverse=True):
        if not best or point[1] > best[-1][1]:
            best.append(point)
    return best
