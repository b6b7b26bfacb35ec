"""From what a layer was given and its output's gradients to its parameters' gradients, per kind."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap
from torch.nn import functional as F

from landscope.problem.network import differentiable
from landscope.products.gradient_blocks import GradientBlock, Lookups, OuterProducts, Rows


@dataclass(frozen=True)
class LayerGradients(ABC):
    """The parameters of one module that it holds itself, and their gradients term by term.

    Attributes
    ----------
    name : str
        Of the module in the model.
    module : nn.Module
        For its options; its weights have no part.
    parameters : tuple of str
        Names within the module of the parameters that are measured.
    """

    name: str
    module: nn.Module
    parameters: tuple[str, ...]

    features_last = False
    """Whether the output's last dimension holds its features."""

    @abstractmethod
    def columns(self, places: Mapping[str, Int64[Tensor, "..."]]) -> Int64[Tensor, "units width"]:
        """Where in the flat vector of weight space the block's parameters lie."""

    @abstractmethod
    def block(
        self,
        inputs: tuple[Any, ...],
        gradients: Float[Tensor, "T K ..."],
        state: Mapping[str, Tensor],
    ) -> GradientBlock:
        """The parameters' gradients from the layer's inputs and its output's gradients."""

    def full_name(self, parameter: str) -> str:
        """Name of one of its parameters in the model."""
        return f"{self.name}.{parameter}" if self.name else parameter


class MatrixGradients(LayerGradients):
    """What linear layers and convolutions share: a matrix and a bias, its last column."""

    def columns(self, places: Mapping[str, Int64[Tensor, "..."]]) -> Int64[Tensor, "units width"]:
        """One unit per output: its row of the matrix, then its bias."""
        parts = [
            places[self.full_name(p)].flatten(1) if p == "weight" else
            places[self.full_name(p)][:, None]
            for p in ("weight", "bias") if p in self.parameters
        ]  # fmt: skip
        return torch.cat(parts, dim=1)

    def homogeneous(self, features: Float[Tensor, "T q n i"]) -> Float[Tensor, "T q m i"]:
        """The features that the selected parameters multiply: 1 for the bias."""
        ones = features.new_ones(features.shape[0], features.shape[1], 1, features.shape[3])
        if "weight" not in self.parameters:
            return ones
        return torch.cat([features, ones], dim=2) if "bias" in self.parameters else features


class LinearGradients(MatrixGradients):
    """y = W x + b, at every position of a sequence."""

    features_last = True

    def block(
        self,
        inputs: tuple[Any, ...],
        gradients: Float[Tensor, "T K ..."],
        state: Mapping[str, Tensor],
    ) -> GradientBlock:
        """Outer products of gradient and input, summed over positions."""
        T, K, *_, o = gradients.shape
        x = inputs[0].reshape(T, -1, inputs[0].shape[-1]).mT[:, None]
        g = gradients.reshape(T, K, -1, o).mT[:, :, None]
        return OuterProducts(self.homogeneous(x), g)


class ConvolutionGradients(MatrixGradients):
    """Convolutions in one and two dimensions, of any stride, padding, dilation and groups."""

    def columns(self, places: Mapping[str, Int64[Tensor, "..."]]) -> Int64[Tensor, "units width"]:
        """One unit per output; with groups, per parameter."""
        columns = super().columns(places)
        assert isinstance(self.module, nn.Conv1d | nn.Conv2d)
        return columns if self.module.groups == 1 else columns.reshape(-1, 1)

    def block(
        self,
        inputs: tuple[Any, ...],
        gradients: Float[Tensor, "T K ..."],
        state: Mapping[str, Tensor],
    ) -> GradientBlock:
        """Outer products of gradient and patch, summed over the places of the kernel."""
        conv = self.module
        assert isinstance(conv, nn.Conv1d | nn.Conv2d)
        mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
        x = F.pad(inputs[0], conv._reversed_padding_repeated_twice, mode=mode)
        kernel, stride, dilation = conv.kernel_size, conv.stride, conv.dilation
        if isinstance(conv, nn.Conv1d):  # one row of pixels
            x = x[:, :, None]
            kernel, stride, dilation = (1, *kernel), (1, *stride), (1, *dilation)
        patches = F.unfold(x, kernel, dilation, 0, stride).unflatten(1, (conv.groups, -1))
        g = gradients.flatten(3).unflatten(2, (conv.groups, -1))
        return OuterProducts(self.homogeneous(patches), g)


class EmbeddingGradients(LayerGradients):
    """Rows of a table, looked up by token."""

    features_last = True

    def columns(self, places: Mapping[str, Int64[Tensor, "..."]]) -> Int64[Tensor, "units width"]:
        """One unit per column of the table."""
        return places[self.full_name("weight")].T

    def block(
        self,
        inputs: tuple[Any, ...],
        gradients: Float[Tensor, "T K ..."],
        state: Mapping[str, Tensor],
    ) -> GradientBlock:
        """The output's gradients, each at its token; padding learns nothing."""
        assert isinstance(self.module, nn.Embedding)
        T, K, *_, d = gradients.shape
        tokens = inputs[0].reshape(T, -1).long()
        g = gradients.reshape(T, K, -1, d)
        if self.module.padding_idx is not None:
            g = g * (tokens != self.module.padding_idx)[:, None, :, None]
        return Lookups(tokens, g, self.module.num_embeddings)


