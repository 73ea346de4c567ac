"""What every benchmark prints: one Markdown table, with how it was made."""

from __future__ import annotations

import argparse
import datetime
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from archcast.evaluation.metrics import kendall, spearman

__all__ = ["kendall", "parser", "publish", "spearman", "table"]


def parser(description: str) -> argparse.ArgumentParser:
    """Options that all benchmarks share."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--out", type=Path, help="write the table to this file, too")
    return options


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is left-aligned, the others right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def publish(
    title: str,
    parts: Sequence[str],
    out: Path | None,
    packages: Sequence[str],
    processes: str = "one thread",
) -> None:
    """Print the parts under a heading that says how they were made, and write them if asked."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    made = (
        f"Command: `python {' '.join(_command())}`; {datetime.date.today().isoformat()}; "
        f"{_machine()}, {processes}; Python {platform.python_version()}, {versions}."
    )
    text = "\n\n".join([f"# {title}", *parts, made]) + "\n"
    sys.stdout.write(text)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, "utf-8")


def _command() -> list[str]:
    """What was typed, without folders of this machine that only keep finished work."""
    words = iter(sys.argv)
    return [word for word in words if word != "--work" or not next(words, "")]


def _machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
