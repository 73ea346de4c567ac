"""The Transformer spaces: their own forms, what they refuse, and numbers of their networks."""

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces import SPACES, get_space, recognise

FAMILIES = (
    "autoformer_tiny", "autoformer_small", "autoformer_base", "flexibert", "hat_iwslt14deen",
    "hat_wmt14ende", "hat_wmt14enfr", "hat_wmt19ende", "hwgpt_s", "hwgpt_m", "hwgpt_l", "scan_llm",
)  # fmt: skip
AUTOFORMER = {
    "layer_num": 12,
    "embed_dim": [192] * 12,
    "mlp_ratio": [4, 3.5] * 6,
    "num_heads": [3, 4] * 6,
}
BERT = {
    "hidden_size": 128,
    "nas_config": {
        "encoder_layers": [
            {"operation_type": kind, "operation_parameter": parameter, "num_operation_heads": 2,
             "feed_forward_dimension": 512, "num_feed_forward": 3}
            for kind, parameter in (("SA", "WMA"), ("DSC", 9))
        ]
    },
}  # fmt: skip
HAT = {
    "encoder": {
        "encoder_embed_dim": 512,
        "encoder_layer_num": 6,
        "encoder_ffn_embed_dim": [1024] * 6,
        "encoder_self_attention_heads": [4] * 6,
    },
    "decoder": {
        "decoder_embed_dim": 640,
        "decoder_layer_num": 3,
        "decoder_ffn_embed_dim": [1024, 1024, 2048, 512, 512, 512],
        "decoder_self_attention_heads": [4] * 6,
        "decoder_ende_attention_heads": [4] * 6,
        "decoder_arbitrary_ende_attn": [2, -1, 1, -1, -1, -1],
    },
}


@pytest.mark.parametrize(
    "name",
    ["autoformer_tiny", "flexibert", "hat_iwslt14deen", "hat_wmt14ende", "hwgpt_s", "scan_llm"],
)
def test_networks_run_and_learn(name):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    space = get_space(name)
    spec = min(space.sample(30, seed=1), key=len)
    small = space.neighbours(spec)[0] if name == "scan_llm" else spec
    module = space.module(small, num_classes=7, image_size=32 if "auto" in name else 5)
    inputs = tuple(
        x + 1 if x.dtype == torch.int64 else torch.randn_like(x) for x in module.example(2)
    )
    result = module(*inputs)
    assert result.shape == ((2, 7) if name.startswith(("auto", "flexi")) else (2, 5, 7))
    result.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_sizes_count_networks_once():
    assert get_space("flexibert").size == 2 * (48**2 + 48**4)
    assert get_space("autoformer_tiny").size == 3 * sum(4**depth for depth in (12, 13, 14))
    assert get_space("hwgpt_s").size == 3 * 2 * sum(9**depth for depth in (10, 11, 12))
    scan = get_space("scan_llm")
    assert scan.size == len(list(scan.enumerate())) == 3780


@pytest.mark.parametrize(
    ("name", "original", "text"),
    [
        (
            "autoformer_tiny",
            AUTOFORMER,
            f"layer_num=12;embed_dim=192;mlp_ratio={','.join(['4.0,3.5'] * 6)};"
            f"num_heads={','.join(['3,4'] * 6)}",
        ),
        (
            "flexibert",
            BERT,
            "hidden=128;layers=2;operation=WMA,DSC9;heads=2,2;feed_forward=512,512;stack=3,3",
        ),
        (
            "hat_wmt14ende",
            HAT,
            "encoder_embed_dim=512;encoder_ffn_embed_dim=1024,1024,1024,1024,1024,1024;"
            "encoder_self_attention_heads=4,4,4,4,4,4;decoder_embed_dim=640;decoder_layer_num=3;"
            "decoder_ffn_embed_dim=1024,1024,2048;decoder_self_attention_heads=4,4,4;"
            "decoder_ende_attention_heads=4,4,4;decoder_arbitrary_ende_attn=2,-1,1",
        ),
        (
            "hwgpt_s",
            {
                "embed_dim": "192",
                "n_layer": "10",
                "n_head": "12|4|8|4|4|4|4|4|4|4",
                "mlp_ratio": "2|3|4|2|2|2|2|2|2|2",
                "bias": "1",
            },
            "embed_dim=192;n_layer=10;n_head=12,4,8,4,4,4,4,4,4,4;mlp_ratio=2,3,4,2,2,2,2,2,2,2;"
            "bias=1",
        ),
    ],
)
def test_forms_of_the_benchmarks_are_read(name, original, text):
    space = get_space(name)
    assert space.text(space.parse(original)) == text
    assert space.parse(text) == space.parse(original)


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("autoformer_tiny", AUTOFORMER | {"embed_dim": [192, 216] * 6}, "layer to layer"),
        ("autoformer_tiny", AUTOFORMER | {"num_heads": [3] * 11}, "11 values"),
        ("autoformer_tiny", AUTOFORMER | {"layer_num": 11}, "'?11'?; it is one of 12, 13, 14"),
        ("autoformer_tiny", AUTOFORMER | {"mlp_ratio": [2] * 12}, r"mlp_ratio cannot be 2\.0"),
        ("flexibert", BERT | {"nas_config": {"encoder_layers": [{}]}}, "operation_type"),
        ("flexibert", BERT | {"nas_config": 3}, "flexibert"),
        (
            "flexibert",
            {
                "hidden_size": 128,
                "nas_config": {
                    "encoder_layers": [
                        layer | {"operation_parameter": 7}
                        for layer in BERT["nas_config"]["encoder_layers"]
                    ]
                },
            },
            "no operation SA-7",
        ),
        ("hat_wmt14ende", HAT | {"encoder": 5}, "not mappings"),
        (
            "hat_wmt14ende",
            HAT | {"encoder": HAT["encoder"] | {"encoder_layer_num": 5}},
            "encoder_layer_num is 6, not 5",
        ),
        ("scan_llm", "d_model=320;n_layers=12;n_heads=12", "n_heads=12"),
    ],
)
def test_what_is_wrong_is_named(name, spec, message):
    with pytest.raises(InvalidSpecError, match=message):
        get_space(name).parse(spec)


