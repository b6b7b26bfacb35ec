"""A number that carries its error."""

import math
from typing import Any, SupportsFloat

from scipy.special import stdtrit

from landscope import arguments as check
from landscope.linalg.plus_minus import plus_minus


class Estimate(float):
    """A float with a standard error, for a number that was estimated from random probes.

    It is the value wherever a float is expected; arithmetic gives plain floats.

    Parameters
    ----------
    value : float
        The estimate.
    stderr : float
        Its standard error, in the unit of the value; 0 says that the value is exact.
    dof : float
        Degrees of freedom of the standard error (Student t); infinite: Gaussian.
    num_products : int
        Products with the operator that were spent on it.

    Examples
    --------
    >>> trace = Estimate(3.2071, stderr=0.0412, dof=9)
    >>> trace
    Estimate(3.207 ± 0.041)
    >>> low, high = trace.interval(0.95)
    >>> print(f"{trace:.2f}, between {low:.2f} and {high:.2f}")
    3.21, between 3.11 and 3.30
    >>> Estimate(2.5).exact
    True
    """

    __slots__ = ("dof", "num_products", "stderr")

    stderr: float
    dof: float
    num_products: int

    def __new__(  # noqa: D102
        cls,
        value: SupportsFloat,
        stderr: SupportsFloat = 0.0,
        dof: SupportsFloat = math.inf,
        num_products: int = 0,
    ) -> "Estimate":
        if float(stderr) < 0:
            raise ValueError(f"stderr must be nonnegative, got {stderr}")
        if float(dof) <= 0:
            raise ValueError(f"dof must be positive, got {dof}")
        self = super().__new__(cls, value)
        self.stderr = float(stderr)
        self.dof = float(dof)
        self.num_products = int(num_products)
        return self

    @property
    def value(self) -> float:
        """The estimate as a plain float."""
        return float(self)

    @property
    def exact(self) -> bool:
        """Whether the value has no sampling error."""
        return self.stderr == 0.0

    def scaled(self, factor: float) -> "Estimate":
        """The estimate of ``factor`` times the number.

        Parameters
        ----------
        factor : float
            Such as a change of unit.

        Returns
        -------
        Estimate
        """
        stderr = abs(factor) * self.stderr
        return Estimate(factor * self.value, stderr, self.dof, self.num_products)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Confidence interval by Student's t.

        Parameters
        ----------
        level : float
            The share of such intervals that cover the truth, in (0, 1).

        Returns
        -------
        tuple of float
            Lower and upper end; both are the value where it is exact.
        """
        level = check.real("level", level, "(0, 1)")
        if self.exact:
            return self.value, self.value
        half = float(stdtrit(self.dof, 0.5 + level / 2)) * self.stderr
        return self.value - half, self.value + half

    def __repr__(self) -> str:
        if self.exact:
            return f"Estimate({self.value:g}, exact)"
        if not (math.isfinite(self) and math.isfinite(self.stderr)):
            return f"Estimate({self.value:g} ± {self.stderr:g})"
        return f"Estimate({plus_minus(self.value, self.stderr)})"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.value, self.stderr, self.dof, self.num_products)
