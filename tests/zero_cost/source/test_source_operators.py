"""Every operator against the cases that the onnx package itself defines."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
cases = pytest.importorskip("onnx.backend.test.case.node")

from archcast.encoders.errors import ArchcastError  # noqa: E402
from archcast.zero_cost.source import load_source  # noqa: E402

#: Prefix of a case -> why other numbers come out. Every entry is asserted to be still so.
KNOWN = {
    "test_bernoulli": "random numbers are torch's",
    "test_training_dropout": "dropout is without effect",
    "test_resize_downsample_scales_linear_align_corners": "as onnxruntime: the result's whole size",
    "test_resize_downsample_scales_cubic_align_corners": "as onnxruntime: the result's whole size",
    "test_top_k_same_values": "torch takes others of equal numbers",
    "test_unique_not_sorted": "torch sorts",
}


def tensor(value):
    """A case's operand as a tensor; TypeError for types that torch has no numbers for."""
    array = np.asarray(value)
    if array.dtype.kind not in "biufc" or array.dtype in (np.uint16, np.uint32, np.uint64):
        raise TypeError(array.dtype)
    return torch.from_numpy(array.copy())


def agrees(case):
    """Whether the numbers are the case's; None if it is not for us, an error if it is refused."""
    domains = {o.domain for o in case.model.opset_import} - {"", "ai.onnx"}
    if domains or any(
        isinstance(v, list) for data in case.data_sets for part in data for v in part
    ):
        return None
    try:
        data = [([tensor(v) for v in inputs], list(map(tensor, outputs)))
                for inputs, outputs in case.data_sets]  # fmt: skip
    except TypeError:
        return None
    network = load_source(case.model).eval()
    quantised = "quant" in case.name or "qlinear" in case.name
    for inputs, wanted in data:
        with torch.no_grad():
            found = network(*inputs)
        found = found if isinstance(found, tuple) else (found,)
        for a, b in zip(found, wanted, strict=True):
            kind = torch.complex128 if b.is_complex() else torch.float64
            loose = max(case.rtol, 1e-2 if b.dtype == torch.float16 else 1e-4)
            near = torch.allclose(
                a.to(kind), b.to(kind), loose, 1.0 if quantised else 1e-5, equal_nan=True
            )
            if a.shape != b.shape or not near:
                return False
    return True


@pytest.mark.slow
def test_every_case_of_the_standard_agrees_or_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        every = [c for c in cases.collect_testcases(None) if not c.name.endswith("_expanded")]
    right, wrong, refused = [], [], []
    for case in every:
        try:
            answer = agrees(case)
        except ArchcastError:
            refused.append(case.name)
            continue
        if answer is not None:
            (right if answer else wrong).append(case.name)
    assert [name for name in wrong if not name.startswith(tuple(KNOWN))] == []
    assert [key for key in KNOWN if not any(name.startswith(key) for name in wrong)] == []
    assert len(right) > 4 * len(refused)
