"""The case embedding and the optimizer, against torch's own."""

from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from spacy.tokens import Doc
from spacy.util import registry
from spacy.vocab import Vocab
from thinc.api import Adam, Optimizer, RAdam

from tests.token_ner.support import WORDS, build, states_of, uncased


def test_case_embedding_where_the_tokenizer_drops_case(
    tiny_backbone: Path, tiny_roberta: Path, tmp_path: Path
) -> None:
    lower = uncased(tiny_backbone, tmp_path / "uncased")
    for backbone, setting, expected in [
        (lower, None, True),
        (lower, False, False),
        (tiny_backbone, None, False),
        (tiny_backbone, True, True),
        (tiny_roberta, None, False),
    ]:
        transformer = build(backbone, case_embedding=setting).shims[0]._model
        assert hasattr(transformer, "case_embedding") is expected


@pytest.mark.parametrize("family", ["tiny_backbone", "tiny_roberta"])
def test_case_embedding_changes_nothing_before_it_has_learnt(
    family: str, vocab: Vocab, request: pytest.FixtureRequest
) -> None:
    """Words of several lengths and windows, so that padding and positions count too."""
    backbone = request.getfixturevalue(family)
    docs = [Doc(vocab, words=WORDS * 3), Doc(vocab, words=WORDS[:2])]
    plain, told = (
        build(backbone, case_embedding=setting, window=40).predict(docs)
        for setting in (False, True)
    )
    for a, b in zip(plain.doc_data, told.doc_data, strict=True):
        numpy.testing.assert_allclose(
            a.model_output.last_hidden_state, b.model_output.last_hidden_state, atol=1e-5
        )


def test_case_embedding_tells_words_apart_that_are_one_to_the_tokenizer(
    tiny_backbone: Path, tmp_path: Path, vocab: Vocab
) -> None:
    lower = uncased(tiny_backbone, tmp_path / "uncased")
    blind = build(lower, case_embedding=False)
    told = build(lower)
    torch.nn.init.normal_(told.shims[0]._model.case_embedding.weight)
    words = ["ada", "left"]
    for others, are_equal in ((["Ada", "left"], False), (words, True)):
        assert numpy.array_equal(states_of(blind, vocab, words), states_of(blind, vocab, others))
        same = numpy.allclose(states_of(told, vocab, words), states_of(told, vocab, others))
        assert same is are_equal


def test_case_embedding_is_trained_and_saved(tiny_backbone: Path, vocab: Vocab) -> None:
    model = build(tiny_backbone, case_embedding=True)
    output, backprop = model.begin_update([Doc(vocab, words=WORDS)])
    gradient = numpy.ones_like(output.doc_data[0].model_output.last_hidden_state)
    gradient[:, ::2] = -1
    backprop(output.unsplit_by_doc([[gradient]]))
    model.finish_update(Adam(0.01, use_averages=False))
    weights = model.shims[0]._model.case_embedding.weight
    # WORDS has lower, Title and no single letter, UPPER or mixed word.
    assert [bool(row.any()) for row in weights] == [True, True, False, False, False]
    build_model = registry.architectures.get("conll_ner.WindowedTransformer.v1")
    loaded = build_model(name="x", precision="float32").from_bytes(model.to_bytes())
    assert torch.equal(loaded.shims[0]._model.case_embedding.weight, weights)
    numpy.testing.assert_array_equal(
        states_of(loaded, vocab, WORDS), states_of(model, vocab, WORDS)
    )


def test_case_embedding_has_its_own_learning_rate(tiny_backbone: Path, vocab: Vocab) -> None:
    """The first step of Adam is in proportion to the learning rate."""
    steps = []
    for factor in (1.0, 20.0):
        model = build(tiny_backbone, case_embedding=True, case_learn_rate_factor=factor)
        output, backprop = model.begin_update([Doc(vocab, words=WORDS)])
        gradient = numpy.ones_like(output.doc_data[0].model_output.last_hidden_state)
        gradient[:, ::2] = -1
        backprop(output.unsplit_by_doc([[gradient]]))
        transformer = model.shims[0]._model
        others = {n: p.detach().clone() for n, p in transformer.named_parameters()}
        model.finish_update(Adam(0.001, use_averages=False, L2=0.0))
        moved = {n: (p - others[n]).abs().max().item() for n, p in transformer.named_parameters()}
        steps.append(moved)
    for name, moved in steps[0].items():
        factor = 20.0 if name == "case_embedding.weight" else 1.0
        assert steps[1][name] == pytest.approx(factor * moved, rel=1e-3), name


