"""The proxies by name. Higher is better for every one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from importlib import import_module
from typing import Any, Final, get_args

from archcast.encoders.errors import InvalidSettingError
from archcast.zero_cost._proxy import Need, Proxy

_D: Final[frozenset[Need]] = frozenset(("data",))
_G: Final[frozenset[Need]] = frozenset(("data", "gradients"))
_L: Final[frozenset[Need]] = frozenset(("data", "labels", "gradients"))

_ABDELFATTAH: Final = "Abdelfattah et al., Zero-Cost Proxies for Lightweight NAS, ICLR 2021"
_SERIANNI: Final = (
    "Serianni & Kalita, Training-free Neural Architecture Search for RNNs and Transformers, "
    "ACL 2023"
)
_TE_NAS: Final = (
    "Chen et al., Neural Architecture Search on ImageNet in Four GPU Hours: A Theoretically "
    "Inspired Perspective, ICLR 2021"
)
_SWAP: Final = (
    "Peng et al., SWAP-NAS: Sample-Wise Activation Patterns for Ultra-fast NAS, ICLR 2024"
)
_MECO: Final = (
    "Jiang et al., MeCo: Zero-Shot NAS with One Data and Single Forward Pass via Minimum "
    "Eigenvalue of Correlation, NeurIPS 2023"
)
_TF_TAS: Final = "Zhou et al., Training-Free Transformer Architecture Search, CVPR 2022"
_AZ_NAS: Final = (
    "Lee & Ham, AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search, CVPR 2024"
)

_ALL: Final = (
    Proxy(
        "params",
        "number of weights, without biases and norms",
        "a baseline, not a method",
        "static:params",
    ),
    Proxy(
        "flops",
        "floating-point operations for one sample: two a multiply-accumulate",
        "a baseline, not a method",
        "static:flops",
    ),
    Proxy(
        "trainable_layers",
        "number of convolutions, linear, recurrent and embedding layers",
        "a baseline, not a method",
        "static:trainable_layers",
    ),
    Proxy("l2_norm", "Σ_l ‖W_l‖₂", _ABDELFATTAH, "gradients:l2_norm", _D, 0.01),
    Proxy("grad_norm", "Σ_l ‖∂L/∂W_l‖₂", _ABDELFATTAH, "gradients:grad_norm", _L, 3),
    Proxy(
        "snip",
        "Σ |W ⊙ ∂L/∂W|",
        "Lee et al., SNIP: Single-Shot Network Pruning Based on Connection Sensitivity, ICLR 2019",
        "gradients:snip",
        _L,
        3,
    ),
    Proxy(
        "plain",
        "Σ W ⊙ ∂L/∂W",
        _ABDELFATTAH,
        "gradients:plain",
        _L,
        3,
        remark="a layer that a norm follows gives zero but for rounding: this is about the others, "
        "often the classifier alone",
    ),
    Proxy(
        "grasp",
        "−Σ W ⊙ (H ∂L/∂W)",
        "Wang et al., Picking Winning Tickets Before Training by Preserving Gradient Flow, "
        "ICLR 2020",
        "gradients:grasp",
        _L,
        10,
        weights=9,
    ),
    Proxy(
        "fisher",
        "½ Σ over channels of fan-in × mean over samples of (Σ_hw a · ∂L/∂a)²",
        "Turner et al., BlockSwap: Fisher-Guided Block Substitution for Network Compression on a "
        "Budget, ICLR 2020",
        "gradients:fisher",
        _L,
        3,
    ),
    Proxy(
        "synflow",
        "log Σ W ⊙ ∂R/∂W, R the output of |W| without norms for an input of ones",
        "Tanaka et al., Pruning Neural Networks Without Any Data by Iteratively Conserving "
        "Synaptic Flow, NeurIPS 2020",
        "synflow:synflow",
        _D,
        0.2,
        remark="logarithm of the published score, which overflows for deep networks; norms of any "
        "kind, of layers and groups, too, are left out, and a softmax is a constant",
        weights=10,
    ),
    Proxy(
        "jacov",
        "−Σ [log(v + ε) + 1/(v + ε)], v the eigenvalues of the samples' Jacobians' correlation",
        "Mellor et al., Neural Architecture Search without Training, first version, 2020",
        "jacobians:jacov",
        _G,
        3,
    ),
    Proxy(
        "nwot",
        "log |det K|, K_ij the agreements of the activation codes of samples i and j",
        "Mellor et al., Neural Architecture Search without Training, ICML 2021",
        "activations:NWOT",
        _D,
        1,
    ),
    Proxy(
        "epe_nas",
        "Σ over classes of |Σ log(|correlation of Jacobians| + ε)| among the class's samples",
        "Lopes et al., EPE-NAS: Efficient Performance Estimation Without Training for Neural "
        "Architecture Search, ICANN 2021",
        "jacobians:epe_nas",
        _L,
        3,
    ),
    Proxy(
        "zen",
        "log E‖f(x) − f(x + αε)‖₁ + Σ log σ of the batch norms, standard normal weights",
        "Lin et al., Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition, ICCV 2021",
        "zen:zen",
        _D,
        2,
    ),
    Proxy(
        "ntk_condition",
        "−log κ(Θ), Θ the neural tangent kernel of the mini-batch",
        _TE_NAS,
        "ntk:ntk_condition",
        _G,
        6,
        flipped=True,
        remark="a sample's gradient takes the statistics of batch norms as constants; published "
        "code differentiates these, too, which is a backward pass a sample and another ranking",
        each=5,
    ),
    Proxy(
        "linear_regions",
        "number of different activation codes of 1000 points, in a network of few channels",
        _TE_NAS,
        "linear_regions:linear_regions",
        _D,
        0.3,
        remark="the network is shrunk to one channel where it is narrowest, and to 3x3 inputs",
    ),
    Proxy(
        "zico",
        "Σ_l log Σ_w E|g| / σ(g) over the two halves of the mini-batch",
        "Li et al., ZiCo: Zero-Shot NAS via Inverse Coefficient of Variation on Gradients, "
        "ICLR 2023",
        "zico:zico",
        _L,
        6,
        weights=14,
    ),
    Proxy(
        "meco",
        "Σ_l λ_min of the correlation of a layer's channels, for one sample",
        _MECO,
        "meco:MeCo",
        _D,
        0.2,
        remark="nodes with weights count, not modules",
    ),
    Proxy(
        "meco_opt",
        "MeCo on eight channels of each layer, times C / 8",
        _MECO,
        "meco:MeCoOpt",
        _D,
        0.2,
        remark="nodes with weights count, not modules",
    ),
    Proxy(
        "swap",
        "number of different rows of the signs of all neurons over the samples",
        _SWAP,
        "swap:SWAP",
        _D,
        1,
        remark="at most 2^B for B samples, and none where it is that: take 32 or more",
    ),
    Proxy(
        "swap_regularised",
        "log SWAP − (params − μ)² / σ",
        _SWAP,
        "swap:RegularisedSWAP",
        _D,
        1,
        remark="logarithm of the published score; params in millions, μ = σ = 1.5 unless "
        "subclassed; none where all 2^B patterns of B samples occur",
    ),
    Proxy(
        "activation_distance",
        "Σ of the agreements of the samples' activation codes",
        f"{_SERIANNI}; after Mellor et al., ICML 2021",
        "activations:ActivationDistance",
        _D,
        1,
    ),
    Proxy(
        "az_expressivity",
        "Σ over blocks of the entropy of the normalised eigenvalues of the features' covariance",
        _AZ_NAS,
        "az_nas:Expressivity",
        _D,
        1,
    ),
    Proxy(
        "az_progressivity",
        "least gain of that entropy from one block to the next",
        _AZ_NAS,
        "az_nas:Progressivity",
        _D,
        1,
    ),
    Proxy(
        "az_trainability",
        "mean over blocks of 2 − σ − 1/σ, σ the spectral norm of the block's Jacobian",
        _AZ_NAS,
        "az_nas:trainability",
        _G,
        3,
    ),
    Proxy(
        "vkdnw",
        "number of trainable layers + entropy of the deciles of the Fisher information's spectrum",
        "Týbl & Neumann, Training-free Neural Architecture Search through Variance of Knowledge of "
        "Deep Network Weights, CVPR 2025",
        "vkdnw:vkdnw",
        _G,
        15,
        remark="the Fisher information of more than 10 classes is estimated by 10 mixtures of them",
    ),
    Proxy(
        "dextr",
        "ab / (a + b), a = log(1 + Σ_l σ_min / σ_max), b = log(1 + κ)",
        "Asthana et al., Dextr: Zero-Shot Neural Architecture Search with Singular Value "
        "Decomposition and Extrinsic Curvature, TMLR 2025",
        "dextr:dextr",
        _D,
        0.5,
        remark="nodes with weights count, not modules; see dextr_published for these",
    ),
    Proxy(
        "hidden_covariance",
        "−Σ [log(v + ε) + 1/(v + ε)], v the eigenvalues of the correlation of hidden units",
        _SERIANNI,
        "recurrent:hidden_covariance",
        _D,
        70,
        remark="of the first recurrent layer; the publication's small uniform weights, whatever "
        "init is; a graph does not say which state becomes which, nearest ones are taken",
    ),
    Proxy(
        "jacobian_cosine",
        "1 − ½ mean over pairs of samples of |cos(J_i, J_j)|^(1/20)",
        "Celotti et al., Improving Zero-Shot Neural Architecture Search with Parameters Scoring, "
        "2020",
        "jacobians:jacobian_cosine",
        _G,
        3,
    ),
    Proxy(
        "head_confidence",
        "Σ over queries, keys and values of the mean of their maxima over positions",
        _SERIANNI,
        "transformer:HeadConfidence",
        _D,
        1,
    ),
    Proxy(
        "synaptic_diversity",
        "Σ over attention's matrices of ‖W‖_* · ‖∂L/∂W‖_*",
        _TF_TAS,
        "transformer:synaptic_diversity",
        _L,
        3,
    ),
    Proxy(
        "synaptic_saliency",
        "Σ over feed-forward matrices of |W ⊙ ∂L/∂W|",
        _TF_TAS,
        "transformer:synaptic_saliency",
        _L,
        3,
    ),
    Proxy(
        "dss",
        "synaptic diversity of attention + synaptic saliency of all else, of |W|, ones and ΣY",
        _TF_TAS,
        "transformer:dss",
        _G,
        1,
        remark="as released: not of a loss, but of the outputs' sum for one sample of ones",
        weights=15,
    ),
    Proxy(
        "w_pca",
        "params × Σ over feed-forward layers of the principal components for 99 % of variance",
        "Wang, W-PCA Based Gradient-Free Proxy for Efficient Search of Lightweight "
        "Language Models, ICLR 2025",
        "transformer:WPCA",
        _D,
        1,
    ),
    Proxy(
        "diswot",
        "−(distance of channels' relations + distance of samples' relations) from a teacher's",
        "Dong et al., DisWOT: Student Architecture Search for Distillation WithOut Training, "
        "CVPR 2023",
        "distillation:diswot",
        _L,
        4,
        flipped=True,
        remark="the teacher is ResNet-56 for small images; distillation.diswot_scores takes others",
    ),
)

#: Name -> proxy.
PROXIES: Final[dict[str, Proxy]] = {
    proxy.name: replace(proxy, where=f"archcast.zero_cost.proxies.{proxy.where}") for proxy in _ALL
}
#: The proxies of NAS-Bench-Suite-Zero (Krishnakumar et al. 2022), which every study compares with.
CLASSIC: Final = (
    "params", "flops", "l2_norm", "grad_norm", "snip", "plain", "grasp", "fisher", "synflow",
    "jacov", "nwot", "epe_nas", "zen",
)  # fmt: skip


def get_proxy(name: str) -> Proxy:
    """The proxy of that name.

    Raises:
        InvalidSettingError: there is none; the message names those that are close, or the proxies
            of the aggregate of that name.
    """
    if name not in PROXIES:
        from difflib import get_close_matches

        from archcast.zero_cost.aggregate import AGGREGATES

        if name in AGGREGATES:
            parts = ", ".join(AGGREGATES[name].proxies)
            raise InvalidSettingError(
                f"{name!r} is no proxy, but an aggregate of {parts}: score these, then "
                f"AGGREGATES[{name!r}](scores); on the command line --aggregate {name}"
            )
        near = get_close_matches(name, PROXIES, 3) or list(PROXIES)
        raise InvalidSettingError(f"unknown proxy {name!r}; did you mean {', '.join(near)}?")
    return PROXIES[name]


def register(proxy: Proxy) -> Proxy:
    """Make a proxy of one's own known by its name.

    Args:
        proxy: its ``where`` names a module of one's own, which is imported when a score is asked
            for (in other processes, too): ``mypackage.mine:my_proxy``. Its ``needs`` decide what
            that is called with: nothing for a function of a graph, at least ``data`` for an
            ``Observer`` or a function of a ``Lab``.

    Returns:
        The proxy.

    Raises:
        InvalidSettingError: the name is taken, ``where`` is not ``module:attribute``, or ``needs``
            has other words than ``data``, ``labels`` and ``gradients``.
    """
    if proxy.name in PROXIES:
        raise InvalidSettingError(f"there is a proxy {proxy.name!r} already")
    if not all(proxy.where.partition(":")) or proxy.where.count(":") != 1:
        raise InvalidSettingError(f"where={proxy.where!r} is not 'module:attribute'")
    known = frozenset(get_args(Need))
    if isinstance(proxy.needs, str) or not known.issuperset(proxy.needs):
        raise InvalidSettingError(
            f"needs={proxy.needs!r} is no set of {', '.join(sorted(known))}, as in "
            "needs=frozenset({'data'})"
        )
    proxy = replace(proxy, needs=frozenset(proxy.needs))
    PROXIES[proxy.name] = proxy
    return proxy


def implementation(proxy: Proxy) -> Any:
    """What computes a proxy: a function of a graph, an ``Observer``, a function of a ``Lab``.

    Raises:
        InvalidSettingError: ``where`` cannot be imported, or is something else than ``needs`` say.
    """
    module, _, attribute = proxy.where.partition(":")
    own = f"proxy {proxy.name!r}, where={proxy.where!r}"
    try:
        found = getattr(import_module(module), attribute)
    except Exception as error:  # a module of someone's own may fail in any way
        raise InvalidSettingError(f"{own}: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise InvalidSettingError(f"{own} is no function and no Observer, but {found!r}")
    if not proxy.needs:
        if isinstance(found, type):
            raise InvalidSettingError(f"{own} is a class: {_ASK_FOR_DATA}")
        return _of_graph(found, own)
    if isinstance(found, type):
        from archcast.zero_cost._lab import Observer

        if not issubclass(found, Observer):
            raise InvalidSettingError(f"{own} is a class, but no Observer")
    return found


#: What someone forgot whose proxy is called with a graph, and should not be.
_ASK_FOR_DATA: Final = (
    "an Observer or a function of a Lab needs at least needs=frozenset({'data'}); without needs it "
    "is a function of a graph"
)


def _of_graph(compute: Callable[[Any], Any], own: str) -> Callable[[Any], Any]:
    """The same function; what it asks in vain of a graph is told as a mistake in ``needs``."""

    @wraps(compute)
    def checked(graph: Any) -> Any:
        try:
            return compute(graph)
        except AttributeError as error:
            if error.obj is not graph:
                raise
            raise InvalidSettingError(
                f"{own} was called with a graph, which has no {error.name!r}: {_ASK_FOR_DATA}"
            ) from error

    return checked
