"""Packing for a machine without a network: what is unpacked by tar is what was packed."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner, Result

from conll_ner.benchmarking.benchmark import app

UNPACK = "cat {}/part-* | tar --extract --xz --directory {}"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["pack", *map(str, arguments)])


@pytest.fixture
def files(tmp_path: Path, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(tiny_backbone, tmp_path / "assets" / "tiny")
    (tmp_path / "assets" / "tiny" / "source.json").write_text('{"name": "tiny"}')
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "train.spacy").write_bytes(bytes(range(256)) * 100)
    (tmp_path / "assets" / "link.spacy").symlink_to(tmp_path / "corpus" / "train.spacy")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def unpack(parts: Path, target: Path) -> Path:
    target.mkdir()
    subprocess.run(["bash", "-c", UNPACK.format(parts, target)], check=True)
    return target


def test_pack_rounds_weights_to_the_nearest_and_nothing_else(files: Path) -> None:
    assert run("assets", "corpus/train.spacy", "packed", "--bits", 5).exit_code == 0
    found = unpack(files / "packed", files / "there")
    packed = {str(p.relative_to(files)) for p in files.rglob("*") if p.is_file()}
    unpacked = {str(p.relative_to(found)) for p in found.rglob("*") if p.is_file()}
    assert unpacked == {p for p in packed if p.startswith(("assets/", "corpus/"))}
    for name in unpacked - {"assets/tiny/model.safetensors", "assets/tiny/source.json"}:
        assert (found / name).read_bytes() == (files / name).read_bytes()
    source = json.loads((found / "assets/tiny/source.json").read_text())
    assert source == {"name": "tiny", "mantissa_bits": 5}
    old, new = (load_file(root / "assets/tiny/model.safetensors") for root in (files, found))
    assert old.keys() == new.keys()
    for name, values in old.items():
        fraction, exponent = numpy.frexp(values.astype("float64"))
        # 5 bits behind the leading one, by frexp's fraction from 0.5 to 1; halves go away from zero
        nearest = numpy.ldexp(
            numpy.sign(fraction) * numpy.floor(numpy.abs(fraction) * 64 + 0.5), exponent - 6
        )
        numpy.testing.assert_array_equal(new[name], nearest.astype("float32"))


def test_pack_with_all_bits_keeps_every_byte(files: Path) -> None:
    assert run("assets", "packed", "--bits", 23).exit_code == 0
    found = unpack(files / "packed", files / "there")
    for path in (files / "assets").rglob("*"):
        if path.is_file():
            assert (found / path.relative_to(files)).read_bytes() == path.read_bytes()


def test_pack_cuts_parts_of_a_size_and_fewer_bits_are_smaller(files: Path) -> None:
    sizes = {}
    for bits in (4, 23):
        result = run("assets", "packed", "--bits", bits, "--mb", 0.02)
        parts = [path.stat().st_size for path in sorted((files / "packed").glob("part-*"))]
        assert len(parts) > 1
        assert all(size == 20_000 for size in parts[:-1])
        assert f"{len(parts)} parts" in result.stdout
        sizes[bits] = sum(parts)
    assert sizes[4] < 0.6 * sizes[23]


def test_pack_bad_input_is_one_line_and_writes_nothing(files: Path) -> None:
    for name in ("damaged", "half"):
        shutil.copytree(files / "assets" / "tiny", files / name)
    (files / "damaged" / "model.safetensors").write_bytes(b"\0" * 100)
    (files / "half" / "source.json").write_text("{")
    for sources, message in (
        (["nowhere"], "nowhere: no such file or folder"),
        ([files / "assets"], "is not below the current folder"),
        (["damaged"], "damaged/model.safetensors: damaged"),
        (["half"], "half/source.json: not a JSON object; fetch the backbone again"),
        (["assets", "../x"], "no such file"),
    ):
        result = run(*sources, "packed")
        assert result.exit_code == 1
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert not (files / "packed").exists()
