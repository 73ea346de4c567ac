"""Recordings from foreign code are believed only as far as they are well formed."""

import json

import pytest

from archcast.datasets.foreign._recordings import checked
from archcast.encoders._torch.capture import Recording, Ref, Shape, Step
from archcast.encoders.errors import UnreadableModelError


def recording() -> Recording:
    image, row = Shape((1, 3, 8, 8), True), Shape((1, 192), True)
    return Recording(
        inputs={"x": image},
        weights={"w": (Shape((10, 192), True), "linear.weight", True)},
        values={"w": [1.0, 2.0]},
        steps=[
            Step("a", "aten.flatten.using_ints", (Ref("x"), 1), {}, row),
            Step("b", "aten.linear.default", (Ref("a"), Ref("w")), {}, Shape((1, 10), True)),
            Step("c", "aten.unbind.int", (Ref("b"),), {"dim": 0}, [Shape((10,), True), None]),
        ],
        outputs=["b"],
    )


def test_a_true_one_passes_unchanged():
    assert checked(recording().to_json()) == recording()


def changed(key, value):
    data = json.loads(recording().to_json())
    data[key] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "7",
        "[" * 100_000,
        None,
        7,
        changed("inputs", {"x": [[1, -3], True]}),
        changed("inputs", {"x": [[1 << 60], True]}),
        changed("inputs", {"x": [[1 << 30, 1 << 30], True]}),
        changed("inputs", {"x": [["3"], True]}),
        changed("inputs", {"x": [[1] * 17, True]}),
        changed("inputs", {"x": None}),
        changed("inputs", {"x" * 2000: [[1], True]}),
        changed("weights", {"w": [[[10], True], 5, True]}),
        changed("weights", {"w": [[[10], True], "q", 1]}),
        changed("weights", {"w": [[[10], True]]}),
        changed("values", {"other": [1.0]}),
        changed("values", {"w": [0.0] * 65}),
        changed("values", {"w": ["1"]}),
        changed("steps", [["a", "t", [{"@": "later"}], {}, None]]),
        changed("steps", [["x", "t", [], {}, None]]),
        changed("steps", [["a", 5, [], {}, None]]),
        changed("steps", [["a", "t", [{"y": 1}], {}, None]]),
        changed("steps", [["a", "t", [[[[[[[[[[1]]]]]]]]]], {}, None]]),
        changed("steps", [["a", "t", [], [], None]]),
        changed("steps", [["a", "t", [], {}, "shape"]]),
        changed("steps", [["a", "t", [], {}]]),
        changed("steps", [["a", "t", ["x" * 2000], {}, None]]),
        changed("outputs", ["nowhere"]),
        changed("outputs", [5]),
        changed("outputs", "b"),
        changed("outputs", None),
    ],
)
def test_rubbish_is_refused(text):
    with pytest.raises(UnreadableModelError, match="not a recording"):
        checked(text)
