"""Tables and numbers, for people and for programs."""

import json
import math

import pytest

from archcast.cli import _columns, _render
from archcast.cli._numbers import quantity, share, span
from archcast.cli._render import Column

COLUMNS = (Column("Name", "name"), Column("Value", "value", lambda r: f"{r['value']:.1f} %"))
ROWS = [{"name": "a\tb\nc", "value": 0.1 + 0.2}, {"name": "d", "value": None}]


def test_piped_tables_are_tab_separated_with_full_precision(capsys: pytest.CaptureFixture) -> None:
    _render.write_table(COLUMNS, ROWS, ["a note"])
    assert capsys.readouterr().out == "name\tvalue\na b c\t0.30000000000000004\nd\t\n"


def test_tables_on_a_terminal_are_for_people(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_render, "is_terminal", lambda: True)
    _render.write_table(COLUMNS, ROWS[:1], ["a [note]"])
    out = capsys.readouterr().out
    assert "0.3 %" in out
    assert "a [note]" in out  # no markup is read out of texts


def test_json_is_one_line_and_valid_whatever_the_numbers(capsys: pytest.CaptureFixture) -> None:
    _render.write_json({"value": math.nan, "interval": (1.5, math.inf), "deep": {"x": -math.inf}})
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out) == {"value": None, "interval": [1.5, None], "deep": {"x": None}}


def test_no_progress_bar_when_nobody_watches(capsys: pytest.CaptureFixture) -> None:
    with _render.progress("reading", 10) as advance:
        advance(10)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(76.123, "%", "76.1 %"), (12.3456, "ms", "12.35 ms"), (3.0, "", "3"), (math.nan, "%", "?")],
)
def test_quantity(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_span_and_share() -> None:
    assert span((70.04, 80.06), "%") == "70.0 to 80.1"
    assert span((1234.5, 2345.6), "ms") == "1234 to 2346"
    assert [share(x) for x in (0.456, None, math.nan)] == ["46 %", "", ""]


def test_short_names_stay_distinct() -> None:
    names = ["x/a.onnx", "y/a.onnx", "y/b.onnx", "|skip~0|/|none~1|"]
    assert _columns.short_names(names) == {
        "x/a.onnx": "x/a.onnx",
        "y/a.onnx": "y/a.onnx",
        "y/b.onnx": "b.onnx",
        "|skip~0|/|none~1|": "|skip~0|/|none~1|",
    }
