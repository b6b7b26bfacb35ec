"""Trajectories made up from the random model's shapes: plausible, seeded, and quick to make."""

import numpy as np
import xarray as xr

STEPS = (0, 3, 10, 32, 100, 316, 600)


def snapshot(
    step: int, num_classes: int = 10, num_examples: int = 300, rank: int = 20, seed: int = 0
) -> xr.Dataset:
    """Make up what is measured at one step of a run of 600."""
    random = np.random.default_rng(seed)
    C, N, D = num_classes, num_examples, 19_466
    progress = np.log1p(step) / np.log1p(600)
    variables: dict = {}

    def exact(name, value, *dims):
        variables[name] = (dims, value)

    def estimate(name, value, relative):
        exact(name, value)
        exact(f"{name}_stderr", abs(value) * relative)

    targets = np.arange(N) % C
    sigma_z = 0.08 + 5.5 * progress**1.5
    logits = sigma_z * (0.7 * random.normal(size=(N, C)) + 2.5 * progress * np.eye(C)[targets])
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    exact("probabilities", probabilities.astype(np.float32), "example", "logit")
    exact("targets", targets, "example")
    entropies = -(probabilities * np.log(probabilities + 1e-30)).sum(1)
    participations = (probabilities**2).sum(1)
    for name, values in (("entropy", entropies), ("participation", participations)):
        exact(name, values.mean())
        exact(f"{name}_stderr", values.std(ddof=1) / np.sqrt(N))
    estimate("sigma_z", logits.std(1, ddof=1).mean(), 0.01)
    estimate("frozen_fraction", (participations > 0.9).mean(), 0.05)
    exact("accuracy", (probabilities.argmax(1) == targets).mean())
    exact("loss", -np.log(probabilities[np.arange(N), targets]).mean())
    for name, value in (("num_examples", N), ("num_params", D), ("num_classes", C)):
        exact(name, value)
    exact("weight_norm", 12.0 + 6 * progress**2)
    exact("gradient_norm", 0.4 + progress * (1.2 - progress))
    exact("logit_gradient_norm", 9.0 + 14 * progress)
    exact("logit_gradient_norm_std", 1.0 + 3 * progress)
    exact("learning_rate", 0.05 if step < 400 else 0.02)

    q = 0.52 - 0.2 * progress
    exact("q_slsc", q + 0.05)
    exact("q_sl", q)
    exact("q_dl", -0.009 - 0.01 * progress)
    exact("q_dl_abs", 0.019 + 0.01 * progress)
    exact("sigma_c", np.sqrt(q) * (9 + 14 * progress))
    exact("sigma_e", np.sqrt(1 - q) * (9 + 14 * progress))
    same_logit, same_class = np.eye(C)[:, None, :, None], np.eye(C)[None, :, None, :]
    own = np.eye(C)[:, :, None, None] * np.eye(C)[None, None, :, :]
    table = q * same_logit + 0.08 * same_class * same_logit + 0.05 * own * same_logit
    table = table + 0.02 * random.normal(size=(C, C, C, C))
    exact("clustering_table", table, "logit", "true_class", "logit_2", "true_class_2")
    exact("centroids_gram", q * np.eye(C), "logit", "logit_2")

    top = 2.0 + 60 * progress * (1.25 - progress) ** 2
    for operator, scale, gain in (("hessian", 1.0, 1.0), ("gauss_newton", 0.93, 0.95)):
        outliers = scale * top * np.exp(-0.16 * np.arange(C - 1)) * random.uniform(0.9, 1, C - 1)
        bulk = 0.12 * top * np.exp(-0.12 * np.arange(rank - C + 1))
        eigenvalues = np.sort(np.concatenate([outliers, bulk]))[::-1]
        low = -0.06 * top if operator == "hessian" else 0.0
        exact(f"{operator}_eigenvalues", eigenvalues, "rank")
        exact(f"{operator}_residuals", 1e-4 * top * np.ones(rank), "rank")
        share = random.dirichlet(np.full(C - 1, 1.5)) * (0.35 + 0.5 * progress) * gain
        tail = random.dirichlet(np.ones(rank - C + 1)) * 0.06
        power = np.concatenate([share, tail])
        signs = random.choice([-1, 1], rank)
        exact(f"{operator}_gradient_cosines", signs * np.sqrt(power), "rank")
        exact(f"{operator}_gradient_power", np.cumsum(power), "rank")
        exact(f"{operator}_top_gradient_power", np.cumsum(power)[min(C, rank) - 1])
        exact(f"{operator}_num_outliers", C - 1)
        exact(f"{operator}_bulk_edge", 0.15 * top)
        width = top / 150
        grid = np.linspace(low - 5 * width, 1.08 * eigenvalues[0], 1500)
        exact(f"{operator}_density_grid", grid, "grid")
        exact(f"{operator}_density_width", width)
        centres = np.concatenate([random.laplace(0, 0.02 * top, 400), eigenvalues])
        centres[:400] = np.clip(centres[:400], low, 0.14 * top)
        weights = np.concatenate([np.full(400, (1 - rank / D) / 400), np.full(rank, 1 / D)])
        bumps = np.exp(-0.5 * ((grid[:, None] - centres) / width) ** 2)
        density = bumps @ weights / (width * np.sqrt(2 * np.pi))
        exact(f"{operator}_density", density, "grid")
        exact(f"{operator}_density_stderr", 0.15 * density, "grid")
        estimate(f"{operator}_trace", scale * top * 6.5, 0.03)
        estimate(f"{operator}_frobenius_norm", scale * top * 2.2, 0.02)
        estimate(f"{operator}_trace_over_norm", 6.5 / 2.2 + (1 - progress), 0.035)
    exact("hessian_min_eigenvalue", -0.06 * top)
    estimate("gauss_newton_effective_rank", (6.5 / 2.2 + (1 - progress)) ** 2, 0.07)
    limit = 2 / variables["learning_rate"][1]
    sharpness = variables["hessian_eigenvalues"][1][0]
    exact("preconditioned_sharpness", sharpness)
    variables["sharpness_limit"] = ((), limit, {"limit_of": "λ_max(H)"})
    exact("stability_ratio", sharpness / limit)
    exact("at_edge", int(sharpness > 0.9 * limit))
    exact("max_learning_rate", 2 / sharpness)
    exact("gauss_newton_share", np.clip(0.97 - 0.02 * np.arange(rank), 0, 1), "rank")
    signs = np.where(np.arange(rank) % 2, -1.0, 1.0)
    exact("logit_curvature_eigenvalues", signs * 0.15 * top * 0.9 ** np.arange(rank), "rank")
    estimate("logit_curvature_ratio", 0.1 + 0.15 * progress, 0.06)

    kernel = 5e4 * (1 + 3 * progress) / np.arange(1, 201) ** 1.4
    exact("tangent_kernel_eigenvalues", kernel, "kernel_rank")
    exact("tangent_kernel_trace", kernel.sum())
    exact("tangent_kernel_drift", 0.8 * progress)
    attrs = {
        "title": "Local geometry of the loss landscape",
        "source": "Fort & Ganguli 2019, arXiv:1910.05929",
        "landscope_version": "0.1.0",
        "torch_version": "2.15.0",
        "seed": seed,
    }
    return xr.Dataset(variables, coords={"step": step}, attrs=attrs)


def trajectory(steps: tuple[int, ...] = STEPS, **shape: int) -> xr.Dataset:
    """Make up a run measured at `steps`."""
    return xr.concat([snapshot(step, **shape) for step in steps], dim="step")
