"""Multi-resolution networks: codes, and their networks for two tasks."""

import pytest

from archcast.encoders import read
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces import recognise
from archcast.encoders.spaces.nasbench_mr import NASBenchMR

SPACE = NASBenchMR()
TEXT = "96_128-1_1_1_48-1_2_1_1_128_8-1_3_1_1_1_128_128_120-4_4_4_4_4_4_128_128_128_128-64"
#: The same, as the README of the benchmark spells it out.
CODE = [
    *(96, 128, 1, 1, 48, 1, 1, 1, 128, 8, 1, 1, 1, 1, 128, 128, 120),
    *(4, 4, 4, 4, 4, 128, 128, 128, 128, 64),
]  # fmt: skip


def test_forms_of_the_benchmark():
    cell = SPACE.parse(TEXT)
    assert SPACE.parse(CODE) == SPACE.parse(tuple(CODE)) == cell
    assert SPACE.parse({"embedding": CODE, "top1": 80.0}) == cell
    assert SPACE.text(cell) == TEXT
    found = recognise(TEXT)
    assert found is not None
    assert found[0].name == "nasbench_mr"


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        (TEXT.replace("96_", "97_"), "'97'"),
        (TEXT.replace("1_2_1_1", "1_3_1_1"), "stage 2"),
        (TEXT.removesuffix("-64"), "six groups"),
        (TEXT.replace("4_4_4_4_4_4", "5_4_4_4_4_4"), "modules cannot be '5'"),
        ([*CODE[:-1], 12], "last cannot be 12"),
        (CODE[:-1], "neither text"),
    ],
)
def test_errors_name_the_fault(spec, fault):
    with pytest.raises(InvalidSpecError, match=fault):
        SPACE.parse(spec)


def test_modules_of_both_tasks_read_as_the_direct_graphs():
    torch = pytest.importorskip("torch")
    short = "16_8-1_1_1_8-1_2_1_2_8_16-2_3_1_1_2_8_16_24-1_4_1_1_1_1_8_16_24_32-8"
    for task, size in (("segmentation", 100), ("classification", 100)):
        space = NASBenchMR(task)
        with torch.device("meta"):
            module = space.module(short, image_size=size).eval()
        graph = space.graph(short, image_size=size)
        assert read(module, example=module.example()) == graph


def test_segmentation_gives_every_position_its_classes():
    graph = NASBenchMR("segmentation").graph(TEXT, num_classes=19, image_size=256)
    assert graph.output_shape == (1, 19, 64, 64)
    assert graph.params == SPACE.graph(TEXT, num_classes=19).params


def test_unknown_task_is_refused():
    with pytest.raises(InvalidSpecError, match="video"):
        NASBenchMR("video")
