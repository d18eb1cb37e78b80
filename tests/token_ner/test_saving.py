"""Large models are saved as thinc saves them, with less memory."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import srsly
from hypothesis import given
from hypothesis import strategies as st
from spacy.vocab import Vocab

from tests.token_ner.support import WORDS, build, states_of
from token_ner.saving import write_blob, write_map

VALUES = st.one_of(st.integers(-5, 5), st.binary(), st.lists(st.text()))


@given(
    values=st.dictionaries(st.text(max_size=5), VALUES, max_size=20),
    blob=st.binary(max_size=300),
)
def test_maps_are_written_as_by_msgpack(values: dict[str, Any], blob: bytes) -> None:
    file = io.BytesIO()
    write_map(
        file,
        values | {"blob": None},
        {"blob": lambda target: write_blob(target, lambda inner: inner.write(blob))},
    )
    assert srsly.msgpack_loads(file.getvalue()) == values | {"blob": blob}


def test_a_model_on_disk_is_that_of_to_bytes(
    tiny_backbone: Path, vocab: Vocab, tmp_path: Path
) -> None:
    model = build(tiny_backbone)
    model.to_disk(tmp_path / "model")
    one, other = (
        srsly.msgpack_loads(data) for data in ((tmp_path / "model").read_bytes(), model.to_bytes())
    )
    assert one == other
    assert len(one["shims"][0][0]) > 10_000
    loaded = build(tiny_backbone).from_disk(tmp_path / "model")
    numpy.testing.assert_array_equal(
        states_of(loaded, vocab, WORDS), states_of(model, vocab, WORDS)
    )


def test_weights_beyond_the_limit_of_msgpack_are_an_error() -> None:
    class Large(io.BytesIO):
        def tell(self) -> int:
            return super().tell() * 2**30

    with pytest.raises(OverflowError, match="msgpack's limit is 4 GiB"):
        write_blob(Large(), lambda file: file.write(b"weights"))


PROGRAM = """
import resource, sys
from pathlib import Path
import torch
from spacy.util import registry
import token_ner
model = registry.architectures.get("conll_ner.WindowedTransformer.v1")(name=sys.argv[1])
model.initialize()
model.shims[0]._model.large = torch.nn.Parameter(torch.ones(200, 2**18))  # 200 MiB
model.to_disk(sys.argv[2])  # a first time, for what it imports
def mib(name):
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(name))
    return int(line.split()[1]) / 1024
before = mib("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # resets the peak
model.to_disk(sys.argv[2])
print(mib("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_saving_needs_one_copy_of_the_weights(tiny_backbone: Path, tmp_path: Path) -> None:
    """As thinc and HFShim save them, it was three."""
    command = [sys.executable, "-c", PROGRAM, tiny_backbone, tmp_path / "model"]
    result = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 1.5 * 200
