"""The page to try the service, as one response: nothing else is open without a token."""

from pathlib import Path

FOLDER = Path(__file__).with_name("web")
PARTS = ("page.css", "page.js", "files.js")  # page.html has a comment in the place of each


def read_page() -> str:
    """RETURNS (str): The page with its style and scripts."""
    page = (FOLDER / "page.html").read_text(encoding="utf-8")
    for name in PARTS:
        page = page.replace(f"/* {name} */\n", (FOLDER / name).read_text(encoding="utf-8"))
    return page
