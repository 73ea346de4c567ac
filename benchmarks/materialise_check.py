"""The source as a network: are its numbers those of torch and of onnxruntime?

Every network is exported to ONNX and read back by `archcast.zero_cost.source.load_source`; the same
random input goes through both with the same weights. `difference` is the largest absolute
difference divided by the largest absolute output; up to 1e-4 counts as equal. `batch` says how two
samples were run through a file that was exported for one (together, fitted, one by one), with the
largest difference of that, too. `gradients` counts parameters with a finite gradient of the mean
square of the output, in training mode where the file allows it, of all parameters.
"""

# ruff: noqa: SIM905  (lists of names would be 60 lines)

from __future__ import annotations

import io
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnx.reference
import onnxruntime
import torch
from _report import parser, publish, table

from archcast.encoders.errors import ArchcastError
from archcast.encoders.spaces import SPACES, get_space
from archcast.encoders.spaces._zoo_models import import_timm, import_torchvision
from archcast.zero_cost.source import load_source

TIMM = """
resnet18 resnext50_32x4d seresnet50 resnetv2_50 res2net50_26w_4s regnety_002 densenet121
efficientnet_b0 mixnet_s mobilenetv3_small_100 ghostnet_100 rexnet_100 repvgg_a0 mobileone_s0
convnext_atto dla34 hrnet_w18_small eca_nfnet_l0 skresnet18 vit_tiny_patch16_224
swin_tiny_patch4_window7_224 levit_128s mobilevit_xxs edgenext_xx_small mixer_s32_224
gmlp_s16_224 poolformer_s12 xcit_nano_12_p16_224 cait_xxs24_224 pit_ti_224 coat_tiny pvt_v2_b0
botnet26t_256
""".split()
TORCHVISION = """
alexnet squeezenet1_0 googlenet inception_v3 mobilenet_v2 shufflenet_v2_x0_5 mnasnet0_5
""".split()
#: Image size where it is fixed; 128 elsewhere, which costs less and leaves nothing out.
SIZES = {"botnet26t_256": 256} | dict.fromkeys(
    "vit_tiny_patch16_224 swin_tiny_patch4_window7_224 levit_128s mixer_s32_224 gmlp_s16_224 "
    "xcit_nano_12_p16_224 cait_xxs24_224 pit_ti_224 coat_tiny pvt_v2_b0".split(),
    224,
)
#: Networks that go through both exporters; the newer takes ten seconds for each.
BOTH = """
efficientnet_b0 convnext_atto vit_tiny_patch16_224 swin_tiny_patch4_window7_224
shufflenet_v2_x0_5
""".split()
#: The zoos are measured by themselves; the rest are spaces beside a smaller one of their kind.
SKIPPED = {
    *("timm", "torchvision", "lemur"),
    *("autoformer_small", "autoformer_base", "hat_wmt14ende", "hat_wmt14enfr", "hat_wmt19ende"),
    *("hwgpt_m", "hwgpt_l", "ofa_mobilenetv3_w12"),
}
EQUAL = 1e-4

Row = list[str]


def distance(found: Any, wanted: Any) -> float:
    """Largest absolute difference over the largest absolute number."""
    worst = 0.0
    for a, b in zip(_arrays(found), _arrays(wanted), strict=True):
        if a.shape != b.shape:
            return float("inf")
        off = np.abs(a - b)[~((a == b) | (np.isnan(a) & np.isnan(b)))]
        if off.size:
            top = np.abs(b[np.isfinite(b)]).max(initial=1e-12)
            worst = max(worst, float(np.nan_to_num(off, nan=np.inf).max() / top))
    return worst


def _arrays(values: Any) -> list[np.ndarray]:
    if isinstance(values, (list, tuple)):
        return [array for value in values for array in _arrays(value)]
    if isinstance(values, torch.Tensor):
        values = values.detach().double().numpy()
    return [np.asarray(values, np.float64)]


def gradients(network: Any) -> str:
    """Parameters with a finite gradient, of all."""
    network.train()
    try:
        results = network(*network.example(2, seed=2))
    except ArchcastError:
        network.eval()
        results = network(*network.example(2, seed=2))
    results = results if isinstance(results, tuple) else (results,)
    loss = sum(r.square().mean() for r in results if r.is_floating_point())
    parameters = list(network.parameters())
    if not parameters:
        return "0/0"
    found = torch.autograd.grad(loss, parameters, allow_unused=True)  # type: ignore[arg-type]
    good = [g for g in found if g is not None and bool(torch.isfinite(g).all())]
    return f"{len(good)}/{len(parameters)}{'' if network.training else ' (evaluation)'}"


def batches(network: Any, run: Any) -> str:
    """How two samples are run, and how far they are from each alone in the reference."""
    inputs = network.example(2, seed=1)
    with torch.no_grad():
        found = network(*inputs)
    parts = [_arrays(run(tuple(x[i : i + 1] for x in inputs))) for i in range(2)]
    wanted = [np.concatenate(pair) for pair in zip(*parts, strict=True)]
    return f"{network.batching} {distance(found, wanted):.0e}"


def compare(name: str, exporter: str, model: Any, run: Any, *, layer: bool = False) -> Row:
    """One row: a file against a reference that takes and gives tensors.

    Of a single layer only the numbers are compared: its inputs need have no batch.
    """
    try:
        network = load_source(model).eval()
        inputs = network.example(seed=3)
        with torch.no_grad():
            off = distance(network(*inputs), run(inputs))
        row = [name, exporter, f"{off:.0e}", "yes" if off <= EQUAL else "**no**"]
        return [*row, *(("", "") if layer else (batches(network, run), gradients(network)))]
    except (ArchcastError, RuntimeError, ValueError, NotImplementedError) as error:
        line = str(error).partition("\n")[0][:100]
        return [name, exporter, "-", f"**no**: {type(error).__name__}: {line}", "-", "-"]


