"""What users name on the command line."""

from pathlib import Path

import pytest

from archcast.cli._inputs import UsageError, expand, parse_recipe, parse_shapes
from archcast.encoders.errors import ShapeError

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|none~2|"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.onnx", "a.onnx", "deep/c.onnx", "note.txt", "odd[1].onnx"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_stands_for_the_models_below_it(folder: Path) -> None:
    found = [Path(name).relative_to(folder).as_posix() for name in expand([str(folder)])]
    assert found == ["a.onnx", "b.onnx", "deep/c.onnx", "odd[1].onnx"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("?.onnx", ["a.onnx", "b.onnx"]),
        ("**/c.onnx", ["deep/c.onnx"]),
        ("odd[1].onnx", ["odd[1].onnx"]),  # a file of that very name is no pattern
        ("missing*.onnx", ["missing*.onnx"]),
        ("missing.onnx", ["missing.onnx"]),
        (CELL, [CELL]),
        ("x" * 5000, ["x" * 5000]),
        ("nul\0", ["nul\0"]),
    ],
)
def test_names_and_patterns(named: str, expected: list[str]) -> None:
    assert expand([named]) == expected


def test_order_is_kept_and_nothing_is_dropped(folder: Path) -> None:
    assert expand(["b.onnx", "a.onnx", "b.onnx"]) == ["b.onnx", "a.onnx", "b.onnx"]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((), None),
        (("1,3,224,224",), (1, 3, 224, 224)),
        (("1x3x32x32",), (1, 3, 32, 32)),
        (("ids=1,128", "mask=1,128"), {"ids": (1, 128), "mask": (1, 128)}),
        (("x:0=1x16",), {"x:0": (1, 16)}),
    ],
)
def test_input_shapes(texts: tuple[str, ...], expected: object) -> None:
    assert parse_shapes(texts) == expected


@pytest.mark.parametrize(
    "texts", [("",), ("1,a",), ("0,3",), ("-1,3",), ("1,3", "1,4"), ("a=1", "2"), ("a=1", "a=2")]
)
def test_input_shapes_that_are_none(texts: tuple[str, ...]) -> None:
    with pytest.raises(ShapeError, match="--input-shape"):
        parse_shapes(texts)


def test_recipe_values_become_numbers_where_they_are() -> None:
    texts = ("epochs=300", "lr=0.1", "pretrain=in21k", "note=a=b")
    assert parse_recipe(texts) == {"epochs": 300, "lr": 0.1, "pretrain": "in21k", "note": "a=b"}
    assert parse_recipe(()) is None


@pytest.mark.parametrize("text", ["epochs", "=3", ""])
def test_recipe_fields_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="key=value"):
        parse_recipe((text,))
