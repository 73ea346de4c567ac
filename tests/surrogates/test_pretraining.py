"""Building predictors: the same bytes twice, families that share a network stay together."""

from __future__ import annotations

import pytest

from archcast import pretraining
from archcast._training_sets import join_families
from archcast.encoders.errors import UnknownTaskError
from archcast.predictors import load_predictor


def test_tiny_is_built_to_the_byte(mirror, tmp_path):
    first, second = (
        [*pretraining.pretrain("tiny", out=tmp_path / name)] for name in ("one", "two")
    )
    assert [p.name for p in first] == ["cifar100.test_accuracy.safetensors"]
    assert first[0].read_bytes() == second[0].read_bytes()
    predictor = load_predictor(first[0])
    assert len(predictor.cloud_.names) == 50
    assert predictor.labels_.max() < 74


def test_an_unknown_preset_gets_a_hint():
    with pytest.raises(UnknownTaskError, match="did you mean core"):
        next(pretraining.pretrain("cor"))


def test_families_that_share_a_network_are_one():
    families = ["vit", "deit", "resnet", "deit", "beit", "resnext"]
    hashes = ["a", "a", "b", "c", "c", "d"]
    joined = join_families(families, hashes)
    assert joined[0] == joined[1] == joined[3] == joined[4]
    assert len({joined[0], joined[2], joined[5]}) == 3
