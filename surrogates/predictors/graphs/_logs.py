"""What a training writes down: a CSV file, TensorBoard's event files."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archcast.encoders._files import write_atomically
from archcast.encoders.errors import InvalidSettingError, MissingExtraError


class Logs:
    """Records of epochs, written to a folder as they come.

    Args:
        folder: where ``metrics.csv`` and ``events.*`` go; None writes nothing.
        kinds: ``csv`` and ``tensorboard``.

    Raises:
        InvalidSettingError: no such kind, or logs without a folder.
        MissingExtraError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path | None, kinds: Sequence[str]) -> None:
        for kind in kinds:
            if kind not in {"csv", "tensorboard"}:
                raise InvalidSettingError(f"unknown log {kind!r}; one of csv, tensorboard")
        self.folder, self.kinds = folder, kinds
        self.written = 0
        self.board: Any = None

    def add(self, history: Sequence[dict[str, float]]) -> None:
        """Write the records that are new."""
        if self.folder is None or not history:
            return
        if "csv" in self.kinds:
            text = io.StringIO()
            writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(history)
            data = text.getvalue().encode()
            write_atomically(self.folder / "metrics.csv", lambda file: file.write(data))
        if "tensorboard" in self.kinds:
            board = self._open(int(history[self.written]["epoch"]) if self.written else 0)
            for record in history[self.written :]:
                for name, value in record.items():
                    if name != "epoch" and math.isfinite(value):
                        board.add_scalar(name, value, int(record["epoch"]))
            board.flush()
        self.written = len(history)

    def close(self) -> None:
        """Close what is open."""
        if self.board is not None:
            self.board.close()

    def _open(self, epoch: int) -> Any:
        if self.board is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise MissingExtraError(
                    "TensorBoard is not installed: pip install 'archcast[graphs]'"
                ) from error
            # What an earlier run wrote after its last checkpoint is hidden.
            self.board = SummaryWriter(str(self.folder), purge_step=epoch)
        return self.board