def test_only_texts_of_one_space_name_it():
    for name in FAMILIES:
        text = get_space(name).sample(1, seed=4)[0]
        found = recognise(text)
        assert (found is None) == name.startswith("hat_")
        assert found is None or found[0].name == name
    assert set(FAMILIES) <= set(SPACES)


def test_layers_that_are_not_there_count_for_nothing():
    space = get_space("hwgpt_s")
    longest = space.parse("embed_dim=192;n_layer=12;n_head=" + ",".join(["12"] * 12)
                          + ";mlp_ratio=" + ",".join(["4"] * 12) + ";bias=0")  # fmt: skip
    shorter = space.parse((longest[0], (10,), *longest[2:]))
    assert space.text(shorter).count("12") == 10
    assert [len(list(space.layers(cell, "n_head"))) for cell in (longest, shorter)] == [12, 10]
    assert space.text(shorter) in space.neighbours(longest)


def transformed(kind, x, heads):
    """The transform of FlexiBERT with identity projections, through the module."""
    from archcast.encoders.spaces._net_torch import TorchNet
    from archcast.encoders.spaces.flexibert import _transform

    net = TorchNet()
    net.output(_transform(net, net.input(x.shape), heads, kind))
    module = net.module()
    linear = next(layer for layer in module.layers.values() if hasattr(layer, "weight"))
    linear.weight.data.copy_(linear.weight.new_tensor(np.eye(x.shape[1])))
    linear.bias.data.zero_()
    return module(x[None])[0]


def test_fourier_transform_is_torchs():
    torch = pytest.importorskip("torch")
    x = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    parts = x.reshape(6, 2, 4).permute(1, 0, 2)
    expected = torch.fft.fft2(parts).real.permute(1, 0, 2).reshape(6, 8)
    assert torch.allclose(transformed("DFT", x, 2), expected, atol=1e-4)


def test_cosine_transform_is_scipys():
    torch = pytest.importorskip("torch")
    fft = pytest.importorskip("scipy.fft")
    x = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    parts = x.reshape(6, 2, 4).permute(1, 0, 2).numpy()
    expected = fft.dctn(parts, type=2, axes=(1, 2)).transpose(1, 0, 2).reshape(6, 8)
    np.testing.assert_allclose(transformed("DCT", x, 2).detach().numpy(), expected, atol=1e-3)


def test_rotation_keeps_lengths_and_sees_only_distances():
    torch = pytest.importorskip("torch")
    from archcast.encoders.spaces._net_torch import _Rotary

    rotary = _Rotary(length=9, heads=2, turned=4)
    vector = torch.randn(2, 1, 1, 16, generator=torch.Generator().manual_seed(0))
    q, k = (rotary(v.expand(1, 9, 16)).unflatten(-1, (2, 8))[0] for v in vector)
    np.testing.assert_allclose(q.norm(dim=-1), q.norm(dim=-1)[:1].expand(9, 2), rtol=1e-5)
    scores = torch.einsum("ihd,jhd->hij", q, k)
    assert torch.allclose(scores[:, 1, 4], scores[:, 3, 6], atol=1e-5)
    assert not torch.allclose(scores[:, 1, 4], scores[:, 4, 1], atol=1e-3)
    assert torch.equal(q[0, :, 4:], q[5, :, 4:])


def test_relative_positions_are_those_of_a_square():
    from archcast.encoders.spaces.autoformer import _relative

    down, right = _relative(3, 4)
    assert down.shape == right.shape == (13, 13)
    assert set(down[0]) == set(right[:, 0]) == {0}
    # From the first patch to the last of the third row: two down, three to the right.
    assert (down[1, 12], right[1, 12]) == (15 + 2, 15 + 3)
    far, _ = _relative(40, 1)
    assert (far[1:, 1:].min(), far.max()) == (1, 29)


def test_dynamic_convolution_is_a_weighted_window():
    torch = pytest.importorskip("torch")
    from archcast.encoders.spaces._net_torch import _unfold

    x = torch.arange(12.0).reshape(1, 4, 3)
    windows = _unfold(x, 3)
    assert windows.shape == (1, 4, 3, 3)
    assert windows[0, 0, 1].tolist() == [0, 1, 4]
    assert windows[0, 3, 2].tolist() == [8, 11, 0]


def test_a_decoder_does_not_see_what_comes():
    torch = pytest.importorskip("torch")
    for name in ("hwgpt_s", "scan_llm", "hat_iwslt14deen"):
        torch.manual_seed(0)
        space = get_space(name)
        spec = min(space.sample(30, seed=1), key=len)
        module = space.module(spec, num_classes=11, image_size=6).eval()
        ids = [torch.randint(0, 11, x.shape) for x in module.example()]
        before = module(*ids)
        ids[-1][:, 4:] = (ids[-1][:, 4:] + 1) % 11
        after = module(*ids)
        assert torch.allclose(before[:, :4], after[:, :4], atol=1e-5)
        assert not torch.allclose(before[:, 4:], after[:, 4:], atol=1e-3)
