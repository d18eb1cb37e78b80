"""The wheel: meta.json holds the measured scores, and a new venv loads it."""

import copy
import json
import zipfile
from html import escape as html_escape
from pathlib import Path
from typing import Any

import pytest
import spacy
from markdown_it import MarkdownIt
from spacy.tokens import Span
from spacy.training import Example

from conll_ner.common.console import InputError
from conll_ner.common.files import sha256
from conll_ner.data.columns.conll import read_corpus
from conll_ner.data.docs import make_doc, write_docs
from conll_ner.evaluation import evaluate
from conll_ner.packaging import check_wheel as install
from conll_ner.packaging import package
from conll_ner.packaging.wheel import build_wheel
from tests.conftest import ROOT

CODE = ROOT / "scripts" / "token_ner"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of rules, its metrics and its wheel, made by the scripts."""
    folder = tmp_path_factory.mktemp("package")
    nlp = spacy.blank("en")
    ruler: Any = nlp.add_pipe("entity_ruler")
    names = [("PER", "Sylvain"), ("ORG", "Hugging Face"), ("LOC", "Brooklyn")]
    ruler.add_patterns([{"label": a, "pattern": b} for a, b in names])
    (folder / "run").mkdir()
    nlp.to_disk(folder / "run" / "model-best")
    (folder / "run" / "run.json").write_text(
        json.dumps({"config": "rules", "seed": 3, "backbone": {"name": "minilm"}})
    )
    text = "Sylvain B-PER\nin O\nBrooklyn B-LOC\n\nHugging O\nFace B-ORG\n"
    (folder / "sample").mkdir()
    (folder / "sample" / "test.txt").write_text(text)
    corpus = read_corpus(folder / "sample" / "test.txt")
    write_docs([make_doc(d, nlp.vocab) for d in corpus.documents], folder / "test.spacy")
    metrics = folder / "metrics.json"
    evaluate.main(
        str(folder / "run" / "model-best"),
        [folder / "test.spacy"],
        metrics,
        corpus=folder / "sample",
        training_record=folder / "run" / "run.json",
        device="cpu",
    )
    package.main(
        folder / "run" / "model-best", metrics, folder / "packages", "en_ner_rules_trf", "1.2.3"
    )
    return folder


@pytest.fixture
def wheel(made: Path) -> Path:
    return (
        made / "packages" / "en_ner_rules_trf-1.2.3" / "dist"
    ) / "en_ner_rules_trf-1.2.3-py3-none-any.whl"


def read_meta(wheel: Path) -> dict[str, Any]:
    with zipfile.ZipFile(wheel) as archive:
        meta: dict[str, Any] = json.loads(archive.read("en_ner_rules_trf/meta.json"))
    return meta


def test_package_meta_holds_the_measured_scores(made: Path, wheel: Path) -> None:
    metrics = json.loads((made / "metrics.json").read_text())
    overall = metrics["splits"]["test"]["conlleval"]["overall"]
    performance = read_meta(wheel)["performance"]
    assert performance["ents_f"] == pytest.approx(overall["f1"]) == pytest.approx(2 / 3)
    assert performance["ents_per_type"]["LOC"] == {"p": 1.0, "r": 1.0, "f": 1.0}
    assert performance["ents_per_type"]["ORG"]["f"] == 0.0


def test_package_meta_names_licenses_and_sources(wheel: Path) -> None:
    meta = read_meta(wheel)
    assert (meta["lang"], meta["name"], meta["version"]) == ("en", "ner_rules_trf", "1.2.3")
    assert meta["license"] == "MIT"
    assert "all-MiniLM-L6-v2 (Apache-2.0)" in meta["notes"]
    assert "sample corpus" in meta["notes"]
    backbone = meta["sources"][0]
    assert backbone["name"] == "all-MiniLM-L6-v2"
    assert backbone["url"] == "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2"
    assert any(requirement.startswith("spacy>=3.8") for requirement in meta["requirements"])
    assert "torch>=2.13" in meta["requirements"]


def test_package_conll2003_may_not_be_passed_on() -> None:
    metrics = {
        "training": {"backbone": {"name": "bert-base-cased"}},
        "corpus": {"assets/conll2003/train.txt": "", "assets/conll2003/test.txt": ""},
        "splits": {
            "test": {
                "conlleval": {"overall": {"precision": 1, "recall": 1, "f1": 1}, "types": {}},
            }
        },
    }
    meta: dict[str, Any] = {}
    package.fill_meta(meta, metrics, "ner", "1")
    assert "bert-base-cased (Apache-2.0)" in meta["notes"]
    assert "CoNLL-2003 (Reuters text, for research: not to be redistributed" in meta["notes"]


def test_package_model_card_is_the_readme(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        card = archive.read("en_ner_rules_trf/en_ner_rules_trf-1.2.3/README.md").decode()
        description = archive.read("en_ner_rules_trf-1.2.3.dist-info/METADATA").decode()
    assert card.startswith("# en_ner_rules_trf\n")
    assert 'nlp = spacy.load("en_ner_rules_trf")' in card
    assert "| metrics | test | 66.67 | 66.67 | 66.67 |" in card
    assert "License: MIT" in description


def test_package_example_of_the_model_card_runs(made: Path) -> None:
    card = (made / "packages" / "en_ner_rules_trf-1.2.3" / "README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0]
    pipeline = made / "run" / "model-best"
    namespace: dict[str, Any] = {}
    exec(code.replace('"en_ner_rules_trf"', repr(str(pipeline))), namespace)
    assert [ent.label_ for ent in namespace["doc"].ents] == ["PER", "ORG", "LOC"]


@pytest.mark.parametrize(
    "name", ["ner_conll03_trf", "de_ner", "en_Ner", "en_ner__x", "en-ner", "en_", "en_ner/x"]
)
def test_package_bad_name_is_an_error(
    made: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        package.main(
            made / "run" / "model-best", made / "metrics.json", made / "packages", name, "1"
        )
    error = capsys.readouterr().err
    assert f"package name {name!r} must be en_ and then" in error
    assert [path.name for path in (made / "packages").iterdir()] == ["en_ner_rules_trf-1.2.3"]


@pytest.mark.parametrize(
    "version", ["abc", "1.0 beta", "1.0\n2", "", "1/../../../evil2", "../1", "1.0;x", "1.0\x1b"]
)
def test_package_bad_version_is_one_line(
    made: Path, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made / "packages" / "sub"
    with pytest.raises(SystemExit):
        package.main(made / "run/model-best", made / "metrics.json", folder, "en_ner_x", version)
    error = capsys.readouterr().err
    assert "is not a version such as 1.0.2" in error
    assert len(error.splitlines()) == 1
    assert not folder.exists()


@pytest.mark.parametrize(
    ("version", "normal"), [("v1.0", "1.0"), ("2.0-beta.1", "2.0b1"), ("01.2.3", "1.2.3")]
)
def test_package_version_is_normalised(version: str, normal: str) -> None:
    assert package.normalize_version(version) == normal


@pytest.mark.parametrize("name", ["description", "license", "author"])
def test_package_headers_are_one_line(
    made: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    evil: Any = {name: "x\nRequires-Dist: evil"}
    with pytest.raises(SystemExit):
        package.main(
            made / "run/model-best", made / "metrics.json", made / "x", "en_ner_x", "1", **evil
        )
    error = capsys.readouterr().err
    assert f"the package's {name} contains the character U+000A; write one line" in error
    assert not (made / "x").exists()


def test_package_language_of_a_stranger_is_no_path() -> None:
    with pytest.raises(InputError, match=r"language '../../x' is none of spaCy's codes"):
        package.split_name("../../x_ner_y", "../../x")


def test_package_model_card_shows_texts_as_they_are(made: Path) -> None:
    """Description, labels and names of a run are neither Markdown nor HTML (CommonMark by
    markdown-it)."""
    texts = [
        "<script>alert(1)</script> <b>x</b>",
        "![x](http://evil/x.png) [here](javascript:x) **bold** _em_ `code`",
        "a | b \\| c &lt; ~~x~~ $y$ snake_case __x__",
        "# not a title",
        "- no list",
        "> no quote",
    ]
    metrics = json.loads((made / "metrics.json").read_text())
    score = {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1}
    for text in texts:
        changed = copy.deepcopy(metrics) | {"name": text}
        changed["training"] |= {"config": text, "hardware": text}
        changed["splits"]["test"]["conlleval"]["types"] = {text: score}
        meta = json.loads((made / "run/model-best/meta.json").read_text())
        package.fill_meta(meta, changed, "ner_x", "1", description=text)
        made_of = {"gold": text, "documents": 3, "date": "today", "confidence": 0.9}
        meta["promises"] = {"recall": {"level": 0.95, "least": 0.02, "share": 0.96, **made_of}}
        html = (
            MarkdownIt("commonmark")
            .enable(["table", "strikethrough"])
            .render(package.model_card(meta, changed))
        )
        shown = html_escape(text, quote=False).replace('"', "&quot;")
        assert f"<p>{shown}</p>" in html
        for cell in (f"<td>Labels</td>\n<td>{shown}", f"<td>Config</td>\n<td>{shown}"):
            assert cell in html
        assert f">F1 {shown}</th>" in html
        promise = f"a recall of 95 %, kept by 90 % of samples of 3 documents like {shown} (which"
        assert f"<td>Promised recall</td>\n<td>{promise}" in html
        assert f"<td>{shown}</td>\n<td>test</td>" in html


def test_package_without_metrics_is_an_error(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        package.main(made / "run" / "model-best", made / "no.json", made / "packages", "en_x", "1")
    error = capsys.readouterr().err
    assert "no.json" in error
    assert len(error.splitlines()) == 1


@pytest.mark.slow
def test_install_loads_in_a_new_venv(made: Path, wheel: Path) -> None:
    output = made / "install.json"
    install.main(wheel.parent.parent, str(made / "run" / "model-best"), output)
    record = json.loads(output.read_text())
    assert record["wheel"] == wheel.name
    assert record["sha256"] == sha256(wheel)
    assert record["load_seconds"] > 0
    found = install.install_and_load(wheel)
    assert found["ents"][0] == [
        ["Sylvain", "PER", 11, 18, None],
        ["Hugging Face", "ORG", 33, 45, None],
        ["Brooklyn", "LOC", 49, 57, None],
    ]
    assert found["meta"]["version"] == "1.2.3"


@pytest.mark.slow
def test_install_token_ner_gives_the_same_scores(tiny_backbone: Path, tmp_path: Path) -> None:
    """The code travels in the wheel: mentions and scores to the last digit, without the project."""
    nlp = spacy.blank("en")
    backbone = {"@architectures": "conll_ner.WindowedTransformer.v1", "name": str(tiny_backbone)}
    nlp.add_pipe("transformer", config={"model": backbone})
    nlp.add_pipe("token_ner")
    docs = [nlp.make_doc(text) for text in install.TEXTS if text]
    docs[0].ents = [Span(docs[0], 3, 4, label="PER")]
    nlp.initialize(lambda: [Example(nlp.make_doc(doc.text), doc) for doc in docs])
    nlp.to_disk(tmp_path / "pipeline")
    meta = dict(nlp.meta) | {"name": "ner_scored", "requirements": package.CODE_REQUIREMENTS}
    built = build_wheel(tmp_path / "pipeline", tmp_path, meta, "# card")
    wheel = next((built / "dist").glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        prefix = "en_ner_scored/token_ner/"
        packed = {n.removeprefix(prefix) for n in archive.namelist() if n.startswith(prefix)}
        assert packed == {str(path.relative_to(CODE)) for path in CODE.rglob("*.py")}
        for name in packed:
            assert archive.read(prefix + name) == (CODE / name).read_bytes()
    found = install.install_and_load(wheel)
    assert found["ents"] == install.expected_ents(str(tmp_path / "pipeline"))
    assert any(0 < ent[4] <= 1 for ents in found["ents"] for ent in ents)
    requirements = found["meta"]["requirements"]
    assert any(r.startswith("spacy-transformers") for r in requirements)
    assert not any(r.startswith("conll") for r in requirements)  # the wheel has the code


@pytest.mark.slow
def test_install_closes_the_network(tmp_path: Path) -> None:
    python = str(install.make_venv(tmp_path / "venv"))
    program = install.PROGRAM.split("start =")[0] + "socket.create_connection(('localhost', 1))"
    with pytest.raises(InputError, match="the network is closed for this check"):
        install.run_apart([python, "-I", "-c", program], tmp_path)


@pytest.mark.slow
def test_install_finds_a_requirement_that_is_not_met(made: Path, tmp_path: Path) -> None:
    meta = copy.deepcopy(json.loads((made / "run" / "model-best" / "meta.json").read_text()))
    meta |= {"name": "bad", "version": "1", "requirements": ["torch>=99"]}
    built = build_wheel(made / "run" / "model-best", tmp_path, meta, "# card")
    wheel = next((built / "dist").glob("*.whl"))
    with pytest.raises(InputError, match=r"torch>=99"):
        install.install_and_load(wheel)


@pytest.mark.slow
def test_install_wheel_of_another_pipeline_is_an_error(
    wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(SystemExit):
        install.main(wheel.parent.parent, str(tmp_path / "blank"), tmp_path / "out.json")
    assert "finds other mentions or scores than" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def test_install_without_a_wheel_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        (tmp_path / "empty").mkdir()
        install.main(tmp_path / "empty", "pipeline", tmp_path / "out.json")
    assert "contains no dist/*.whl; run package first" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    ("lang", "corpus", "slim", "expected"),
    [
        ("en", "corpus/conll2003", False, "en_ner_conll03_trf"),
        ("de", "corpus/mine", False, "de_ner_mine_trf"),
        ("en", "corpus/sample", True, "en_ner_sample_slim"),
        ("en", "corpus/My Corpus-2", False, "en_ner_my_corpus_2_trf"),
        ("en", "corpus/…", False, "en_ner_custom_trf"),
    ],
)
def test_package_is_named_by_language_and_corpus(
    lang: str, corpus: str, slim: bool, expected: str
) -> None:
    meta: dict[str, Any] = {"lang": lang} | ({"slim": {}} if slim else {})
    name = package.default_name(meta, {"corpus": {f"{corpus}/{split}.spacy": "" for split in "ab"}})
    assert name == expected
    package.split_name(name, lang)  # valid


def test_package_of_an_unknown_corpus_is_named_custom() -> None:
    assert package.default_name({"lang": "en"}, {"corpus": {}}) == "en_ner_custom_trf"
