"""A decoder-only transformer by its sizes: parameters, arithmetic, activations."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Transformer:
    """Sizes of a decoder.

    Attributes
    ----------
    layers, width, hidden : int
        Blocks, features between them, features inside a block's MLP.
    heads : int
        Attention heads.
    kv_width : int
        Features of keys, and of values.
    vocabulary : int
        Number of logits.
    tied : bool
        Whether logits use the embedding's weights.
    gated : bool
        Whether the MLP has a gate: three matrices, else two.
    """

    name: str
    layers: int
    width: int
    hidden: int
    heads: int
    kv_width: int
    vocabulary: int
    tied: bool = False
    gated: bool = True

    @property
    def block(self) -> int:
        """Weights of the matrices of one block."""
        h, f = self.width, self.hidden
        return 2 * h * h + 2 * h * self.kv_width + (3 if self.gated else 2) * h * f

    @property
    def embedding(self) -> int:
        """Weights of the embedding, and of the head."""
        return self.vocabulary * self.width

    @property
    def num_params(self) -> int:
        """D, without biases."""
        norms = (2 * self.layers + 1) * self.width
        return self.embedding * (1 if self.tied else 2) + self.layers * self.block + norms

    def forward_flops(self, tokens: float, length: int) -> float:
        """Operations in matrix products of a pass forward over sequences of so many tokens.

        Two per weight and token, and 4Th per token and layer for scores and their averages.
        """
        per_token = 2 * (self.embedding + self.layers * self.block)
        return tokens * (per_token + 4 * length * self.width * self.layers)

    def activations(self, tokens: float, length: int) -> float:
        """Numbers that the operations of a pass forward give, attention's matrices written out."""
        return tokens * self.layers * (self.block_activations + 3 * self.heads * length)

    @property
    def block_activations(self) -> int:
        """Numbers per token that a block's operations give, but for attention's matrices."""
        return 11 * self.width + (4 if self.gated else 2) * self.hidden

    def checkpointed(self, tokens: float) -> float:
        """Numbers that a gradient keeps: each block's input, one block's inside, the logits.

        Attention is fused. Of the logits there are three: themselves, their gradient, and the
        log-probabilities between them.
        """
        inside = 2 * self.block_activations
        return tokens * (self.layers * self.width + inside + 3 * self.vocabulary)


PUBLISHED = (
    Transformer("Llama 3.2 1B", 16, 2048, 8192, 32, 512, 128256, tied=True),
    Transformer("Llama 2 7B", 32, 4096, 11008, 32, 4096, 32000),
    Transformer("Llama 3.1 70B", 80, 8192, 28672, 64, 1024, 128256),
    Transformer("Llama 3.1 405B", 126, 16384, 53248, 128, 1024, 128256),
)
"""Architectures by their published configurations."""
