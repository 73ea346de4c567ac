"""A language model small enough for tests: random weights, the words of our own texts."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from archcast.encoders.ops import OPS

WIDTH, LAYERS, POSITIONS = 32, 2, 256
#: A fixed place, so that tables of settings may name it before any fixture has run.
TINY_ENCODER = Path(tempfile.gettempdir()) / f"archcast-tiny-encoder-{os.getuid()}"


@pytest.fixture(scope="session", autouse=True)
def tiny_encoder() -> Path:
    """A folder as sentence-transformers saves one."""
    if not TINY_ENCODER.exists():
        made = Path(tempfile.mkdtemp())
        _write(made)
        with contextlib.suppress(OSError):  # another process was faster
            made.rename(TINY_ENCODER)
    return TINY_ENCODER


def _write(folder: Path) -> None:
    from safetensors.numpy import save_file

    vocabulary = _vocabulary()
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "max_position_embeddings": POSITIONS,
        "num_attention_heads": 2,
        "num_hidden_layers": LAYERS,
        "vocab_size": len(vocabulary),
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "pad_token_id": 0,
    }
    _json(folder / "config.json", config)
    _json(folder / "tokenizer.json", _tokenizer(vocabulary))
    special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    kind = {"tokenizer_class": "BertTokenizer", "unk_token": "[UNK]"}
    _json(folder / "tokenizer_config.json", kind | special)
    _json(folder / "sentence_bert_config.json", {"max_seq_length": POSITIONS})
    paths = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (path, name) in enumerate(paths.items())
    ]
    _json(folder / "modules.json", modules)
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True}
    _json(folder / "1_Pooling" / "config.json", pooling)
    save_file(_weights(len(vocabulary)), folder / "model.safetensors", metadata={"format": "pt"})


def _vocabulary() -> list[str]:
    words = sorted({word for op in OPS for word in op.split("_")} | {"operators", "depth"})
    signs = [chr(code) for code in range(33, 127)]
    pieces = [f"##{sign}" for sign in signs if sign.isalnum()]
    return list(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *signs, *pieces, *words]))


def _tokenizer(vocabulary: list[str]) -> dict:
    marks = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [{"id": i, "content": m, "special": True} | flags for i, m in enumerate(marks)]
    lower = {"clean_text": True, "handle_chinese_chars": False, "lowercase": True}
    return {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "strip_accents": None} | lower,
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {word: i for i, word in enumerate(vocabulary)},
        },
    }


def _weights(words: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {
        "embeddings.word_embeddings.weight": (words, WIDTH),
        "embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "pooler.dense": (WIDTH, WIDTH),
    }
    for layer in range(LAYERS):
        own = f"encoder.layer.{layer}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes[f"{own}.attention.{part}"] = (WIDTH, WIDTH)
        shapes[f"{own}.intermediate.dense"] = (2 * WIDTH, WIDTH)
        shapes[f"{own}.output.dense"] = (WIDTH, 2 * WIDTH)
    found = {}
    for name, shape in shapes.items():
        matrix = (0.3 * rng.standard_normal(shape)).astype(np.float32)
        if name.endswith(".weight"):
            found[name] = matrix
        else:
            found |= {f"{name}.weight": matrix, f"{name}.bias": np.zeros(shape[0], np.float32)}
    norms = [
        f"encoder.layer.{i}.{part}"
        for i in range(LAYERS)
        for part in ("attention.output", "output")
    ]
    for name in ("embeddings", *norms):
        found[f"{name}.LayerNorm.weight"] = np.ones(WIDTH, np.float32)
        found[f"{name}.LayerNorm.bias"] = np.zeros(WIDTH, np.float32)
    return found


def _json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), "utf-8")
