"""Reading many architectures at once."""

from pathlib import Path

import pytest

from archcast.encoders import read, read_all
from archcast.encoders.errors import InvalidSpecError, ShapeError, UnreadableModelError
from archcast.encoders.spaces import get_space


def test_a_mixture_keeps_its_order_and_gives_the_graphs_of_read(light_models: list[Path]) -> None:
    cells = [f"nasbench201:{spec}" for spec in get_space("nasbench201").sample(5, seed=1)]
    mixture = [cells[0], light_models[0], *cells[1:3], read(light_models[1]), *cells[3:]]
    assert [graph.hash for graph in read_all(mixture)] == [read(obj).hash for obj in mixture]
    assert read_all([]) == []


def test_the_first_bad_one_is_told(light_models: list[Path]) -> None:
    with pytest.raises(InvalidSpecError):
        read_all([light_models[0], "nasbench201:|nor_conv_3x3~0|"])


def test_what_does_not_apply_is_said(tmp_path: Path) -> None:
    cell = "nasbench201:|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|none~2|"
    with pytest.raises(ShapeError, match="own input"):
        read_all([cell], (1, 3, 64, 64))
    path = tmp_path / "text.onnx"
    path.write_text("hello, this is no model")
    with pytest.raises(UnreadableModelError, match=r"text\.onnx: "):
        read_all([path])


def test_long_specifications_are_no_files():
    space = get_space("darts")
    spec = "darts:" + space.sample(1)[0]
    assert len(spec) > 255
    assert read(spec) == read_all([spec])[0] == space.graph(spec)


def test_a_text_like_a_specification_of_an_unknown_space_names_the_close_one():
    with pytest.raises(InvalidSpecError, match="did you mean 'nats_size'"):
        read("nats-size:64:64:56:64:24")
