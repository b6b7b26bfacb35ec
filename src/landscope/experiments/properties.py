"""The four properties of local geometry that the paper explains, read off one training run."""

from dataclasses import dataclass

import xarray as xr

from landscope.linalg import Estimate

_NEEDED = (
    "num_classes",
    "num_params",
    "hessian_eigenvalues",
    "hessian_gradient_power",
    "hessian_num_outliers",
    "hessian_trace_over_norm",
    "hessian_trace_over_norm_stderr",
    "gauss_newton_trace_over_norm",
    "gauss_newton_trace_over_norm_stderr",
)


@dataclass(frozen=True)
class OutlierCount:
    """Property 1: about as many directions of high positive curvature as classes.

    Attributes
    ----------
    num_classes : int
        C; the model of the paper gives C − 1 outliers.
    initial, at_peak, final : int
        Outliers of the Hessian's spectrum at the first measured step, at the one of highest
        curvature, and at the last.
    """

    num_classes: int
    initial: int
    at_peak: int
    final: int


@dataclass(frozen=True)
class GradientConfinement:
    """Property 2: gradients lie largely in the space of high curvature.

    Attributes
    ----------
    num_classes : int
        C, the dimension of that space.
    initial, final : float
        Share of ‖g‖² in the top C eigenvectors of the Hessian at the first and the last step.
    chance : float
        C/D, the share of a random direction.
    """

    num_classes: int
    initial: float
    final: float
    chance: float


@dataclass(frozen=True)
class CurvatureTransient:
    """Property 3: training passes through regions of higher curvature.

    Attributes
    ----------
    initial, peak, final : float
        Largest eigenvalue of the Hessian at the first step, the largest of all measured steps,
        and the one at the last step.
    peak_step, final_step : int
        Where the last two were measured.
    """

    initial: float
    peak: float
    final: float
    peak_step: int
    final_step: int

    @property
    def rises_then_falls(self) -> bool:
        """Whether the largest of all is neither the first nor the last."""
        return self.peak > max(self.initial, self.final)


@dataclass(frozen=True)
class CurvatureSignature:
    """Property 4, of which only the signature in the curvature is read off: Tr(H)/‖H‖_F.

    Training in random hyperplanes succeeds where they meet the Goldilocks zone, in which this
    ratio is high (Fort & Scherlis 2018, arXiv:1807.02581). No hyperplane is trained in here.

    Attributes
    ----------
    initial, final : Estimate
        Tr(H)/‖H‖_F at the first and the last step.
    initial_gauss_newton, final_gauss_newton : Estimate
        The same for the G-term alone, which is all the Hessian there is in the random model.
    """

    initial: Estimate
    final: Estimate
    initial_gauss_newton: Estimate
    final_gauss_newton: Estimate


@dataclass(frozen=True)
class FourProperties:
    """The four properties of Fort & Ganguli 2019, arXiv:1910.05929, in one run."""

    outliers: OutlierCount
    gradient: GradientConfinement
    transient: CurvatureTransient
    signature: CurvatureSignature


def four_properties(trajectory: xr.Dataset) -> FourProperties:
    """Read the four properties off a trajectory.

    Parameters
    ----------
    trajectory : xarray.Dataset
        What `landscope.measure` returns, along the dimension `step`.

    Returns
    -------
    FourProperties

    Raises
    ------
    ValueError
        If something they are read off was not measured.
    """
    if absent := [name for name in _NEEDED if name not in trajectory]:
        raise ValueError(f"trajectory lacks {', '.join(absent)}; the four properties need them")
    first, last = trajectory.isel(step=0), trajectory.isel(step=-1)
    num_classes = int(last["num_classes"])
    in_top = {"rank": min(num_classes, trajectory.sizes["rank"]) - 1}
    lambda_max = trajectory["hessian_eigenvalues"].isel(rank=0)
    peak = int(lambda_max.argmax("step"))
    return FourProperties(
        OutlierCount(
            num_classes,
            initial=int(first["hessian_num_outliers"]),
            at_peak=int(trajectory["hessian_num_outliers"][peak]),
            final=int(last["hessian_num_outliers"]),
        ),
        GradientConfinement(
            num_classes,
            initial=float(first["hessian_gradient_power"].isel(in_top)),
            final=float(last["hessian_gradient_power"].isel(in_top)),
            chance=num_classes / int(last["num_params"]),
        ),
        CurvatureTransient(
            initial=float(lambda_max[0]),
            peak=float(lambda_max[peak]),
            final=float(lambda_max[-1]),
            peak_step=int(lambda_max.step[peak]),
            final_step=int(lambda_max.step[-1]),
        ),
        CurvatureSignature(
            initial=_estimate(first, "hessian_trace_over_norm"),
            final=_estimate(last, "hessian_trace_over_norm"),
            initial_gauss_newton=_estimate(first, "gauss_newton_trace_over_norm"),
            final_gauss_newton=_estimate(last, "gauss_newton_trace_over_norm"),
        ),
    )


def _estimate(snapshot: xr.Dataset, name: str) -> Estimate:
    return Estimate(float(snapshot[name]), float(snapshot[f"{name}_stderr"]))
