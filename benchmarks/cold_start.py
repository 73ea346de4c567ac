"""How long a forecast takes and how much memory: one Markdown table.

    python benchmarks/cold_start.py [--out benchmarks/results/speed.md]

Cold rows are whole processes, CPU seconds of user and system by ``os.wait4``, the median of
``--repeats``. Networks come from the installed onnx package; the 1.2 GB file, a ViT-L with its
weights inside, is written to a temporary folder and removed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnx
from onnx import TensorProto, helper

CLI = "import sys; from archcast.cli import main; sys.exit(main())"
LIGHT = Path(onnx.__path__[0]) / "backend" / "test" / "data" / "light"

Row = tuple[str, str, str]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    parser.add_argument("--repeats", type=int, default=5, help="processes a row; the median counts")
    parser.add_argument("--files", type=int, default=1000, help="files in the throughput row")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            *cold(options.repeats),
            *warm(Path(folder), options.files),
            *huge(Path(folder), options.repeats),
            *cells(),
        ]
    text = "\n".join(
        [
            "| what | measured | beside it, or aim |",
            "|---|---|---|",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
            *origin(),
            "",
        ]
    )
    sys.stdout.write(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)


def cold(repeats: int) -> Iterator[Row]:
    """A forecast from the command line, beside the imports that nothing can avoid."""
    resnet = str(LIGHT / "light_resnet50.onnx")
    base, _ = process("import numpy, onnx", repeats=repeats)
    ours, memory = process(CLI, "predict", resnet, repeats=repeats)
    yield (
        "cold `archcast predict resnet50.onnx`",
        f"{ours:.2f} CPU-s, {ours - base:.2f} over the imports, {memory:.0f} MB",
        f"`import numpy, onnx` {base:.2f} CPU-s; aim: at most 0.6 over it",
    )


def with_initializers(model: onnx.ModelProto) -> onnx.ModelProto:
    """The package's network as exporters write it: weights are initializers, kept outside.

    In the package's file they are computed by an operator each, to keep the file small.
    """
    graph = model.graph
    shapes = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    filled = [node for node in graph.node if node.op_type == "ConstantOfShape"]
    for node in filled:
        dims = shapes[node.input[0]].tolist()
        weight = TensorProto(name=node.output[0], data_type=TensorProto.FLOAT, dims=dims)
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value="resnet50.weights")
        graph.initializer.append(weight)
        graph.node.remove(node)
    return model


def warm(folder: Path, files: int) -> Iterator[Row]:
    """Forecasts in a running process, and many files in one command."""
    import archcast

    computed = LIGHT / "light_resnet50.onnx"
    resnet = folder / "resnet50.onnx"
    onnx.save(with_initializers(onnx.load(computed)), resnet)
    for path, what in ((resnet, "resnet50.onnx"), (computed, "the onnx package's resnet50")):
        archcast.predict(path)
        each = timed(lambda path=path: archcast.predict(path), 100)
        operators = len(onnx.load(path, load_external_data=False).graph.node)
        yield (
            f"warm `archcast.predict` of {what} ({operators} ONNX operators)",
            f"{1e3 * each:.1f} ms",
            "aim: at most 10 ms",
        )
    for i in range(files - 1):
        shutil.copy(resnet, folder / f"{i}.onnx")
    seconds, memory = process(CLI, "predict", str(folder), repeats=1)
    yield (
        f"`archcast predict` of {files:,} such files",
        f"{seconds:.1f} CPU-s, {memory:.0f} MB",
        f"aim: at most {files / 100:g} s",
    )
    for path in folder.glob("*.onnx"):
        path.unlink()


def huge(folder: Path, repeats: int) -> Iterator[Row]:
    """A file whose weights are inside and large."""
    path = folder / "vit_large.onnx"
    write_vit(path)
    size = path.stat().st_size / 1e9
    base, base_memory = process("import numpy, onnx", repeats=repeats)
    theirs, their_memory = process(f"import onnx; onnx.load({str(path)!r})", repeats=1)
    code = f"import onnx, archcast; archcast.predict({str(path)!r})"
    ours, our_memory = process(code, repeats=repeats)
    yield (
        f"forecast of a ViT-L with {size:.1f} GB of weights inside, whole process",
        f"{ours - base:.2f} CPU-s and {our_memory - base_memory:.0f} MB over the imports; "
        f"{our_memory:.0f} MB in all",
        f"`onnx.load` alone: {theirs - base:.2f} CPU-s and {their_memory - base_memory:.0f} MB "
        "over the imports; aim: at most 0.5 s and 200 MB",
    )
    path.unlink()


def cells() -> Iterator[Row]:
    """All cells of NAS-Bench-201, from text to forecast."""
    import archcast
    from archcast.encoders.spaces import get_space

    space = get_space("nasbench201")
    specs = ["nasbench201:" + str(spec) for spec in space.enumerate()]
    archcast.predict(specs[:2], task="cifar10/test_accuracy")
    start = time.process_time()
    forecasts = archcast.predict(specs, task="cifar10/test_accuracy")
    seconds = time.process_time() - start
    yield (
        f"{len(forecasts):,} NAS-Bench-201 strings to graphs, features and forecasts",
        f"{seconds:.1f} CPU-s",
        "aim: at most 10 s on one core",
    )


def process(code: str, *argv: str, repeats: int) -> tuple[float, float]:
    """Median CPU seconds, and largest resident memory in MB, of Python processes."""
    command = [sys.executable, "-c", _LAUNCHER, sys.executable, "-c", code, *argv]
    runs = [
        json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        for _ in range(repeats)
    ]
    failed = [run for run in runs if run["code"]]
    if failed:
        raise SystemExit(f"failed: {code} {' '.join(argv)}")
    return statistics.median(run["seconds"] for run in runs), max(run["mb"] for run in runs)


# A process starts with the peak memory of the one that forked it, so a small one stands between.
_LAUNCHER = """
import json, os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
seconds, mb = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
print(json.dumps({"code": status, "seconds": seconds, "mb": mb}))
"""


def timed(call: Callable[[], object], repeats: int) -> float:
    """Median CPU seconds of a call."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def write_vit(path: Path, width: int = 1024, depth: int = 24, heads: int = 16) -> None:
    """Write a ViT-L/16 for 224 pixels, all weights zero and inside the file."""
    model = Builder()
    kernel = model.weight(width, 3, 16, 16)
    x = model.op("Conv", "image", kernel, model.weight(width), strides=[16, 16])
    x = model.op("Reshape", x, model.constant([1, width, 196]))
    x = model.op("Transpose", x, perm=[0, 2, 1])
    x = model.op("Concat", model.weight(1, 1, width), x, axis=1)
    x = model.op("Add", x, model.weight(1, 197, width))
    for _ in range(depth):
        x = model.op("Add", x, model.attention(model.norm(x, width), width, heads))
        y = model.linear(model.norm(x, width), width, 4 * width)
        y = model.op("Gelu", y)
        x = model.op("Add", x, model.linear(y, 4 * width, width))
    x = model.op("Gather", model.norm(x, width), model.constant(0), axis=1)
    x = model.op("Gemm", x, model.weight(width, 1000), model.weight(1000))
    model.save(path, x)


