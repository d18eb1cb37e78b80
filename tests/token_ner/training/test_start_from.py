"""A training that starts from a trained pipeline's weights."""

from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.training import Example

from conll_ner.data.fetching.backbones import save_backbone
from tests.token_ner.component_helpers import TEXTS, add_backbone, make_trained, mentions
from tests.token_ner.support import uncased
from token_ner.training.start_from import create_start_from

NEW: tuple[str, dict[str, Any]] = ("Oslo grew.", {"entities": [(0, 4, "TOWN")]})


def initialized(backbone: Path) -> Language:
    """A pipeline with one more type than `make_trained`, not trained."""
    nlp = spacy.blank("en")
    add_backbone(nlp, backbone, window=64)
    nlp.add_pipe("token_ner")
    examples = [Example.from_dict(nlp.make_doc(text), gold) for text, gold in [*TEXTS, NEW]]
    nlp.initialize(lambda: examples)
    return nlp


@pytest.mark.parametrize("case", ["cased", "uncased"])
def test_all_weights_and_the_rows_of_known_labels_are_copied(
    case: str, tiny_backbone: Path, tmp_path: Path
) -> None:
    backbone = uncased(tiny_backbone, tmp_path / "b") if case == "uncased" else tiny_backbone
    trained, _ = make_trained(backbone)
    trained.to_disk(tmp_path / "trained")
    nlp = initialized(backbone)
    heads: list[Any] = [each.get_pipe("token_ner") for each in (nlp, trained)]
    transformers: list[Any] = [each.get_pipe("transformer") for each in (nlp, trained)]
    head, old_head = heads
    output = head.model.get_ref("output")
    random = output.get_param("W").copy()
    assert create_start_from(tmp_path / "trained")(nlp) is nlp

    states = [each.model.shims[0]._model.state_dict() for each in transformers]
    assert all(bool((states[0][name] == states[1][name]).all()) for name in states[1])
    assert ("case_embedding.weight" in states[0]) == (case == "uncased")
    old_labels, labels = old_head.word_labels, head.word_labels
    assert {"B-TOWN", "I-TOWN"} == set(labels) - set(old_labels)
    weights = old_head.model.get_ref("output").get_param("W")
    for row, label in enumerate(labels):
        expected = weights[old_labels.index(label)] if label in old_labels else random[row]
        numpy.testing.assert_array_equal(output.get_param("W")[row], expected)


def test_the_same_types_give_the_same_mentions(tiny_backbone: Path, tmp_path: Path) -> None:
    trained, _ = make_trained(tiny_backbone)
    trained.to_disk(tmp_path / "trained")
    nlp = spacy.blank("en")
    add_backbone(nlp, tiny_backbone, window=64)
    nlp.add_pipe("token_ner")
    nlp.initialize(lambda: [Example.from_dict(nlp.make_doc(text), gold) for text, gold in TEXTS])
    text = TEXTS[0][0]
    before = mentions(nlp(text))
    assert create_start_from()(nlp) is nlp
    assert mentions(nlp(text)) == before  # without a pipeline, nothing changes
    create_start_from(tmp_path / "trained")(nlp)
    assert mentions(nlp(text)) == mentions(trained(text)) != before


def test_first_layers_of_a_larger_pipeline_are_copied(tiny_backbone: Path, tmp_path: Path) -> None:
    """One layer, from a pipeline of two."""
    save_backbone(tiny_backbone, tmp_path / "b", {"name": "tiny", "source": "folder"}, layers=1)
    trained, _ = make_trained(tiny_backbone)
    trained.to_disk(tmp_path / "trained")
    nlp = create_start_from(tmp_path / "trained")(initialized(tmp_path / "b"))
    transformers: list[Any] = [each.get_pipe("transformer") for each in (nlp, trained)]
    own, theirs = [each.model.shims[0]._model.state_dict() for each in transformers]
    assert len(own) < len(theirs)
    assert all(bool((own[name] == theirs[name]).all()) for name in own)
    nlp.to_disk(tmp_path / "small")
    with pytest.raises(ValueError, match="small has another backbone than this training"):
        create_start_from(tmp_path / "small")(initialized(tiny_backbone))


def test_another_backbone_is_named(tiny_backbone: Path, tmp_path: Path) -> None:
    make_trained(uncased(tiny_backbone, tmp_path / "b"))[0].to_disk(tmp_path / "trained")
    with pytest.raises(ValueError, match="trained has another backbone than this training"):
        create_start_from(tmp_path / "trained")(initialized(tiny_backbone))
    nlp = initialized(tiny_backbone)
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(ValueError, match="blank: to start from it, both pipelines need a trans"):
        create_start_from(tmp_path / "blank")(nlp)
