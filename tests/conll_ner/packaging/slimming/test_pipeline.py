"""What can be made slim, what is kept, and that a wrong export is refused."""

import pickle
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from conll_ner.common.console import InputError
from conll_ner.huggingface.importing import import_checkpoint
from conll_ner.packaging.slimming.comparing import check_export
from conll_ner.packaging.slimming.pipeline import assemble, make_slim
from conll_ner.packaging.slimming.source import find_source
from tests.hf_helpers import FAMILIES, make_checkpoint
from tests.token_ner.component_helpers import make_trained, mentions
from tests.token_ner.support import uncased
from token_ner import Calibration
from token_ner.onnx_model.onnx_shim import OnnxClassifier, create_session

BUILT_AS_OTHERS = {"camembert", "ernie", "megatron-bert", "rembert"}
TEXTS = ["Ada Lindqvist left Varnholm.", "The Norden Bank fell.\n\nNothing else did. " * 30]


def classifier_of(slim_pipeline: Path) -> OnnxClassifier:
    head: Any = spacy.load(slim_pipeline).get_pipe("token_ner")
    classifier: OnnxClassifier = head.model.shims[0].classifier
    return classifier


def float32(nlp: Language, folder: Path) -> Language:
    """RETURNS (Language): The pipeline with the transformer in float32, saved and loaded."""
    nlp.to_disk(folder)
    name = "token_ner.model.tok2vec" if "transformer" not in nlp.pipe_names else "transformer.model"
    return spacy.load(folder, config={f"components.{name}.precision": "float32"})


def check_same(nlp: Language, slim: Language) -> None:
    """The same mentions, with the same scores."""
    for text in TEXTS:
        expected, found = (mentions(pipeline(text)) for pipeline in (nlp, slim))
        assert [m[:3] for m in found] == [m[:3] for m in expected] != []
        assert [m[3] for m in found] == pytest.approx([m[3] for m in expected], abs=1e-3)


def slimmed(nlp: Language) -> Language:
    return make_slim(nlp, find_source(nlp, "it"), "it", "float32")


@pytest.mark.slow
# transformers calls it when DeBERTa is imported.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("family", sorted(set(FAMILIES) - BUILT_AS_OTHERS))
def test_slim_families_give_the_mentions_of_torch(family: str, tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "checkpoint", family)
    nlp = float32(import_checkpoint(str(checkpoint)), tmp_path / "pipeline")
    slim = slimmed(nlp)
    check_same(nlp, slim)
    # MobileBERT has no layer normalization, so that differences grow.
    limit = 1e-3 if family == "mobilebert" else 1e-4
    assert slim.meta["slim"]["export_difference"] < limit


@pytest.mark.slow
def test_slim_letter_case_vectors_and_calibration_travel(
    tiny_backbone: Path, tmp_path: Path
) -> None:
    """Also for a head with its own transformer."""
    nlp, _ = make_trained(uncased(tiny_backbone, tmp_path / "backbone"))
    transformer: Any = nlp.get_pipe("transformer")
    weight = transformer.model.shims[0]._model.case_embedding.weight
    assert weight.abs().max() > 0
    head: Any = nlp.get_pipe("token_ner")
    head.cfg["calibration"] = Calibration(0.5, -1.0).to_settings()
    slim = slimmed(nlp)
    check_same(nlp, slim)
    assert [e.text for e in slim("ada lindqvist").ents] == [
        e.text for e in nlp("ada lindqvist").ents
    ]
    nlp.replace_listeners("transformer", "token_ner", ["model.tok2vec"])
    nlp.remove_pipe("transformer")
    assert find_source(nlp, "it").dropped is None
    own = slimmed(nlp)
    assert own.pipe_names == ["token_ner"]
    check_same(nlp, own)


def test_slim_pipeline_truecases_as_torch(
    pipeline: Path, slim_pipeline: Path, tmp_path: Path
) -> None:
    """Saved, as bytes and pickled too; the config switches it off."""
    settings = {"precision": "float32", "truecase": None}
    nlp = spacy.load(pipeline, config={"components": {"transformer": {"model": settings}}})
    transformer: Any = nlp.get_pipe("transformer")
    words = ["He", "left", "the", "Norden", "Bank", "of", "Varnholm"]
    transformer.model.attrs["truecaser"].collect([Doc(nlp.vocab, words=words)])
    slim = assemble(nlp, find_source(nlp, "it"), classifier_of(slim_pipeline))
    slim.to_disk(tmp_path)
    text = "THE NORDEN BANK OF VARNHOLM FELL. The Norden did."
    expected = mentions(nlp(text))
    on = {"components.token_ner.model.truecase": None}
    from_bytes = spacy.load(slim_pipeline, config=on).from_bytes(slim.to_bytes())
    pickled = pickle.loads(pickle.dumps(slim))
    for copy in (slim, spacy.load(tmp_path), from_bytes, pickled):
        found = mentions(copy(text))
        assert [m[:3] for m in found] == [m[:3] for m in expected] != []
        assert [m[3] for m in found] == pytest.approx([m[3] for m in expected], abs=1e-4)
    off = spacy.load(tmp_path, config={"components.token_ner.model.truecase": False})
    as_it_is = mentions(off(text))
    assert as_it_is == mentions(spacy.load(slim_pipeline)(text)) != mentions(slim(text))


