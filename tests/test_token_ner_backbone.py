"""Windows, wordpieces and the transformer, against the Hugging Face model's own outputs."""

import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.util import registry
from spacy.vocab import Vocab
from thinc.api import Adam, Model, Optimizer, RAdam
from transformers.modeling_outputs import BaseModelOutput

from tests.conftest import ROOT
from token_ner import (
    N_CASES,
    PAD_MULTIPLE,
    Window,
    Windowing,
    Wordpieces,
    batch_windows,
    cut,
    forward_first_wordpiece,
    has_bfloat16,
    letter_case,
    make_windows,
    special_tokens,
    tokenize,
)

WORDS = ["Ada", "Lindqvist", "left", "Varnholm", ".", "\n", "The", "Norden", "Bank", "fell", "."]
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def build(backbone: Path, **settings: Any) -> Model[list[Doc], Any]:
    settings = {"precision": "float32", "transformer_config": NO_DROPOUT} | settings
    build_model = registry.architectures.get("conll_ner.WindowedTransformer.v1")
    model: Model[list[Doc], Any] = build_model(name=str(backbone), **settings)
    model.initialize()
    return model


@pytest.fixture
def tokenizer(tiny_backbone: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(tiny_backbone)


def hugging_face_states(backbone: Path, words: list[str]) -> numpy.ndarray:
    """Last hidden states of the words' wordpieces, by transformers alone."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(backbone, add_prefix_space=True)
    model = transformers.AutoModel.from_pretrained(backbone).eval()
    inputs = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        states = model(**inputs).last_hidden_state[0]
    chosen = [i for i, word in enumerate(inputs.word_ids()) if word is not None]
    return states[chosen].numpy()  # type: ignore[no-any-return]


@pytest.mark.parametrize("family", ["tiny_backbone", "tiny_roberta"])
def test_transformer_equals_hugging_face(
    family: str, vocab: Vocab, request: pytest.FixtureRequest
) -> None:
    backbone = request.getfixturevalue(family)
    docs = [Doc(vocab, words=WORDS), Doc(vocab, words=WORDS[:2])]
    for doc, data in zip(docs, build(backbone).predict(docs).doc_data, strict=True):
        expected = hugging_face_states(backbone, [token.text for token in doc])
        states = data.model_output.last_hidden_state
        assert states.shape == (1, *expected.shape)
        numpy.testing.assert_allclose(states[0], expected, atol=1e-5)


def test_transformer_aligns_words_with_their_wordpieces(tiny_backbone: Path, vocab: Vocab) -> None:
    (data,) = build(tiny_backbone).predict([Doc(vocab, words=["Ada", "\n", "x"])]).doc_data
    assert data.wordpieces.strings == [["A", "##d", "##a", "x"]]
    assert data.align.lengths.tolist() == [3, 0, 1]
    assert data.align.dataXd.tolist() == [0, 1, 2, 3]


def test_transformer_windows_are_read_apart(tiny_backbone: Path, vocab: Vocab) -> None:
    """Without context, what is in a window is all that its words know."""
    model = build(tiny_backbone, window=6)  # four wordpieces and two special tokens
    (data,) = model.predict([Doc(vocab, words=list("abcdefgh"))]).doc_data
    parts = [hugging_face_states(tiny_backbone, list(part)) for part in ("abcd", "efgh")]
    numpy.testing.assert_allclose(
        data.model_output.last_hidden_state[0], numpy.concatenate(parts), atol=1e-5
    )


def test_transformer_context_is_read_and_not_predicted(tiny_backbone: Path, vocab: Vocab) -> None:
    model = build(tiny_backbone, window=8, context=2)  # cores of two
    (data,) = model.predict([Doc(vocab, words=list("abcdefgh"))]).doc_data
    expected = numpy.concatenate(
        [
            hugging_face_states(tiny_backbone, list("abcd"))[0:2],
            hugging_face_states(tiny_backbone, list("abcdef"))[2:4],
            hugging_face_states(tiny_backbone, list("cdefgh"))[2:4],
            hugging_face_states(tiny_backbone, list("efgh"))[2:4],
        ]
    )
    numpy.testing.assert_allclose(data.model_output.last_hidden_state[0], expected, atol=1e-5)


def test_transformer_batches_do_not_matter(tiny_backbone: Path, vocab: Vocab) -> None:
    docs = [Doc(vocab, words=WORDS * n) for n in (3, 1, 9)]
    alone = build(tiny_backbone, window=32, batch_wordpieces=1).predict(docs)
    together = build(tiny_backbone, window=32, batch_wordpieces=10_000).predict(docs)
    for a, b in zip(alone.doc_data, together.doc_data, strict=True):
        numpy.testing.assert_allclose(
            a.model_output.last_hidden_state, b.model_output.last_hidden_state, atol=1e-5
        )


def test_transformer_takes_empty_and_blank_documents(tiny_backbone: Path, vocab: Vocab) -> None:
    model = build(tiny_backbone)
    docs = [Doc(vocab, words=words) for words in ([], ["\n", " "], ["a"])]
    empty, blank, one = model.predict(docs).doc_data
    assert "last_hidden_state" not in empty.model_output
    assert blank.align.lengths.tolist() == [0, 0]
    assert one.model_output.last_hidden_state.shape == (1, 1, 32)
    assert [d.model_output for d in model.predict(docs[:1]).doc_data] == [{}]


def test_transformer_gradients_equal_torchs(tiny_backbone: Path, vocab: Vocab) -> None:
    """Windows, batches, an empty and a blank document between: the gradient of the sum of
    squares is that of the windows run through the Hugging Face model."""
    model = build(tiny_backbone, window=8, context=1, batch_wordpieces=16)
    words = [[], list("abcdefghij"), ["\n"], list("xyz")]
    output, backprop = model.begin_update([Doc(vocab, words=w) for w in words])
    d_docs = [
        [2 * data.model_output.last_hidden_state]
        for data in output.doc_data
        if "last_hidden_state" in data.model_output
    ]
    backprop(output.unsplit_by_doc(d_docs))
    found = {n: p.grad for n, p in model.shims[0]._model.named_parameters() if p.grad is not None}

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_backbone)
    reference = transformers.AutoModel.from_pretrained(tiny_backbone, **NO_DROPOUT).train()
    # Ten letters in windows of six, one of context on each side: cores abc, def, ghij.
    windows = [("abcd", 0, 3), ("cdefg", 1, 4), ("fghij", 1, 5), ("xyz", 0, 3)]
    loss = torch.zeros(())
    for letters, start, end in windows:
        inputs = tokenizer(list(letters), is_split_into_words=True, return_tensors="pt")
        states = reference(**inputs).last_hidden_state[0, 1:-1]
        loss = loss + (states[start:end] ** 2).sum()
    loss.backward()
    expected = {n: p.grad for n, p in reference.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 513}, "the model reads 512 at most"),
        ({"window": 2}, "no room for 2 special tokens"),
        ({"window": 32, "context": 15}, "15 wordpieces of context"),
        ({"context": -1}, "context must be 0 or more"),
        ({"batch_wordpieces": 0}, "batch_wordpieces 1 or more"),
        ({"precision": "float16"}, 'precision must be "auto", "float32" or "bfloat16"'),
        ({"tokenizer_config": {"use_fast": False}}, "slow tokenizer"),
    ],
)
def test_transformer_refuses_what_cannot_be(
    tiny_backbone: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(tiny_backbone, **settings)


def test_transformer_reads_its_maximum_by_default(tiny_backbone: Path, vocab: Vocab) -> None:
    output = build(tiny_backbone).predict([Doc(vocab, words=["a"] * 510)])
    expected = hugging_face_states(tiny_backbone, ["a"] * 510)
    states = output.doc_data[0].model_output.last_hidden_state[0]
    numpy.testing.assert_allclose(states, expected, atol=1e-5)


def test_transformer_bfloat16_is_near_float32(tiny_backbone: Path, vocab: Vocab) -> None:
    docs = [Doc(vocab, words=WORDS)]
    exact, rough = (
        build(tiny_backbone, precision=precision).predict(docs).doc_data[0].model_output
        for precision in ("float32", "bfloat16")
    )
    assert rough.last_hidden_state.dtype == numpy.float32
    difference = numpy.abs(exact.last_hidden_state - rough.last_hidden_state).max()
    assert 0 < difference < 0.1


def test_transformer_bfloat16_where_it_is_native() -> None:
    assert has_bfloat16(torch.device("meta")) is False
    flags = Path("/proc/cpuinfo")
    if flags.exists():
        native = any(f in flags.read_text() for f in ("avx512_bf16", "amx_bf16"))
        assert has_bfloat16(torch.device("cpu")) is native


# --- Letter case ---


def test_letter_case() -> None:
    words = ["bank", "1996", ",", "Bank", "BANK", "U.N.", "F-16", "A", "McBank", "eBay"]
    assert [letter_case(word) for word in words] == [0, 0, 0, 1, 2, 2, 3, 3, 4, 4]
    assert [letter_case(word) for word in ("straße", "Ärzte", "ΑΘΗΝΑ", "東京", "ǅ")] == [
        0,
        1,
        2,
        0,
        4,
    ]


def uncased(backbone: Path, folder: Path) -> Path:
    """RETURNS (Path): A copy whose tokenizer lower-cases."""
    shutil.copytree(backbone, folder)
    tokenizer = transformers.BertTokenizerFast.from_pretrained(folder, do_lower_case=True)
    tokenizer.save_pretrained(folder)
    return folder


def states_of(model: Model[list[Doc], Any], vocab: Vocab, words: list[str]) -> numpy.ndarray:
    (data,) = model.predict([Doc(vocab, words=words)]).doc_data
    return data.model_output.last_hidden_state[0]  # type: ignore[no-any-return]


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


# --- The optimizer ---


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


# --- Saved ---


def test_transformer_saved_is_the_same(tiny_backbone: Path, vocab: Vocab) -> None:
    model = build(tiny_backbone)
    docs = [Doc(vocab, words=WORDS)]
    before = model.predict(docs).doc_data[0].model_output.last_hidden_state
    build_model = registry.architectures.get("conll_ner.WindowedTransformer.v1")
    loaded = build_model(name="somewhere else", precision="float32").from_bytes(model.to_bytes())
    after = loaded.predict(docs).doc_data[0].model_output.last_hidden_state
    numpy.testing.assert_array_equal(before, after)
    # HFShim's JSON keeps nine places.
    assert loaded.shims[0]._model.config.layer_norm_eps == 1e-12


def test_transformer_windows_are_the_configs_after_loading(
    tiny_backbone: Path, vocab: Vocab
) -> None:
    saved = build(tiny_backbone, window=128).to_bytes()
    build_model = registry.architectures.get("conll_ner.WindowedTransformer.v1")
    loaded = build_model(name="x", window=6, precision="float32").from_bytes(saved)
    docs = [Doc(vocab, words=list("abcdefgh"))]
    expected = build(tiny_backbone, window=6).predict(docs).doc_data[0].model_output
    found = loaded.predict(docs).doc_data[0].model_output
    numpy.testing.assert_array_equal(found.last_hidden_state, expected.last_hidden_state)


# --- Wordpieces and windows ---


def test_tokenize_a_word_longer_than_a_window_keeps_its_start(
    tiny_roberta: Path, vocab: Vocab
) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_roberta)
    words = ["Ada", "b" * 10_000, "left"]
    (pieces,) = tokenize(tokenizer, [Doc(vocab, words=words)], limit=5)
    whole = [tokenizer.tokenize(f" {word}") for word in words]
    assert len(whole[1]) > 5
    assert pieces.lengths.tolist() == [len(whole[0]), 5, len(whole[2])]
    assert pieces.strings == [*whole[0], *whole[1][:5], *whole[2]]
    assert tokenizer.convert_ids_to_tokens(pieces.ids.tolist()) == pieces.strings


def test_tokenize_empty_documents_among_others(tokenizer: Any, vocab: Vocab) -> None:
    docs = [Doc(vocab), Doc(vocab, words=["ab"]), Doc(vocab), Doc(vocab, words=[" "])]
    assert [p.lengths.tolist() for p in tokenize(tokenizer, docs, 10)] == [[], [2], [], [0]]


def test_special_tokens(tokenizer: Any, tiny_roberta: Path) -> None:
    assert special_tokens(tokenizer) == ([2], [3])
    roberta = transformers.AutoTokenizer.from_pretrained(tiny_roberta)
    assert special_tokens(roberta) == ([roberta.bos_token_id], [roberta.eos_token_id])


@given(
    lengths=st.lists(st.integers(0, 7), max_size=100),
    capacity=st.integers(7, 30),
    data=st.data(),
)
def test_cut_covers_all_in_parts_that_fit(
    lengths: list[int], capacity: int, data: st.DataObject
) -> None:
    starts = data.draw(st.sets(st.integers(0, max(0, len(lengths) - 1)), max_size=len(lengths)))
    array, sentences = numpy.array(lengths, dtype=int), numpy.array(sorted(starts), dtype=int)
    cuts = cut(array, sentences, capacity).tolist()
    assert (cuts[0], cuts[-1]) == (0, sum(lengths))
    assert cuts == sorted(cuts)
    assert all(b - a <= capacity for a, b in itertools.pairwise(cuts))
    boundaries = {0, *numpy.cumsum(array).tolist()}
    assert set(cuts) <= boundaries
    if sum(lengths) > capacity:
        assert all(a < b for a, b in itertools.pairwise(cuts))


def test_cut_evenly_and_by_sentences() -> None:
    ones = numpy.ones(10, dtype=int)
    assert cut(ones, numpy.array([], dtype=int), 8).tolist() == [0, 5, 10]
    assert cut(ones, numpy.array([0, 4, 9]), 8).tolist() == [0, 4, 10]  # 4 is nearer to half
    assert cut(ones, numpy.array([0, 1]), 8).tolist() == [0, 5, 10]  # too little for a part
    assert cut(ones, numpy.array([0, 3]), 10).tolist() == [0, 10]


@pytest.mark.parametrize(
    ("sentence_windows", "starts", "expected"),
    [
        (False, {0, 4}, [4, 6]),
        (False, {0, 2, 9}, [5, 5]),
        (True, {0, 2, 9}, [2, 3, 4, 1]),  # the second, of 7, is longer than the 6 of a window
        (True, {0}, [5, 5]),
        (True, set(), [5, 5]),
    ],
)
def test_windows_are_cut_at_sentence_starts(
    sentence_windows: bool, starts: set[int], expected: list[int], tokenizer: Any, vocab: Vocab
) -> None:
    flags: list[bool | int | None] = [i in starts for i in range(10)]
    doc = Doc(vocab, words=list("abcdefghij"), sent_starts=flags)
    pieces = tokenize(tokenizer, [doc], 6)
    windowing = Windowing(8, 0, 100, "float32", sentence_windows)
    windows = make_windows([doc], pieces, special_tokens(tokenizer), 8, windowing)
    assert [window.core.stop - window.core.start for window in windows] == expected


def test_transformer_reads_sentences_apart(tiny_backbone: Path, vocab: Vocab) -> None:
    flags: list[bool | int | None] = [i in (0, 3) for i in range(8)]
    doc = Doc(vocab, words=list("abcdefgh"), sent_starts=flags)
    (data,) = build(tiny_backbone, sentence_windows=True).predict([doc]).doc_data
    parts = [hugging_face_states(tiny_backbone, list(part)) for part in ("abc", "defgh")]
    numpy.testing.assert_allclose(
        data.model_output.last_hidden_state[0], numpy.concatenate(parts), atol=1e-5
    )


@given(
    sizes=st.lists(st.integers(0, 60), max_size=5),
    context=st.integers(0, 5),
    size=st.integers(13, 40),
    sentence_windows=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_windows_predict_each_wordpiece_once_with_its_context(
    sizes: list[int], context: int, size: int, sentence_windows: bool, seed: int
) -> None:
    random = numpy.random.default_rng(seed)
    vocab = Vocab()
    docs = []
    for n in sizes:
        starts = random.random(n) < 0.2
        docs.append(Doc(vocab, words=["x"] * n, sent_starts=starts.tolist()))
    wordpieces, next_id = [], 10
    for n in sizes:
        lengths = random.integers(0, size - 2 - 2 * context + 1, size=n)
        total = int(lengths.sum())
        ids = numpy.arange(next_id, next_id + total)
        wordpieces.append(Wordpieces(ids, [""] * total, lengths, ids % N_CASES))
        next_id += total
    windowing = Windowing(size, context, 64, "float32", sentence_windows)
    windows = make_windows(docs, wordpieces, ([0], [1]), size, windowing)
    everything = numpy.concatenate([numpy.zeros(0, dtype=int), *(w.ids for w in wordpieces)])
    found = [numpy.zeros(0, dtype=int)]
    for window in windows:
        assert len(window.ids) <= size
        assert (window.ids[0], window.ids[-1]) == (0, 1)
        assert window.cases.tolist() == [0, *(window.ids[1:-1] % N_CASES), 0]
        core = window.ids[window.core]
        found.append(core)
        (own,) = [w.ids for w in wordpieces if core[0] in w.ids]
        assert window.core.start - 1 >= min(context, core[0] - own[0])
        assert len(window.ids) - 1 - window.core.stop >= min(context, own[-1] - core[-1])
    assert numpy.concatenate(found).tolist() == everything.tolist()
    batches = list(batch_windows(windows, size, 64))
    assert sorted(w.row for batch, _ in batches for w in batch) == sorted(w.row for w in windows)
    for batch, length in batches:
        longest = max(len(window.ids) for window in batch)
        assert longest <= length <= size
        assert length == size or 0 <= length - longest < PAD_MULTIPLE
        assert len(batch) == 1 or len(batch) * length <= 64


def test_windows_are_padded_to_few_lengths_within_the_model() -> None:
    def padded(longest: int, size: int) -> int:
        window = Window(numpy.zeros(longest, dtype=int), numpy.zeros(longest), slice(1, 2), 0)
        ((_, length),) = batch_windows([window], size, 1024)
        return length

    assert [padded(n, 100) for n in (1, 32, 33, 96, 97, 100)] == [32, 32, 64, 96, 100, 100]


# --- The first wordpiece ---


def test_first_wordpiece_takes_and_returns_the_first(tiny_backbone: Path, vocab: Vocab) -> None:
    docs = [Doc(vocab, words=["Ada", "\n", "x"]), Doc(vocab)]
    datas = build(tiny_backbone).predict(docs).doc_data
    layer = registry.architectures.get("conll_ner.FirstWordpiece.v1")().layers[1]
    (vectors, none), backprop = forward_first_wordpiece(layer, datas, True)
    states = datas[0].model_output.last_hidden_state[0]
    numpy.testing.assert_array_equal(vectors, [states[0], numpy.zeros(32), states[3]])
    assert none.shape == (0, 32)
    gradient = numpy.arange(3 * 32, dtype="float32").reshape(3, 32)
    (d_data,) = backprop([gradient, none])  # type: ignore[list-item]
    expected = numpy.zeros((1, 4, 32))
    expected[0, [0, 3]] = gradient[[0, 2]]
    numpy.testing.assert_array_equal(d_data.model_output.last_hidden_state, expected)


def test_first_wordpiece_works_with_spacy_transformers_own_model(
    tiny_backbone: Path, vocab: Vocab
) -> None:
    """Whose windows overlap: a word's first wordpiece is that of its first window."""
    get_spans = registry.get("span_getters", "spacy-transformers.strided_spans.v1")(4, 2)
    build_model = registry.architectures.get("spacy-transformers.TransformerModel.v3")
    model = build_model(str(tiny_backbone), get_spans, tokenizer_config={"use_fast": True})
    model.initialize()
    datas = model.predict([Doc(vocab, words=list("abcdefg"))]).doc_data
    layer = registry.architectures.get("conll_ner.FirstWordpiece.v1")().layers[1]
    (vectors,), backprop = forward_first_wordpiece(layer, datas, True)
    assert vectors.shape == (7, 32)
    (d_data,) = backprop([vectors])
    assert d_data.model_output.last_hidden_state.shape == (
        datas[0].model_output.last_hidden_state.shape
    )
    assert isinstance(d_data.model_output, BaseModelOutput)


def test_file_stands_alone() -> None:
    """It is copied into the wheel without its neighbours."""
    source = (ROOT / "scripts" / "token_ner.py").read_text(encoding="utf-8")
    for sibling in (ROOT / "scripts").glob("*.py"):
        assert f"import {sibling.stem}" not in source
        assert f"from {sibling.stem} " not in source