# ----------------------------------------------------------------- exported modules
def spread(module: Any) -> Any:
    """Weights as a trained network's: no two equal, statistics of norms included."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("weight") and tensor.dim() > 1 and not bool(tensor.any()):
                tensor.add_(0.02 * noise)  # a head that starts at zero shows nothing
            if "running_var" in name:
                tensor.copy_(1 + 0.2 * noise.abs())
            elif "running_mean" in name or tensor.dim() == 1:
                tensor.add_(0.1 * noise)
    return module.eval()


def exported(module: Any, inputs: tuple[Any, ...], newer: bool) -> Iterator[tuple[str, Any]]:
    """(exporter, model or the reason why there is none)."""
    file = io.BytesIO()
    try:
        torch.onnx.export(module, inputs, cast("Any", file), dynamo=False, opset_version=17)
        yield "torchscript", file.getvalue()
    except Exception as error:  # exporters raise anything
        yield "torchscript", error
        newer = True
    if newer:
        program: Any = torch.onnx.export(module, inputs, dynamo=True, verbose=False)
        yield "dynamo", program.model_proto


def exported_rows(name: str, module: Any, inputs: tuple[Any, ...], newer: bool) -> Iterator[Row]:
    def run(values: tuple[Any, ...]) -> Any:
        with torch.no_grad():
            return module(*values)

    for exporter, model in exported(module, inputs, newer):
        if isinstance(model, Exception):
            line = str(model).partition("\n")[0][:80]
            yield [name, exporter, "-", f"the exporter refuses: {line}", "-", "-"]
        else:
            yield compare(name, exporter, model, run)


def zoo() -> Iterator[Row]:
    timm, vision = import_timm(), import_torchvision()
    for name in [*TIMM, *TORCHVISION]:
        torch.manual_seed(0)
        options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        module = (
            timm.create_model(name) if name in TIMM else vision.models.get_model(name, **options)
        )
        size = SIZES.get(name, 128)
        yield from exported_rows(
            name, spread(module), (torch.zeros(1, 3, size, size),), name in BOTH
        )


def smallest(name: str) -> tuple[Any, str]:
    """The one of eight random networks of a space with the fewest weights."""
    space = get_space(name)
    specs = space.sample(8, seed=1)
    graphs = space.graphs(specs)
    return space, specs[min(range(len(specs)), key=lambda i: graphs[i].params)]


def spaces() -> Iterator[Row]:
    for name in [n for n in SPACES if n not in SKIPPED]:
        torch.manual_seed(0)
        space, spec = smallest(name)
        # Few words, short texts and small pictures: the operators are the same.
        classes = 64 if space.num_classes > 1000 else None
        module = spread(space.module(spec, classes, min(space.image_size, 96)))
        yield from exported_rows(name, module, module.example(), newer=False)


# ------------------------------------------------------------------------- files
def wheel() -> Iterator[Row]:
    """The real networks among the onnx wheel's own tests, and its single layers."""
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data"
    for path in sorted(folder.glob("light/*.onnx")):
        model = drawn(path)
        yield compare(path.stem, "file", model, _runtime(model))
    for path in sorted(folder.glob("pytorch-*/*/model.onnx")):
        model = path.read_bytes()
        yield compare(path.parent.name, "file", model, _runtime(model), layer=True)


def drawn(path: Path) -> bytes:
    """A file whose weights are all one number, with random ones in their place."""
    model = onnx.load(path)
    state = load_source(model, weights="fresh", seed=3).state_dict()
    weights = {name.removeprefix("weights."): value.numpy() for name, value in state.items()}
    kept = [node for node in model.graph.node if node.output[0] not in weights]
    given = [proto for proto in model.graph.initializer if proto.name not in weights]
    made = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    if kept[-1].op_type == "Softmax":  # which saturates, and hides what comes before
        model.graph.output[0].name = kept.pop().input[0]
        model.graph.output[0].ClearField("type")
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(kept)
    model.graph.initializer.extend([*given, *made])
    return model.SerializeToString()


def _runtime(model: bytes) -> Any:
    graph = onnx.load_from_string(model).graph
    given = {proto.name for proto in graph.initializer}
    names = [value.name for value in graph.input if value.name not in given]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session: Any = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    except Exception:  # what onnxruntime has no kernel for, onnx's own evaluator runs
        session = onnx.reference.ReferenceEvaluator(model)
    return lambda values: session.run(
        None, dict(zip(names, (v.numpy() for v in values), strict=True))
    )


PARTS = {"zoo": zoo, "spaces": spaces, "wheel": wheel}
TITLES = {
    "zoo": "timm and torchvision, against torch",
    "spaces": "One network of every search space, against torch",
    "wheel": "Files of the onnx wheel, against onnxruntime",
}


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    chosen = options.parse_args()
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    head = ("network", "exporter", "difference", "equal", "batch of 2", "gradients")
    parts = [(__doc__ or "").partition("\n\n")[2].strip()]
    for part in chosen.parts:
        rows, start = [], time.monotonic()
        for row in PARTS[part]():
            rows.append(row)
            sys.stderr.write(f"{time.monotonic() - start:6.1f} s {' | '.join(row)}\n")
        equal = sum(row[3] == "yes" for row in rows)
        tried = sum(not row[3].startswith("the exporter") for row in rows)
        parts += [f"## {TITLES[part]}: {equal} of {tried}", table(head, rows)]
    publish("The source as a network", parts, chosen.out, ("torch", "onnx", "onnxruntime", "timm"))


if __name__ == "__main__":
    main()
