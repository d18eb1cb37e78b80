"""What a training says at its start."""

from pathlib import Path

import pytest
import spacy

from conll_ner.training import loop
from tests.token_ner.support import uncased


@pytest.mark.parametrize("case", [None, False])
def test_a_training_says_at_its_start_that_an_export_would_fail(
    tiny_backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: bool | None
) -> None:
    model = {"name": str(uncased(tiny_backbone, tmp_path / "uncased")), "case_embedding": case}
    nlp = spacy.blank("en")
    architecture = "conll_ner.WindowedTransformer.v1"
    nlp.add_pipe("transformer", config={"model": {"@architectures": architecture, **model}})
    nlp.initialize()
    loop.name_unexportable(nlp)
    assert ("to export the pipeline to Hugging Face" in capsys.readouterr().out) == (case is None)
