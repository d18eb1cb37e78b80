"""Damaged pipelines: one line that names a file or the folder, or a pipeline that works; the table
of docs/reliability.md."""

import json
import random
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import srsly
from spacy.language import Language

from conll_ner.common.console import InputError
from conll_ner.common.pipelines import load_pipeline
from conll_ner.prediction.annotating import annotate_texts
from tests.mutation_helpers import mutate

pytestmark = pytest.mark.stress
Record = Callable[[str, str, str], None]
SECONDS = 120  # limit of each loop, for --stress 1
TEXTS = ["Ada Lindqvist left Varnholm.", "", "The NORDEN Bank fell.\n" * 20, "\u4e2d\u00e9 x" * 9]
VALUES: list[Any] = [
    *(None, True, -1, 0, 1, 2**31, 2**63 - 1, 0.5, float("nan"), "", "x", "/etc/passwd", b"", b"x"),
    *([], [0], ["x"], [None], [0.0] * 9, {}, {"x": 1}, "..", "float16", [[]]),
]


def replace_value(saved: Any, rng: random.Random) -> Any:
    """RETURNS (Any): What msgpack or JSON holds, with another value in one place."""
    places: list[tuple[Any, Any]] = []
    todo = [saved]
    while todo:
        part = todo.pop()
        if isinstance(part, dict | list):
            pairs = [*(part.items() if isinstance(part, dict) else enumerate(part))]
            places += [(part, key) for key, _ in pairs]
            todo += [value for _, value in pairs[:50]]
    if not places:
        return rng.choice(VALUES)
    part, key = rng.choice(places)
    if rng.random() < 0.2:
        del part[key]
    else:
        part[key] = rng.choice(VALUES)
    return saved


def damage_values(data: bytes, name: str, rng: random.Random) -> bytes:
    """RETURNS (bytes): A file with another value somewhere; a model also within its shim."""
    if name.endswith(("json", "cfg")):
        return json.dumps(replace_value(json.loads(data), rng), default=str).encode()
    saved = srsly.msgpack_loads(data)
    shims = [s for s in saved.get("shims", ()) if s] if isinstance(saved, dict) else []
    if shims and rng.random() < 0.7:
        inner = srsly.msgpack_loads(shims[0][0])
        shims[0][0] = srsly.msgpack_dumps(replace_value(inner, rng))
        return bytes(srsly.msgpack_dumps(saved))
    return bytes(srsly.msgpack_dumps(replace_value(saved, rng)))


def damage(path: Path, rng: random.Random) -> None:
    """Delete a file, or change it: any bytes, or values of what it holds."""
    data = path.read_bytes()
    kind = rng.random()
    is_map = path.name in ("cfg", "meta.json", "model", "tokenizer", "strings.json")
    if kind < 0.03:
        path.unlink()
    elif kind < 0.5 and is_map:
        path.write_bytes(damage_values(data, path.name, rng))
    elif kind < 0.6:
        path.write_bytes(data[: rng.randrange(len(data) + 1)])
    else:
        path.write_bytes(mutate(data, rng))


def works(nlp: Language) -> bool:
    """RETURNS (bool): Whether a pipeline annotates texts; False if a wordpiece's weights aren't
    finite, which commands print as one line when they first meet it."""
    try:
        for doc in annotate_texts(nlp, TEXTS, ()):
            assert all(ent.text.strip() == ent.text != "" for ent in doc.ents)
    except FloatingPointError as error:
        assert len(str(error).splitlines()) == 1
        return False
    return True


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["torch", "slim"])
def test_mutated_pipelines(
    pipeline: Path, slim_pipeline: Path, tmp_path: Path, stress: int, record: Record, kind: str
) -> None:
    rng = random.Random(f"{kind} {stress}")
    folder = shutil.copytree(pipeline if kind == "torch" else slim_pipeline, tmp_path / "pipeline")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    # The recogniser's own files, and those that everything depends on, more often than the rest.
    files += [path for path in files if "vocab" not in path.parts] * 4
    refused = count = 0
    deadline = time.monotonic() + SECONDS * stress
    while time.monotonic() < deadline and count < 10_000:
        count += 1
        path = rng.choice(files)
        data = path.read_bytes()
        damage(path, rng)
        try:
            with warnings.catch_warnings():
                nlp = load_pipeline(str(folder))
        except InputError as error:
            assert not {"\n", "\r"} & set(str(error)), path
            assert str(folder) in str(error)
            refused += 1
        else:
            refused += not works(nlp)
        path.write_bytes(data)
    assert 0 < refused < count
    result = f"{refused:,} refused with one line, others work; no other error"
    record(f"mutated {kind} pipelines", f"{count:,} folders", result)
