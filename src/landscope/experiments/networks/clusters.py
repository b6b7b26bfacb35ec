"""Fig. 2: the clusters themselves, from measured logit gradients."""

import numpy as np
import xarray as xr
from jaxtyping import Float64

from landscope.experiments.claim import Claim, course, verdict
from landscope.experiments.networks.cell import Cell, Trained
from landscope.experiments.networks.grid import Grid
from landscope.experiments.networks.scale import DATA_TITLES, Scale
from landscope.experiments.progress import Progress, silent
from landscope.geometry.class_labels import class_labels
from landscope.geometry.tangent_kernel import kernel_matrix
from landscope.problem import Problem
from landscope.zoo import load_dataset

CLASSES = (0, 1, 2)
"""The three classes whose centroids span a space that can be drawn."""


def compute(seed: int = 0, progress: Progress = silent, *, grid: Grid, scale: Scale) -> xr.Dataset:
    """Project logit gradients onto the centroids, of a network of three classes and of one of ten.

    Returns
    -------
    xarray.Dataset
        Of three classes, along (stage, example, logit, axis), the coordinates in the span of the
        centroids; of ten, along (stage10, example10, logit10, centroid10), cosines with them.
    """
    three = Cell(scale.training(scale.colour, classes=CLASSES, seed=seed), in_centroid_space)
    ten = Cell(scale.training(scale.colour, seed=seed), with_centroids)
    of_three, of_ten = grid.trained([three, ten], progress)
    measured = xr.merge([_staged(of_three, ""), _staged(of_ten, "10")], join="exact")
    return measured.assign(class_name=("logit", class_names(scale.colour, grid))).assign_attrs(
        num_classes=len(CLASSES),
        data_title=DATA_TITLES[scale.colour],
        network_title="SmallCNN, relu",
    )


def class_names(data: str, grid: Grid) -> list[str]:
    """Names of the three classes."""
    few = load_dataset(data, grid.data_root, classes=CLASSES, max_examples=1, max_test_examples=1)
    return list(few.class_names)


def _staged(trained: Trained, suffix: str) -> xr.Dataset:
    """Snapshots by stage, with the step of each, every dimension and variable named apart."""
    staged = trained.staged().assign(stage_step=("stage", trained.cell.steps()))
    # The same examples at every stage.
    staged["target"] = staged["target"].isel(stage=0)
    kept = staged.drop_vars([name for name in staged.data_vars if name not in _KEPT])
    return kept.rename({name: f"{name}{suffix}" for name in [*kept.dims, "target", "stage_step"]})


_KEPT = ("coordinate", "centroid", "outside", "cosine", "group_cosine", "target", "stage_step")


def in_centroid_space(problem: Problem, seed: int = 0) -> xr.Dataset:
    """Coordinates of J_k^μ in the span of the centroids, in units of the mean length.

    The basis is the symmetric orthonormalisation Q = C (CᵀC)^(−½) of the centroids (Löwdin), so
    that each axis is as near to its centroid as the axes can be together.
    """
    K = _kernel(problem)
    inner = K.mean(2)  # J_k^μ · c_l, indexed [μ, k, l]
    gram = inner.mean(0)
    values, vectors = np.linalg.eigh(gram)
    root = np.sqrt(np.maximum(values, 0))
    above = root > 1e-10 * root.max()
    inverse_root = (vectors[:, above] / root[above]) @ vectors[:, above].T
    squares = np.einsum("mkmk->mk", K)
    unit = np.sqrt(squares.mean())
    coordinates = inner @ inverse_root
    inside = np.square(coordinates).sum(2)
    return xr.Dataset(
        {
            "coordinate": (("example", "logit", "axis"), coordinates / unit),
            "centroid": (("logit", "axis"), gram @ inverse_root / unit),
            "outside": (("example", "logit"), _ratio(squares - inside, squares)),
            "target": ("example", class_labels(problem).cpu().numpy()),
        }
    )


