"""Charts show labels as they are."""

from matplotlib import rc_context

from conll_ner.evaluation.report_page.charts import (
    STYLE,
    draw_confusion,
    draw_types,
    to_png,
    to_svg,
)


def test_labels_are_not_read_as_formulas() -> None:
    types = ["$\\frac{$", "$x^2$", "a_b", "<b>"]
    scores = {"conlleval": {"types": {t: {"f1": 0.5} for t in types}, "overall": {"f1": 0.5}}}
    matrix = {"types": types, "counts": [[1] * 5] * 5}
    with rc_context(STYLE):
        figures = [
            draw_types({"dev": scores | {"f1_interval": None}}),
            draw_confusion(matrix, "Confusion"),
        ]
    for figure in figures:
        svg = to_svg(figure)
        for shown in ("$\\frac{$", "$x^2$", "a_b", "&lt;b&gt;"):
            assert f">{shown}</text>" in svg
        assert to_png(figure).startswith(b"\x89PNG")
