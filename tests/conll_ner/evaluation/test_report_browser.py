"""The report page in a real browser: many mistakes, dark mode, screen readers."""

from pathlib import Path
from typing import Any

import pytest

from conll_ner.evaluation import evaluate, report
from tests.conll_ner.evaluation.test_report import HOSTILE, browser, files, made  # noqa: F401

TIMES = 25  # the corpus of two mistakes, repeated


@pytest.fixture
def page(made: Path, browser: Any) -> Any:  # noqa: F811
    """The report of 50 mistakes."""
    Path("dev.txt").write_text("\n\n".join([HOSTILE] * TIMES), encoding="utf-8")
    evaluate.main("rules", [Path("dev.txt")], Path("run.json"), predictions=Path("run"))
    report.main(Path("run.json"), Path("report.html"), Path("run"))
    opened = browser.new_page(viewport={"width": 390, "height": 900})
    opened.goto((made / "report.html").as_uri())
    return opened


@pytest.mark.slow
def test_report_shows_twenty_mistakes_at_a_time(page: Any) -> None:
    shown = page.locator(".mistake:not([hidden])")
    more = page.get_by_role("button", name="show more mistakes")
    assert shown.count() == 20
    assert page.locator("output[name=count]").text_content() == "50 mistakes"
    more.click()
    assert shown.count() == 40
    more.click()
    assert shown.count() == 50
    assert not more.is_visible()
    page.select_option("select[name=kind]", "missed")  # from the first one on
    assert shown.count() == 20
    assert page.locator("output[name=count]").text_content() == "25 mistakes"


@pytest.mark.slow
def test_report_has_the_browsers_colours_also_in_charts(page: Any) -> None:
    def color(selector: str, name: str) -> str:
        script = "([s, n]) => getComputedStyle(document.querySelector(s))[n]"
        return str(page.evaluate(script, [selector, name]))

    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found.append(
            [
                color("body", "backgroundColor"),
                color("body", "color"),
                color("figure text", "fill"),
                color("polyline", "stroke"),
            ]
        )
    assert all(light != dark for light, dark in zip(*found, strict=True))
    assert color("figure text", "fontFamily") == color("body", "fontFamily")


@pytest.mark.slow
def test_report_charts_have_labels_that_do_not_collide(page: Any) -> None:
    script = """svg => [...svg.querySelectorAll("text")].map(text => {
      const box = text.getBoundingClientRect();
      return [box.left, box.top, box.right, box.bottom];
    })"""
    figures = page.query_selector_all("figure svg")
    assert len(figures) == 2
    for figure in figures:
        boxes = page.evaluate(script, figure)
        assert len(boxes) > 10
        for i, (left, top, right, bottom) in enumerate(boxes):
            for other in boxes[:i]:
                beside = left >= other[2] or other[0] >= right
                apart = beside or top >= other[3] or other[1] >= bottom
                assert apart, (boxes[i], other)


@pytest.mark.slow
def test_report_is_labelled_for_screen_readers(page: Any) -> None:
    for role, name in (
        ("combobox", "split"),
        ("slider", "minimum score"),
        ("navigation", "Parts of the page"),
        ("img", "dev: scores with a threshold"),
        ("table", "dev: gold types by predicted types"),
    ):
        assert page.get_by_role(role, name=name).count() == 1, name