def one_update(backbone: Path, vocab: Vocab, optimizer: Optimizer) -> tuple[Any, Any]:
    """RETURNS: Parameters before and after an update, with their gradients."""
    model = build(backbone)
    output, backprop = model.begin_update([Doc(vocab, words=WORDS)])
    gradient = numpy.ones_like(output.doc_data[0].model_output.last_hidden_state)
    backprop(output.unsplit_by_doc([[gradient]]))
    parameters = dict(model.shims[0]._model.named_parameters())
    before = {n: (p.detach().clone(), p.grad) for n, p in parameters.items()}
    before = {n: (p, None if g is None else g.clone()) for n, (p, g) in before.items()}
    model.finish_update(optimizer)
    return before, {n: p.detach() for n, p in parameters.items()}


def test_optimizer_is_adamw_without_decay_of_biases_and_norms(
    tiny_backbone: Path, vocab: Vocab
) -> None:
    """The first step of Adam is the sign of the gradient times the rate; what is more is
    decay (Loshchilov & Hutter 2019)."""
    rate, decay = 0.01, 0.1
    optimizer = Adam(rate, L2=decay, L2_is_weight_decay=True, use_averages=False, grad_clip=0.0)
    before, after = one_update(tiny_backbone, vocab, optimizer)
    for name, (weights, gradient) in before.items():
        assert gradient is not None
        decayed = weights * (1 - rate * decay) if weights.ndim >= 2 else weights
        large = gradient.abs() > 1e-4  # below, Adam's epsilon tells
        expected = decayed - rate * gradient.sign()
        torch.testing.assert_close(after[name][large], expected[large], atol=1e-5, rtol=0)


def test_optimizer_clips_by_the_norm_of_all(tiny_backbone: Path, vocab: Vocab) -> None:
    """Adam's first step doesn't depend on the gradient's size but for epsilon: one far larger
    than the clipped gradients makes the step proportional to them."""
    steps = []
    for clip in (0.5, 1.0):
        optimizer = Adam(0.01, L2=0.0, use_averages=False, grad_clip=clip, eps=1e3)
        before, after = one_update(tiny_backbone, vocab, optimizer)
        gradients = [g for _, g in before.values() if g is not None]
        assert len(gradients) == len(before)  # no weight that nothing looks at, as a pooler's
        norm = torch.stack([g.norm() for g in gradients]).norm()
        assert norm > 1
        steps.append(torch.cat([(after[n] - w).flatten() for n, (w, _) in before.items()]))
    torch.testing.assert_close(2 * steps[0].norm(), steps[1].norm(), rtol=0.01, atol=0)


@pytest.mark.parametrize("averages", [False, True])
def test_optimizer_others_are_thincs(tiny_backbone: Path, vocab: Vocab, averages: bool) -> None:
    build_optimizer = Adam if averages else RAdam
    before, after = one_update(tiny_backbone, vocab, build_optimizer(0.01, use_averages=averages))
    name = "encoder.layer.0.output.dense.weight"
    assert not torch.equal(before[name][0], after[name])


def test_optimizer_trains_on_after_loading(tiny_backbone: Path, vocab: Vocab) -> None:
    """The state of AdamW belongs to parameters: new ones get a new state."""
    model = build(tiny_backbone)
    optimizer = Adam(0.01, use_averages=False)
    states = []
    for _ in range(2):
        output, backprop = model.begin_update([Doc(vocab, words=WORDS)])
        states.append(output.doc_data[0].model_output.last_hidden_state)
        backprop(output.unsplit_by_doc([[numpy.ones_like(states[-1])]]))
        model.finish_update(optimizer)
        model.from_bytes(model.to_bytes())
    after = model.predict([Doc(vocab, words=WORDS)]).doc_data[0].model_output.last_hidden_state
    assert not numpy.allclose(states[0], states[1])
    assert not numpy.allclose(states[1], after)
