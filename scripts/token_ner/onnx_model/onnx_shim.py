"""How thinc holds, saves and runs a model on ONNX Runtime. Needs no torch."""

import ctypes
import math
import multiprocessing
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple, cast, get_args
from weakref import WeakSet

import numpy
import srsly
from thinc.api import Shim
from tokenizers import Tokenizer

from ..types import Array
from ..wordpieces import Specials, WordEncoder, largest_id, special_tokens
from .onnx_graph import WEIGHTS, check_graph

LOADING_PROCESS = os.getpid()
SlimPrecision = Literal["int8", "float32"]
MAX_THREADS = 256  # ONNX Runtime starts as many as it is told to, and a million never end
MAX_NUMBER = 2**31 - 1
INPUTS = ("ids", "mask", "cases")  # the order of `windows.Batch.inputs`
ROWS = "rows"
SESSIONS: WeakSet[Any] = WeakSet()


@dataclass(frozen=True)
class OnnxClassifier:
    """What a slim pipeline saves of its model.

    graph (bytes): The ONNX model. Its inputs are those of `name_inputs`, letter cases only if it
        has vectors for them; its output is logits, (n_rows, n_labels).
    tokenizer (str): The text of a tokenizer.json.
    maximum (int): The most wordpieces that the model reads, including special tokens.
    pad (int): The wordpiece that fills up windows.
    empty (list[float]): The logits of a word without wordpieces, such as whitespace.
    precision (str): "int8" or "float32".
    weights (bytes): The weights of a graph that would be larger than 2 GB with them, as its file
        of external data WEIGHTS; empty if they are in the graph.
    """

    graph: bytes
    tokenizer: str
    maximum: int
    pad: int
    empty: list[float]
    precision: SlimPrecision
    weights: bytes = b""

    def __post_init__(self) -> None:
        """RAISES (ValueError): If a value has another type or makes no sense, or if the graph isn't
        one that spacy ner slim writes."""
        for name, kind in (("graph", bytes), ("tokenizer", str), ("weights", bytes)):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"the slim pipeline's {name} is not {kind.__name__}")
        for name, least in (("maximum", 1), ("pad", 0)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= MAX_NUMBER:
                raise ValueError(f"the slim pipeline's {name} must be a number, {least} or more")
        is_list = isinstance(self.empty, list) and len(self.empty) > 0
        if not is_list or not all(type(x) is float and math.isfinite(x) for x in self.empty):
            raise ValueError("the slim pipeline's empty must be a list of finite numbers")
        if self.precision not in get_args(SlimPrecision):
            raise ValueError(f"the slim pipeline's precision must be {get_args(SlimPrecision)}")
        check_graph(self.graph, self.weights)


class Loaded(NamedTuple):
    """A classifier that is ready to run."""

    process: int  # where the session was created
    session: Any  # onnxruntime.InferenceSession
    inputs: list[str]  # those of INPUTS that the graph has
    encoder: WordEncoder
    specials: Specials
    empty: Array  # (1, n_labels)


class OnnxShim(Shim):
    """Holds a classifier, and creates its session at the first prediction of a process.

    threads (int | None): As build_onnx_token_classifier's; it isn't saved.
    """

    _model: OnnxClassifier | None
    _loaded: Loaded | None = None

    def __init__(self, threads: int | None) -> None:
        super().__init__(None)
        self.threads = threads

    @property
    def is_empty(self) -> bool:
        """RETURNS (bool): Whether there is no classifier yet."""
        return self._model is None

    @property
    def classifier(self) -> OnnxClassifier:
        """RAISES (ValueError): If there is none yet."""
        if self._model is None:
            raise ValueError(
                "the model has no weights: load a slim pipeline from its folder "
                "(spacy ner slim makes one)"
            )
        return self._model

    @classifier.setter
    def classifier(self, classifier: OnnxClassifier) -> None:
        self._model, self._loaded = classifier, None

    def load(self) -> Loaded:
        """RETURNS (Loaded): The classifier, loaded in this process: a forked one doesn't inherit
        the threads of its parent's session and would wait for them forever."""
        # Without a lock, which a fork could inherit locked. Two threads that come here at once may
        # both load it; one of the two is kept, and both are right.
        loaded = self._loaded
        if loaded is None or loaded.process != os.getpid():
            classifier = self.classifier
            tokenizer = Tokenizer.from_str(classifier.tokenizer)
            threads = count_threads(self.threads)
            session = create_session(classifier.graph, threads, classifier.weights)
            loaded = self._loaded = Loaded(
                os.getpid(),
                session,
                [node.name for node in session.get_inputs()],
                WordEncoder(tokenizer),
                special_tokens(tokenizer),
                numpy.array([classifier.empty], dtype="float32"),
            )
        return loaded

    def run(self, inputs: Array, rows: Array) -> Array:
        """RETURNS (Array): Logits, (n_rows, n_labels). inputs, rows: as for `name_inputs`."""
        loaded = self.load()
        values = name_inputs(inputs, rows)
        (logits,) = loaded.session.run(None, {name: values[name] for name in loaded.inputs})
        return cast(Array, logits)

    def check(self) -> None:
        """Run the classifier on two windows, one of them with padding, with the wordpiece that has
        the largest number.

        RAISES (ValueError): If that fails, or the logits are not those of as many labels as `empty`
            has.
        """
        loaded, pad = self.load(), self.classifier.pad
        before, after = loaded.specials
        last = largest_id(loaded.encoder.tokenizer)
        window = [*before, last, *after]
        ids = numpy.array([[*window, pad], [*before, last, last, *after]], dtype="int64")
        mask = numpy.ones_like(ids)
        mask[0, -1] = 0
        rows = numpy.flatnonzero(mask)
        logits = self.run(numpy.stack([ids, mask, numpy.zeros_like(ids)]), rows)
        if logits.shape != (len(rows), loaded.empty.shape[1]):
            raise ValueError(f"its logits have the shape {logits.shape} instead of (rows, labels)")

    def to_device(self, device_type: str, device_id: int) -> None:
        """Stay on the CPU: the wheel of ONNX Runtime for it is the one that is required."""

    def to_bytes(self) -> bytes:
        saved = None if self._model is None else asdict(self._model)
        return cast(bytes, srsly.msgpack_dumps(saved))

    def from_bytes(self, data: bytes) -> "OnnxShim":
        """RAISES (ValueError): If it isn't what to_bytes saves."""
        saved = srsly.msgpack_loads(data)
        self._model, self._loaded = None if saved is None else read_classifier(saved), None
        return self

    def __getstate__(self) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): What pickle and deepcopy take: a session can't be copied."""
        return self.__dict__ | {"_loaded": None}


