"""The Jinja templates of the pages."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup


def percent(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{100 * value:.2f}"


def count(number: int) -> str:
    return f"{number:,}"


def render(template: str, **values: Any) -> str:
    """RETURNS (str): A page. Text is escaped, unless the filter `markup` says that it is HTML."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "percent": percent,
        "count": count,
        "markup": Markup,
    }
    environment.filters.update(filters)
    return environment.get_template(template).render(**values)