class Builder:
    """Collects nodes and zero weights of an ONNX model."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator; returns its output's name."""
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def weight(self, *shape: int) -> str:
        """Add float32 zeros of a shape."""
        name = f"w{len(self.tensors)}"
        zeros = np.zeros(shape, np.float32).tobytes()
        self.tensors.append(helper.make_tensor(name, TensorProto.FLOAT, shape, zeros, raw=True))
        return name

    def constant(self, values: list[int] | int) -> str:
        """Add integers, such as a shape."""
        name = f"w{len(self.tensors)}"
        array = np.array(values, np.int64)
        self.tensors.append(onnx.numpy_helper.from_array(array, name))
        return name

    def linear(self, x: str, width_in: int, width_out: int) -> str:
        """A matrix product and a bias over tokens."""
        product = self.op("MatMul", x, self.weight(width_in, width_out))
        return self.op("Add", product, self.weight(width_out))

    def norm(self, x: str, width: int) -> str:
        """A layer norm over the features."""
        return self.op("LayerNormalization", x, self.weight(width), self.weight(width), axis=-1)

    def attention(self, x: str, width: int, heads: int) -> str:
        """Multi-head self-attention over 197 tokens."""
        shape = self.constant([1, 197, heads, width // heads])
        parts = []
        for order in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):  # queries, keys, values
            split = self.op("Reshape", self.linear(x, width, width), shape)
            parts.append(self.op("Transpose", split, perm=order))
        scores = self.op("MatMul", parts[0], parts[1])
        scale = self.op("Constant", value_float=float((width // heads) ** -0.5))
        weights = self.op("Softmax", self.op("Mul", scores, scale), axis=-1)
        mixed = self.op("Transpose", self.op("MatMul", weights, parts[2]), perm=[0, 2, 1, 3])
        joined = self.op("Reshape", mixed, self.constant([1, 197, width]))
        return self.linear(joined, width, width)

    def save(self, path: Path, output: str) -> None:
        """Write the model, with one image in and one vector of scores out."""
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 224, 224])
        scores = helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, 1000])
        graph = helper.make_graph(self.nodes, "vit_large", [image], [scores], self.tensors)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), path)


def origin() -> list[str]:
    """Where the figures come from: command, date, machine, versions."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("numpy", "onnx"))
    return [
        f"Command: `python {' '.join(sys.argv)}`, {date.today()}, one thread.",
        f"Machine: {processor()}, {os.cpu_count()} cores, shared with other work; "
        f"Python {platform.python_version()}, {versions}.",
    ]


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