class NormalizationGradients(LayerGradients):
    """y = γ x̂ + β with x̂ normalised over features, groups of channels, or running statistics."""

    def columns(self, places: Mapping[str, Int64[Tensor, "..."]]) -> Int64[Tensor, "units width"]:
        """One unit per parameter: γ, then β."""
        return torch.cat(
            [
                places[self.full_name(p)].flatten()
                for p in ("weight", "bias")
                if p in self.parameters
            ]
        )[:, None]

    def block(
        self,
        inputs: tuple[Any, ...],
        gradients: Float[Tensor, "T K ..."],
        state: Mapping[str, Tensor],
    ) -> GradientBlock:
        """Σ over positions of g x̂ for γ and of g for β."""
        parts = []
        if "weight" in self.parameters:
            parts.append(self._per_feature(gradients * self._normalized(inputs[0], state)[:, None]))
        if "bias" in self.parameters:
            parts.append(self._per_feature(gradients))
        return Rows(torch.cat(parts, dim=2))

    def _normalized(self, x: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        match self.module:
            case nn.LayerNorm(normalized_shape=shape, eps=eps):
                return F.layer_norm(x, shape, eps=eps)
            case nn.GroupNorm(num_groups=groups, eps=eps):
                return F.group_norm(x, groups, eps=eps)
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                return F.batch_norm(
                    x, state["running_mean"], state["running_var"], eps=self.module.eps
                )
        raise TypeError(f"{type(self.module).__name__} is no normalisation known here")

    def _per_feature(self, values: Float[Tensor, "T K ..."]) -> Float[Tensor, "T K p"]:
        """Sum over all positions that share a parameter."""
        if isinstance(self.module, nn.LayerNorm):  # features last
            flat = values.flatten(-len(self.module.normalized_shape))
            return flat.reshape(*flat.shape[:2], -1, flat.shape[-1]).sum(2)
        return values.flatten(3).sum(3) if values.ndim > 3 else values  # channels first


class AnyGradients(LayerGradients):
    """Any other module: its own vector-Jacobian product, example by example in one vmap."""

    def columns(self, places: Mapping[str, Int64[Tensor, "..."]]) -> Int64[Tensor, "units width"]:
        """One unit per parameter."""
        return torch.cat([places[self.full_name(p)].flatten() for p in self.parameters])[:, None]

    def block(
        self,
        inputs: tuple[Any, ...],
        gradients: Float[Tensor, "T K ..."],
        state: Mapping[str, Tensor],
    ) -> GradientBlock:
        """The module is called again on each recorded input."""
        own = {p: state[p] for p in self.parameters}

        def of_term(x: tuple[Any, ...], g: Tensor) -> dict[str, Tensor]:
            def output(moved: dict[str, Tensor]) -> Tensor:
                single = tuple(part[None] if isinstance(part, Tensor) else part for part in x)
                return functional_call(self.module, {**state, **moved}, single)[0]

            pull: Callable[[Tensor], tuple[dict[str, Tensor]]] = vjp(output, own)[1]
            return vmap(lambda cotangent: pull(cotangent)[0])(g)

        along = tuple(0 if isinstance(x, Tensor) else None for x in inputs)
        with differentiable():
            found = vmap(of_term, in_dims=(along, 0))(inputs, gradients)
        return Rows(torch.cat([found[p].flatten(2) for p in self.parameters], dim=2))


KINDS: dict[type[nn.Module], type[LayerGradients]] = {
    nn.Linear: LinearGradients,
    nn.Conv1d: ConvolutionGradients,
    nn.Conv2d: ConvolutionGradients,
    nn.Embedding: EmbeddingGradients,
    nn.LayerNorm: NormalizationGradients,
    nn.GroupNorm: NormalizationGradients,
    nn.BatchNorm1d: NormalizationGradients,
    nn.BatchNorm2d: NormalizationGradients,
}


def gradients_of(name: str, module: nn.Module, parameters: tuple[str, ...]) -> LayerGradients:
    """The closed form of the module's kind, or the general product where it has none."""
    for kind, gradients in KINDS.items():
        known = isinstance(module, kind) and type(module).forward is kind.forward
        if known and set(parameters) <= {"weight", "bias"} and _plain(module):
            return gradients(name, module, parameters)
    return AnyGradients(name, module, parameters)


def _plain(module: nn.Module) -> bool:
    """Whether the closed form holds with the module's options."""
    if isinstance(module, nn.Embedding):  # these two change the table, or its gradient
        return module.max_norm is None and not module.scale_grad_by_freq
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return not module.training and module.running_mean is not None
    return True
