"""Tables in Markdown, and texts of strangers in it, such as names of labels in a model card."""

import re
from collections.abc import Iterable, Sequence

# Punctuation that CommonMark, or GitHub's and PyPI's dialects of it, read as more than itself;
# underscores only at the edges of words (https://spec.commonmark.org/0.31.2/#backslash-escapes).
MARKUP = re.compile(r"[\\`*{}\[\]<>|~&$]|^[-+#]|(?<![^\W_])_|_(?![^\W_])")


def escape_markdown(text: object) -> str:
    """RETURNS (str): A text of one line that shows in Markdown, also in a cell of a table, as it
    is: neither Markdown nor HTML."""
    return MARKUP.sub(r"\\\g<0>", " ".join(str(text).split()))


def join_rows(rows: Iterable[Sequence[str]]) -> str:
    """RETURNS (str): The lines of Markdown tables; a row without cells is the empty line between
    two."""
    return "\n".join(f"| {' | '.join(row)} |" if row else "" for row in rows)
