"""The same network is the same graph: four ONNX exports and ``torch.export`` give one hash."""

# ruff: noqa: SIM905  (a list of 42 strings would be 42 lines)
import io
import logging
import warnings

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("onnxscript", reason="the dynamo exporter needs onnxscript")

from archcast.encoders import read  # noqa: E402
from archcast.encoders.spaces._zoo_models import import_timm  # noqa: E402

TIMM = (
    "resnet18 resnet50 resnext50_32x4d seresnet50 resnetv2_50 res2net50_26w_4s regnety_002 "
    "densenet121 efficientnet_b0 tf_efficientnet_lite0 mixnet_s tinynet_e mobilenetv3_small_100 "
    "ghostnet_100 rexnet_100 repvgg_a0 mobileone_s0 convnext_atto dla34 hrnet_w18_small "
    "eca_nfnet_l0 cspresnet50 skresnet18 vit_tiny_patch16_224 deit_tiny_distilled_patch16_224 "
    "swin_tiny_patch4_window7_224 levit_128s mobilevit_xxs edgenext_xx_small mixer_s32_224 "
    "resmlp_12_224 gmlp_s16_224 poolformer_s12 xcit_nano_12_p16_224 cait_xxs24_224 pit_ti_224 "
    "crossvit_tiny_240 coat_tiny pvt_v2_b0 botnet26t_256 convmixer_768_32 eva02_tiny_patch14_224"
).split()
TORCHVISION = (
    "alexnet squeezenet1_0 googlenet inception_v3 mobilenet_v2 mobilenet_v3_small "
    "shufflenet_v2_x0_5 mnasnet0_5 regnet_y_400mf convnext_tiny swin_t"
).split()
#: (network, exporter) -> why there is no equal graph. Every entry is asserted to be still so.
KNOWN = {
    ("eva02_tiny_patch14_224", exporter): "the exporter itself refuses the model's attention"
    for exporter in ("torchscript folded", "torchscript")
}
SIZES = {"crossvit_tiny_240": 240, "botnet26t_256": 256, "inception_v3": 299}


def network(name: str):
    """A network as a trained one is: no two of its weights are equal."""
    timm = import_timm()
    if name in TIMM:
        module = timm.create_model(name)
    else:
        import torchvision

        options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        module = getattr(torchvision.models, name)(**options)
    generator = torch.Generator().manual_seed(1)
    running = [b for n, b in module.named_buffers() if "running" in n]
    with torch.no_grad():
        for tensor in [*module.parameters(), *running]:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.1 + 0.01)
    return module.eval()


def exports(module, x):
    """(exporter, model) pairs; None where the exporter itself fails."""
    for exporter, folding in (("torchscript folded", True), ("torchscript", False)):
        file = io.BytesIO()
        try:
            torch.onnx.export(
                module, (x,), file, dynamo=False, opset_version=17, do_constant_folding=folding
            )
        except TypeError:
            yield exporter, None
        else:
            yield exporter, file.getvalue()
    program = torch.onnx.export(module, (x,), dynamo=True, optimize=False, verbose=False)
    yield "dynamo", program.model_proto
    program.optimize()
    yield "dynamo optimised", program.model_proto


@pytest.mark.slow
@pytest.mark.parametrize("name", [*TIMM, *TORCHVISION])
def test_one_graph_for_every_exporter(name):
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    module = network(name)
    size = SIZES.get(name, 224)
    x = torch.zeros(1, 3, size, size)
    graph = read(module, example=x)
    weights = dict(module.named_parameters())
    # Auxiliary classifiers of the training lead to no output.
    assert graph.params == sum(w.numel() for n, w in weights.items() if "aux" not in n.lower())
    different = {
        exporter for exporter, model in exports(module, x) if model is None or read(model) != graph
    }
    assert different == {exporter for n, exporter in KNOWN if n == name}
