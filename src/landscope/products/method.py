"""The ways of computing a derivative product, and when each wins."""

from enum import StrEnum


class ProductMethod(StrEnum):
    """How H v, G v, … are computed on each batch.

    Costs are in gradients: one forward and backward pass over the same data.
    """

    AUTO = "auto"
    """LINEARIZED where the tracing pays (by number and arithmetic of the products made and
    announced, not by time); before, and where the model cannot be traced, CACHED_GRAPH if memory
    holds it, else DOUBLE_BACKWARD. A way once used is left only for one that gives the same
    products to rounding."""

    LINEARIZED = "linearized"
    """Derivative graphs written by the rules of `tangent_rules`, what does not depend on the vector
    done once and kept: 0.6 to 2.3 gradients per product, and memory of some activations per
    batch. Wins from some ten products on; batches beyond the memory limit are RECOMPUTED."""

    RECOMPUTED = "recomputed"
    """The same graphs, run whole for each product: about one gradient more, no memory kept. Wins
    where the data do not fit, and against FORWARD_OVER_REVERSE always once traced."""

    CACHED_GRAPH = "cached_graph"
    """Reverse mode twice, the graph of the first pass kept: 1.1 to 2.6 gradients, and the memory of
    a training step. Wins for a few products, and for models that cannot be traced."""

    FORWARD_OVER_REVERSE = "forward_over_reverse"
    """torch.func.jvp of the gradient: 2.5 to 9 gradients, nothing kept, nothing prepared. Its
    formulas are others than reverse mode's, so that it is compared on all data first."""

    DOUBLE_BACKWARD = "double_backward"
    """Reverse mode twice, from the start each time: 2 to 4 gradients. The reference that the others
    are checked against; it needs nothing but a model that torch can train."""

    FINITE_DIFFERENCE = "finite_difference"
    """Central differences of the gradient, with a step scaled by ‖v‖ and ‖W‖: two gradients, no
    second derivative at all, an error of about 1e-4 in float32 and 1e-9 in float64. Wins where
    torch has no right second derivative (weight_norm) or none at all (fused kernels). Kinks between
    the two points spoil a product; a warning tells of those along one random vector alone."""