def name_inputs(inputs: Array, rows: Array) -> dict[str, Array]:
    """RETURNS (dict[str, Array]): The inputs of a graph.

    inputs (Array): Those of a `windows.Batch`, (3, n_windows, length).
    rows (Array): The wordpieces whose logits are wanted, as positions in the (n_windows * length)
        inputs, (n_rows,).
    """
    return dict(zip(INPUTS, inputs, strict=True)) | {ROWS: rows}


def read_classifier(saved: Any) -> OnnxClassifier:
    """RAISES (ValueError): If it has other fields than a classifier."""
    names = {field.name for field in fields(OnnxClassifier)}
    if not isinstance(saved, Mapping) or saved.keys() != names:
        raise ValueError(f"the saved model is not of a slim pipeline: it needs {sorted(names)}")
    return OnnxClassifier(**saved)


def count_threads(threads: int | None) -> int:
    """RETURNS (int): The threads of a session; 0 for ONNX Runtime's choice, one a core."""
    if threads is not None:
        return threads
    if multiprocessing.parent_process() is not None or os.getpid() != LOADING_PROCESS:
        return 1  # a worker, as in nlp.pipe(n_process=2): the others use the other cores
    # As torch does. Ray sets it for its workers, and containers for what they may use.
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return int(limit) if limit.isdecimal() else 0


def keep_sessions() -> None:
    """Never free the sessions that this process has: freeing one waits for its threads, and a
    forked process doesn't have those of its parent."""
    for session in SESSIONS:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=keep_sessions)


def create_session(graph: bytes | str, threads: int, weights: bytes = b"") -> Any:
    """RETURNS (InferenceSession): A session on the CPU. graph: an ONNX model, or its path; weights:
    as in OnnxClassifier.
    RAISES (ImportError): If ONNX Runtime isn't installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            "a slim pipeline needs ONNX Runtime: pip install onnxruntime", name="onnxruntime"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what it can't run it raises as an exception
    # Otherwise ONNX Runtime detects the format, and check_graph knows ONNX only.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # It keeps memory for every shape of a batch.
    options.enable_mem_pattern = False
    if weights:
        options.add_external_initializers_from_files_in_memory([WEIGHTS], [weights], [len(weights)])
    session = onnxruntime.InferenceSession(
        graph,
        options,
        providers=["CPUExecutionProvider"],
        # It joins an addition and a layer normalization to one operation that isn't vectorized and
        # takes four times as long as both (ONNX Runtime 1.32; int8 without it is 1.2 x as fast).
        disabled_optimizers=["SkipLayerNormFusion"],
    )
    SESSIONS.add(session)
    return session