def with_centroids(problem: Problem, seed: int = 0) -> xr.Dataset:
    """Cosines of each J_k^μ with means of logit gradients, which the example is left out of.

    `cosine` is with each centroid c_l; `group_cosine` with the mean of J_k over the examples of
    class k for those, and over all others for the others.
    """
    K, labels = _kernel(problem), class_labels(problem).cpu().numpy()
    C = K.shape[1]
    everyone = np.ones((len(labels), C))
    of_class = np.equal.outer(labels, np.arange(C)).astype(float)
    own, others = (_cosines_in(K, group) for group in (of_class, 1 - of_class))
    return xr.Dataset(
        {
            "cosine": (
                ("example", "logit", "centroid"),
                np.stack([_cosines(K, everyone[:, one], one) for one in range(C)], axis=2),
            ),
            "group_cosine": (("example", "logit"), np.where(of_class > 0, own, others)),
            "target": ("example", labels),
        }
    )


def _cosines_in(
    K: Float64[np.ndarray, "N C N C"], groups: Float64[np.ndarray, "N C"]
) -> Float64[np.ndarray, "N C"]:
    """Cosine of J_k^μ with the mean of J_k over its group."""
    return np.stack([_cosines(K, groups[:, k], k)[:, k] for k in range(K.shape[1])], axis=1)


def _cosines(
    K: Float64[np.ndarray, "N C N C"], group: Float64[np.ndarray, " N"], logit: int
) -> Float64[np.ndarray, "N C"]:
    """Cosines of all J_k^μ with s_l^μ, the sum of J_l^ν over a group without μ."""
    inner = np.einsum("mkn,n->mk", K[:, :, :, logit], group)  # J_k^μ · s_l, μ included
    own = np.einsum("mkm->mk", K[:, :, :, logit]) * group[:, None]
    squares = group @ inner[:, logit] - 2 * group * inner[:, logit] + own[:, logit]
    lengths = np.einsum("mkmk->mk", K)
    return _ratio(inner - own, np.sqrt(lengths * np.maximum(squares, 0)[:, None]))


def _kernel(problem: Problem) -> Float64[np.ndarray, "N C N C"]:
    """J_k^μ · J_l^ν, indexed [μ, k, ν, l]."""
    N, C = problem.num_examples, problem.num_classes
    return kernel_matrix(problem).cpu().numpy().reshape(N, C, N, C)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a/b; NaN where a logit gradient is zero and has no direction."""
    return np.divide(a, b, out=np.full_like(a, np.nan), where=b > 0)


def claims(dataset: xr.Dataset) -> list[Claim]:
    """Hold the three statements of the caption against the cosines of the ten-class network."""
    cosine = dataset["cosine"]
    same_logit = cosine["logit10"] == cosine["centroid10"]
    true_class = dataset["group_cosine"]["logit10"] == dataset["target10"]
    own, other = (
        dataset["group_cosine"].where(where).mean(("example10", "logit10"))
        for where in (true_class, ~true_class)
    )
    apart = abs(cosine.where(~same_logit)).mean(("example10", "logit10", "centroid10"))
    # The centroid of greatest cosine; logit gradients that are zero point nowhere.
    nearest = cosine.fillna(-np.inf).argmax("centroid10") == cosine["logit10"]
    alive = cosine.notnull().all("centroid10")
    clustered = nearest.where(alive).mean(("example10", "logit10"))
    outside = dataset["outside"].mean(("example", "logit"))
    return [
        Claim(
            "Paper: the k-th logit gradients cluster by k, whatever the input.",
            verdict(bool((clustered > 0.9).all()), bool((clustered > 0.5).all())),
            f"share that lies nearest to its own of ten centroids: {course(clustered, '.2f')}; "
            "of three classes, share of ‖J‖² outside the span of the centroids: "
            f"{course(outside, '.2f')}",
        ),
        Claim(
            "Paper: gradients of logit k at examples of class k cluster more tightly.",
            verdict(bool((own > other).all()), bool((own > other).any())),
            f"mean cosine with the mean of their group, themselves left out: {course(own, '.2f')} "
            f"for class k, {course(other, '.2f')} for all other classes",
        ),
        Claim(
            "Paper: gradients of different logits are nearly orthogonal.",
            verdict(bool((apart < 0.1).all()), bool((apart < other).all())),
            f"mean |cosine| with the centroid of another logit: {course(apart, '.2f')}",
        ),
    ]
