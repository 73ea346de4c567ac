"""The fixed parts of the torch code that winners are written as."""

from __future__ import annotations

from typing import Final

__all__ = ["HELPERS", "MODULE"]

MODULE: Final = '''\
"""A network of the search space {space}, written by archcast; it needs torch alone."""

{imports}
SPACE = "{space}"
SPEC = {spec}


{helpers}class Network(nn.Module):
    """The network that SPEC stands for; comments tell shapes without the batch."""

    def __init__(self) -> None:
        super().__init__()
{init}
    def forward(self, {arguments}) -> {returns}:
{forward}        return {result}


def example(batch: int = 1) -> tuple[torch.Tensor, ...]:
    """Inputs of the right shapes, all zeros."""
    return ({example},)


if __name__ == "__main__":
    network = Network().eval()
    found = network(*example())
    print("outputs:", [tuple(x.shape) for x in (found if isinstance(found, tuple) else (found,))])
    print("parameters:", sum(parameter.numel() for parameter in network.parameters()))
'''

#: Name -> source of what some networks need beside torch.
HELPERS: Final[dict[str, str]] = {
    "numbers": '''\
def numbers(text: str, kind: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    """Fixed numbers, unpacked."""
    data = bytearray(zlib.decompress(base64.b64decode(text)))
    return torch.frombuffer(data, dtype=kind).reshape(shape).to(torch.get_default_device())
''',
    "attention": '''\
def attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, causal: bool
) -> torch.Tensor:
    """Scaled dot-product attention of (batch, length, features) values, split into heads."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)
''',
    "unfold": '''\
def unfold(x: torch.Tensor, window: int) -> torch.Tensor:
    """Windows around all positions of (batch, length, features), padded with zeros."""
    before = (window - 1) // 2
    return F.pad(x, (0, 0, before, window - 1 - before)).unfold(1, window, 1)
''',
    "Rotary": '''\
class Rotary(nn.Module):
    """Rotary position embedding (Su et al., 2021) of (batch, length, features)."""

    def __init__(self, length: int, heads: int, turned: int) -> None:
        super().__init__()
        self.heads, self.turned = heads, turned
        speeds = 10000.0 ** (-torch.arange(0, turned, 2) / turned)
        angles = torch.outer(torch.arange(length), speeds).repeat(1, 2)[:, None]
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = x.unflatten(-1, (self.heads, -1))
        first, second = parts[..., : self.turned].chunk(2, -1)
        across = torch.cat([-second, first], -1)
        turned = parts[..., : self.turned] * self.cos + across * self.sin
        return torch.cat([turned, parts[..., self.turned :]], -1).flatten(-2)
''',
}
