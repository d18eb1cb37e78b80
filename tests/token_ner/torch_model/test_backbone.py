"""The transformer on windows, against the Hugging Face model's own outputs."""

import os
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
import transformers
from spacy.tokens import Doc
from spacy.util import registry
from spacy.vocab import Vocab
from thinc.api import fix_random_seed
from torch.utils.checkpoint import checkpoint

from tests.token_ner.support import NO_DROPOUT, WORDS, build, hugging_face_states
from token_ner.torch_model import forward
from token_ner.torch_model.forward import auto_batch_wordpieces, has_bfloat16, to_torch

TRANSFORMERS = int(transformers.__version__.partition(".")[0])


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


def gradients_with_dropout(backbone: Path, vocab: Vocab) -> dict[str, torch.Tensor]:
    """RETURNS: Of one update on several batches of windows, with the default dropout."""
    fix_random_seed(0)
    model = build(backbone, window=8, batch_wordpieces=16, transformer_config={})
    fix_random_seed(1)
    output, backprop = model.begin_update([Doc(vocab, words=list("abcdefghij" * 4))])
    backprop(output.unsplit_by_doc([[output.doc_data[0].model_output.last_hidden_state]]))
    parameters = model.shims[0]._model.named_parameters()
    return {name: p.grad for name, p in parameters if p.grad is not None}


def test_transformer_batches_are_recomputed_with_the_same_dropout(
    tiny_backbone: Path, vocab: Vocab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch saves the random state of a GPU only for devices of the tensors that it is given."""
    expected_devices: list[set[str]] = []

    def record(run: Any, *arguments: Any, **settings: Any) -> Any:
        tensors = [a for a in arguments if isinstance(a, torch.Tensor)]
        expected_devices.append({tensor.device.type for tensor in tensors})
        return checkpoint(run, *arguments, **settings)

    monkeypatch.setattr(forward, "checkpoint", record)
    recomputed = gradients_with_dropout(tiny_backbone, vocab)
    assert len(expected_devices) > 1
    assert all(devices == {"cpu"} for devices in expected_devices)

    monkeypatch.setattr(forward, "checkpoint", lambda run, *arguments, **_: run(*arguments))
    kept = gradients_with_dropout(tiny_backbone, vocab)
    assert recomputed.keys() == kept.keys()
    for name, gradient in kept.items():
        torch.testing.assert_close(recomputed[name], gradient)


def test_transformer_keeps_batches_on_devices_without_a_random_state(
    tiny_backbone: Path, vocab: Vocab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's checkpoint doesn't restore that of Apple's MPS."""
    expected = gradients_with_dropout(tiny_backbone, vocab)
    monkeypatch.setattr(forward, "RECOMPUTING_DEVICES", ())
    monkeypatch.setattr(forward, "checkpoint", None)
    for name, gradient in gradients_with_dropout(tiny_backbone, vocab).items():
        torch.testing.assert_close(gradient, expected[name])


@pytest.mark.parametrize(
    ("device", "width", "n"), [("cpu", 384, 1024), ("cpu", 768, 512), ("cuda", 768, 16_384)]
)
def test_transformer_batches_are_small_on_a_cpu_and_large_on_a_gpu(
    device: str,
    width: int,
    n: int,
    tiny_backbone: Path,
    vocab: Vocab,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert auto_batch_wordpieces(torch.device(device), width) == n
    # The CPU and a narrow model stand in.
    monkeypatch.setattr(forward, "auto_batch_wordpieces", lambda *_: n)
    sizes = []

    def run(_: Any, ids: torch.Tensor, *__: Any, **___: Any) -> torch.Tensor:
        sizes.append(ids.numel())
        return torch.zeros((*ids.shape, 32))

    monkeypatch.setattr(forward, "run_transformer", run)
    model = build(tiny_backbone, window=128)
    model.predict([Doc(vocab, words=["a"] * 2000)])
    assert len(sizes) == {512: 4, 1024: 2, 16_384: 1}[n]
    assert all(size <= n for size in sizes)


def test_transformer_on_a_gpu_refuses_to_run_after_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA doesn't survive a fork, as in nlp.pipe(n_process=2): it hangs or fails obscurely."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(forward, "LOADING_PROCESS", os.getpid() + 1)
    for bad in (False, True):  # whether the parent had used the GPU
        monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda bad=bad: bad)
        forward.check_after_fork(torch.device("cpu"))
        assert torch.get_num_threads() == 1
        if not bad:
            forward.check_after_fork(torch.device("cuda"))
            continue
        with pytest.raises(RuntimeError, match=r"forked process can't use the GPU .* n_process"):
            forward.check_after_fork(torch.device("cuda"))
    torch.set_num_threads(threads)


class DLPackArray:
    """An array that is no numpy array and has no `toDlpack`, as CuPy's will be."""

    def __init__(self, array: numpy.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **settings: Any) -> Any:
        return self.array.__dlpack__(**settings)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


@pytest.mark.parametrize("wrap", [lambda array: array, DLPackArray])
def test_arrays_become_tensors_without_a_copy(wrap: Any) -> None:
    array = numpy.arange(6, dtype="float32").reshape(2, 3)
    tensor = to_torch(wrap(array))
    array[0, 0] = 7
    assert tensor.tolist() == [[7, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 513}, "the model reads 512 at most"),
        ({"window": 2}, "no room for 2 special tokens"),
        ({"window": 32, "context": 15}, "15 wordpieces of context"),
        ({"context": -1}, "context must be 0 or more"),
        ({"batch_wordpieces": 0}, 'batch_wordpieces "auto" or from 1 to 1,000,000'),
        ({"precision": "float16"}, 'precision must be "auto", "float32" or "bfloat16"'),
        pytest.param(
            {"tokenizer_config": {"use_fast": False}},
            "slow tokenizer",
            marks=pytest.mark.skipif(TRANSFORMERS >= 5, reason="transformers 5 has none"),
        ),
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


def test_transformer_reads_sentences_apart(tiny_backbone: Path, vocab: Vocab) -> None:
    flags: list[bool | int | None] = [i in (0, 3) for i in range(8)]
    doc = Doc(vocab, words=list("abcdefgh"), sent_starts=flags)
    (data,) = build(tiny_backbone, sentence_windows=True).predict([doc]).doc_data
    parts = [hugging_face_states(tiny_backbone, list(part)) for part in ("abc", "defgh")]
    numpy.testing.assert_allclose(
        data.model_output.last_hidden_state[0], numpy.concatenate(parts), atol=1e-5
    )
