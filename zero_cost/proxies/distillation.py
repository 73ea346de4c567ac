"""DisWOT: students that see what a teacher sees, before either is trained.

Teacher and student are given the same mini-batch. Compared are the relations of samples (which
features are alike) and of channels (which ones the classifier's gradient would use together).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from archcast.encoders import read, read_all
from archcast.encoders.spaces._net_graph import GraphNet
from archcast.zero_cost._data import Data
from archcast.zero_cost._lab import Lab
from archcast.zero_cost._program import Program, compile_graph
from archcast.zero_cost._weights import Initialisation, Weights

if TYPE_CHECKING:
    from archcast.encoders.graph import ComputeGraph
    from archcast.encoders.spaces._net import Value
    from archcast.zero_cost.scoring import Scores

#: Widths of a ResNet's stages for small images, and blocks in each: ResNet-56.
_WIDTHS: Final = (16, 32, 64)
_BLOCKS: Final = 9
#: Images are brought down to at most as many rows first.
_ROWS: Final = 32


class View(NamedTuple):
    """What a network makes of a mini-batch.

    Attributes:
        channels: (classes, C) gradient of the loss by the classifier's weights: the mean features
            of samples, weighted by how wrong each class is.
        samples: (B, B) products of the samples' features, rows of length one.
    """

    channels: Tensor
    samples: Tensor


def diswot(lab: Lab) -> Tensor:
    """(G,) minus the distance from ResNet-56, see :func:`resnet_teacher`."""
    views = [_viewed(lab, a) for a in range(len(lab))]
    found = torch.full((len(lab),), float("nan"), dtype=torch.float64)
    for a, view in enumerate(views):
        if isinstance(view, str):
            lab.refuse(a, view)
            continue
        step = lab.programs[a].instructions[lab.programs[a].inputs[0]]
        if step.extent[0] > 1 or min(step.extent[1:]) < 4:
            lab.refuse(a, "its input is no image: there is no teacher for it")
            continue
        shape = (step.channels, *step.extent[1:])
        found[a] = -distance(_teacher_view(lab, shape, *view.channels.shape), view)
    return found


def diswot_scores(
    students: Iterable[Any],
    teacher: Any,
    *,
    samples: int = 32,
    seed: int = 0,
    init: Initialisation = "kaiming",
    data: tuple[Any, Any] | None = None,
    device: str = "cpu",
) -> Scores:
    """Scores of students for one's own teacher.

    Args:
        students: N architectures, whatever :func:`archcast.encoders.read` takes.
        teacher: an architecture whose classifier reads as many channels, and knows as many
            classes, as the students'.
        samples: B, samples in the mini-batch.
        seed: of weights, inputs and labels.
        init: of the weights.
        data: (images, labels), as for :func:`~archcast.zero_cost.score`.
        device: ``cpu`` or ``cuda``.

    Returns:
        ``diswot`` -> (N,) scores, higher is better; NaN with a reason where there is none.

    Raises:
        InvalidSettingError: the teacher has no classifier, a setting is unknown or too small.
        ArchcastError: an architecture cannot be read.
    """
    from archcast.encoders.errors import InvalidSettingError
    from archcast.zero_cost.scoring import Scores

    place = torch.device(device)
    weights = Weights(seed, init, place, torch.float32)
    images, labels = data or (None, None)
    shared = Data(samples, seed, images, labels, device=place)

    def view(graph: ComputeGraph) -> View | str:
        return _viewed(Lab([compile_graph(graph)], weights, shared, differentiate=True), 0)

    known = view(read(teacher))
    if isinstance(known, str):
        raise InvalidSettingError(f"this is no teacher: {known}")
    graphs = read_all(students)
    found, reasons = np.full(len(graphs), np.nan), {}
    for row, graph in enumerate(graphs):
        seen = view(graph)
        if isinstance(seen, str):
            reasons[row] = seen
        elif seen.channels.shape != known.channels.shape:
            ours, theirs = tuple(seen.channels.shape), tuple(known.channels.shape)
            reasons[row] = f"its classifier's weights are {ours}, the teacher's {theirs}"
        else:
            found[row] = -float(distance(known, seen))
    return Scores({"diswot": found}, {"diswot": reasons})


def distance(teacher: View, student: View) -> Tensor:
    """Semantic plus relation distance; each is a mean square, between 0 and 4.

    Semantic: for each class the (C, C) products of the gradients of two channels' weights, rows
    of length one; the sum of squared differences over C, the mean over classes. These matrices
    have rank one, so that rows are the gradient's direction with a channel's sign, and the sum
    follows from signs and one cosine. Relation: the mean over all entries of the squared
    differences of the samples' products.

    Reference:
        Dong et al., "DisWOT: Student Architecture Search for Distillation WithOut Training", CVPR
        2023; as released, channels by the gradients of the classifier's weights.
    """
    signs = teacher.channels.sign() * student.channels.sign()
    lengths = teacher.channels.norm(dim=1) * student.channels.norm(dim=1)
    cosine = (teacher.channels * student.channels).sum(1) / lengths.clamp_min(1e-300)
    rows = (teacher.channels != 0).sum(1) + (student.channels != 0).sum(1)
    semantic = ((rows - 2 * signs.sum(1) * cosine) / teacher.channels.shape[1]).mean()
    return semantic + (teacher.samples - student.samples).square().mean()


def resnet_teacher(shape: tuple[int, int, int], classes: int, channels: int) -> ComputeGraph:
    """The teacher of whoever names none: ResNet-56 for small images (He et al., CVPR 2016).

    Larger images are first brought down to at most 32 rows by the stride of the first
    convolution; a 1x1 convolution gives as many channels as the student's classifier reads where
    these are not 64.

    Args:
        shape: channels, height and width of the images.
        classes: of the classifier.
        channels: that the classifier reads.
    """
    net = GraphNet()
    stride = max(1, -(-max(shape[1:]) // _ROWS))
    x = net.conv_norm(net.input(shape), _WIDTHS[0], 3, "relu", stride=stride)
    for stage, width in enumerate(_WIDTHS):
        for block in range(_BLOCKS):
            x = _block(net, x, width, 2 if stage and not block else 1)
    if channels != _WIDTHS[-1]:
        x = net.conv_norm(x, channels, 1, "relu")
    x = net.reshape(net.global_pool(x), channels)
    net.output(net.linear(x, classes))
    return net.graph("archcast", "teacher")


def _block(net: GraphNet, x: Value, width: int, stride: int) -> Value:
    """Two 3x3 convolutions beside the identity, or a 1x1 convolution where shapes change."""
    y = net.conv_norm(x, width, 3, "relu", stride=stride)
    y = net.conv_norm(y, width, 3)
    if stride > 1:
        x = net.conv_norm(x, width, 1, stride=stride)
    return net.act("relu", net.add(y, x))


# ------------------------------------------------------------------------- views
#: Views of teachers by the mini-batch they were given; the rest of the key is what they are.
_TEACHERS: WeakKeyDictionary[Data, dict[object, View]] = WeakKeyDictionary()


def _teacher_view(lab: Lab, shape: tuple[int, int, int], classes: int, channels: int) -> View:
    kept = _TEACHERS.setdefault(lab.data, {})
    key = (lab.weights.seed, lab.weights.init, shape, classes, channels)
    if key not in kept:
        program = compile_graph(resnet_teacher(shape, classes, channels))
        view = _viewed(Lab([program], lab.weights, lab.data, differentiate=True), 0)
        assert isinstance(view, View)
        kept[key] = view
    return kept[key]


def _viewed(lab: Lab, architecture: int) -> View | str:
    """What an architecture of a lab makes of the mini-batch, or why that cannot be said."""
    program = lab.programs[architecture]
    node = _classifier(program)
    if node is None:
        return "no classifier: its result is no linear map of channels"
    gradient = next(
        grad[k]
        for step, grad, _ in lab.gradients
        for k, owners in enumerate(step.owners)
        if owners[0] == (architecture, node)
    )
    features = next(
        step.values[k]
        for step in lab.steps
        for k, owners in enumerate(step.owners)
        if owners[0] == (architecture, program.features)
    )
    flat = features.detach().flatten(1).to(torch.float64)
    relations = torch.nn.functional.normalize(flat @ flat.T, dim=1, eps=1e-300)
    return View(gradient.detach().flatten(1).to(torch.float64).cpu(), relations.cpu())


def _classifier(program: Program) -> int | None:
    """The linear operator whose result is the network's, up to operators without weights."""
    if not program.outputs:
        return None
    node = program.outputs[0]
    while True:
        step = program.instructions[node]
        if step.weight:
            pointwise = step.op == "conv" and step.positions == 1 and step.kernel == (1, 1, 1)
            return node if step.op == "linear" or pointwise else None
        if len(step.inputs) != 1:
            return None
        node = step.inputs[0]