def test_slim_pipeline_keeps_other_components(pipeline: Path, slim_pipeline: Path) -> None:
    nlp = spacy.load(pipeline)
    first: Any = nlp.add_pipe("entity_ruler", name="before", before="transformer")
    first.add_patterns([{"label": "PRODUCT", "pattern": "Norden"}])
    last: Any = nlp.add_pipe("span_ruler", name="after")
    last.add_patterns([{"label": "ANY", "pattern": "fell"}])
    nlp.add_pipe("doc_cleaner")
    nlp.disable_pipe("doc_cleaner")
    nlp.meta["description"] = "mine"
    slim = assemble(nlp, find_source(nlp, "it"), classifier_of(slim_pipeline))
    names = ["sentencizer", "before", "token_ner", "after", "doc_cleaner"]
    assert slim.component_names == names
    assert slim.disabled == ["doc_cleaner"]
    assert slim.meta["description"] == "mine"
    with slim.select_pipes(disable="token_ner"):
        doc = slim("The Norden Bank fell.")
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("Norden", "PRODUCT")]
    assert [span.label_ for span in doc.spans["ruler"]] == ["ANY"]
    assert nlp.pipe_names == ["sentencizer", "before", "transformer", "token_ner", "after"]


def test_slim_pipeline_has_no_paths_of_the_training(pipeline: Path, slim_pipeline: Path) -> None:
    nlp = spacy.load(pipeline, config={"paths.train": "/home/someone/secret.spacy"})
    assert "secret" in nlp.config.to_str()
    slim = assemble(nlp, find_source(nlp, "it"), classifier_of(slim_pipeline))
    assert "secret" not in slim.config.to_str()
    assert "@annotation_setters" not in slim.config.to_str()


def test_slim_pipeline_has_no_paths_of_the_exporter(slim_pipeline: Path) -> None:
    graph = classifier_of(slim_pipeline).graph
    assert b"site-packages" not in graph
    assert b"stack_trace" not in graph


def test_slim_refuses_a_wrong_export(pipeline: Path, slim_pipeline: Path) -> None:
    """A right one is 1e-6 away."""
    session = create_session(classifier_of(slim_pipeline).graph, 1)
    source = find_source(spacy.load(pipeline), "it")
    assert check_export(source, session, "it") < 1e-4
    bias: Any = source.output.get_param("b")
    source.output.set_param("b", bias + numpy.float32(0.01) * numpy.arange(len(bias), dtype="f"))
    with pytest.raises(InputError, match=r"^it: the exported model's logits differ .* by 0\.0"):
        check_export(source, session, "it")


def with_tagger(nlp: Language) -> None:
    listener = {"@architectures": "spacy-transformers.TransformerListener.v1"}
    pooling = {"@layers": "reduce_mean.v1"}
    tok2vec = listener | {"grad_factor": 1.0, "pooling": pooling, "upstream": "*"}
    tagger: Any = nlp.add_pipe(
        "tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": tok2vec}}
    )
    tagger.add_label("NOUN")


def with_second(nlp: Language) -> None:
    nlp.add_pipe("token_ner", name="second")


@pytest.mark.parametrize(
    "change, message",
    [
        (with_tagger, "it: tagger can't be made slim: only token_ner runs without torch"),
        (with_second, "it has 2 token_ner components; a slim pipeline has one"),
        (lambda nlp: nlp.remove_pipe("token_ner"), "it has 0 token_ner components"),
        (
            lambda nlp: nlp.remove_pipe("transformer"),
            "token_ner isn't a linear layer on a Windowed",
        ),
    ],
)
def test_slim_refuses_what_it_can_not_turn(pipeline: Path, change: Any, message: str) -> None:
    nlp = spacy.load(pipeline)
    change(nlp)
    with pytest.raises(InputError, match=message):
        find_source(nlp, "it")


def test_slim_refuses_a_slim_pipeline(slim_pipeline: Path) -> None:
    with pytest.raises(InputError, match="it is a slim pipeline already"):
        find_source(spacy.load(slim_pipeline), "it")
