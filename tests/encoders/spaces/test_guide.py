"""The guide to the spaces names what they have."""

import re

from archcast.encoders import spaces
from archcast.encoders.spaces import Space


def test_methods_the_guide_names_exist(root):
    text = (root / "encoders" / "spaces" / "README.md").read_text("utf-8")
    first = text.split("\n\n")[1]
    named = re.findall(r"`([a-z_]+)`", first)
    assert {"parse", "sample", "graph", "module"} <= set(named)
    assert [name for name in named if not hasattr(Space, name)] == []
    assert all(hasattr(spaces, name) for name in ("SPACES", "get_space"))
