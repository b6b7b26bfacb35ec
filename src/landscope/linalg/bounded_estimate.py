"""An estimate whose interval comes from bounds, not from its standard error alone."""

from collections.abc import Callable
from typing import Any, SupportsFloat, cast

from landscope.linalg.estimate import Estimate


class BoundedEstimate(Estimate):
    """An estimate with an interval of its own: skewed, and with room for more than sampling errors.

    Parameters
    ----------
    value, stderr, num_products
        As for `Estimate`.
    ends : callable
        Lower and upper end of the interval at a level in (0, 1).

    Examples
    --------
    >>> share = BoundedEstimate(0.1, 0.04, lambda level: (0.05, 0.25))
    >>> share
    Estimate(0.100 ± 0.040)
    >>> share.interval()
    (0.05, 0.25)
    """

    __slots__ = ("ends",)

    ends: Callable[[float], tuple[float, float]]

    def __new__(  # noqa: D102
        cls,
        value: SupportsFloat,
        stderr: SupportsFloat,
        ends: Callable[[float], tuple[float, float]],
        num_products: int = 0,
    ) -> "BoundedEstimate":
        self = cast(BoundedEstimate, super().__new__(cls, value, stderr, num_products=num_products))
        self.ends = ends
        return self

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Interval that covers the truth at least as often as the level says.

        Parameters
        ----------
        level : float
            In (0, 1).

        Returns
        -------
        tuple of float
            Lower and upper end.
        """
        if not 0 < level < 1:
            raise ValueError(f"level must lie in (0, 1), got {level}")
        return self.ends(level)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.value, self.stderr, self.ends, self.num_products)
