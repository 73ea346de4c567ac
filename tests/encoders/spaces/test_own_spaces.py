"""Spaces of people and of other packages: what goes wrong in them is told by name."""

import pytest

from archcast.encoders.errors import EvaluationError, InvalidSpecError, ShapeError
from archcast.encoders.spaces import SPACES, Field, FieldSpace, get_space
from archcast.encoders.spaces.nasbench201 import NASBench201


class Odd(FieldSpace):
    """Whose network is wrong in a way of its own for each choice."""

    name = "odd"
    fields = (Field("fault", ("raises", "shapes", "act", "no_output", "groups")),)

    def build(self, net, cell, num_classes, image_size):
        ((fault,),) = cell
        x = net.input((3, image_size, image_size))
        if fault == "raises":
            raise ValueError("first line\nsecond line")
        if fault == "shapes":
            x = net.add(x, net.conv(x, 8, 3))
        if fault == "act":
            x = net.act("softermax", x)
        if fault != "no_output":
            net.output(x)


FAULTS = [
    ("raises", EvaluationError, "odd: build() failed for fault=raises: ValueError: first line sec"),
    ("shapes", ShapeError, "odd: fault=shapes: values of shapes"),
    ("act", InvalidSpecError, "odd: fault=act: no activation is called"),
]


@pytest.mark.parametrize(("fault", "kind", "says"), FAULTS)
def test_a_fault_in_build_names_space_and_specification(fault, kind, says):
    spec = f"fault={fault}"
    for build in (Odd().graph, lambda text: Odd().graphs([{"fault": "groups"}, text])):
        with pytest.raises(kind) as told:
            build(spec)
        assert str(told.value).startswith(says)
        assert told.value.__cause__ is not None


@pytest.mark.parametrize(("fault", "kind", "says"), FAULTS)
def test_a_fault_in_build_is_named_where_torch_runs_it(fault, kind, says):
    pytest.importorskip("torch")
    from archcast.search.exports import torch_source

    for build in (Odd().module, lambda text: torch_source(text, Odd())):
        with pytest.raises(kind) as told:
            build(f"fault={fault}")
        assert str(told.value).startswith(says)


def test_a_network_without_an_output_is_named():
    with pytest.raises(ShapeError, match=r"^odd: fault=no_output: no output was declared"):
        Odd().graph("fault=no_output")


class Long:
    """Whose ``repr`` is that of a module."""

    def __repr__(self):
        return "Long(\n" + "  (0): Conv2d(3, 8, kernel_size=(3, 3))\n" * 250 + ")"


@pytest.mark.parametrize("name", sorted(set(SPACES) - {"lemur"}))
@pytest.mark.parametrize("wrong", [Long(), [Long()], "x" * 5000], ids=["object", "list", "text"])
def test_what_is_no_specification_is_shown_on_one_short_line(name, wrong):
    with pytest.raises(InvalidSpecError) as told:
        get_space(name).parse(wrong)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 500


def test_a_space_is_asked_for_by_its_name():
    with pytest.raises(InvalidSpecError, match=r"asked for by its name, not Long\( \(0\)"):
        get_space(Long())  # pyright: ignore[reportArgumentType]


def other_package(folder, monkeypatch, *entries):
    found = folder / "their_spaces-1.0.dist-info"
    found.mkdir()
    (found / "METADATA").write_text("Metadata-Version: 2.1\nName: their-spaces\nVersion: 1.0\n")
    lines = "\n".join(entries)
    (found / "entry_points.txt").write_text(f"[archcast.spaces]\n{lines}\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr("archcast.encoders.spaces.SPACES", dict.fromkeys(SPACES, NASBench201()))


def test_spaces_of_other_packages_are_among_the_known(tmp_path, monkeypatch):
    other_package(tmp_path, monkeypatch, "zebra_fish = no_such_module:Zebra")
    with pytest.raises(InvalidSpecError, match="did you mean 'zebra_fish'"):
        get_space("zebra_fisch")
    with pytest.raises(InvalidSpecError, match=r"known: nasbench201, .*zebra_fish$"):
        get_space("qqqqqq")


def test_the_library_s_own_space_wins_over_an_entry_point(tmp_path, monkeypatch):
    other_package(tmp_path, monkeypatch, "nasbench201 = no_such_module:Cells")
    assert type(get_space("nasbench201")) is NASBench201


def test_what_is_no_space_is_refused_by_domains_and_exports(tmp_path):
    from archcast.search import Domain, export

    for use in (Domain, lambda space: export("spec", space, tmp_path)):
        with pytest.raises(InvalidSpecError, match="asked for by its name, not Long"):
            use(Long())
