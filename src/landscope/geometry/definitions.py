"""What each variable of a measurement is: dimensions, name, unit, definition and source."""

from typing import NamedTuple

PAPER = "Fort & Ganguli 2019, arXiv:1910.05929"
PAPYAN = "Papyan 2019, arXiv:1901.08244"
JACOT = "Jacot et al. 2018, arXiv:1806.07572"
TRACY_WIDOM = "Tracy & Widom 1994, doi:10.1007/BF02100489"
UBARU = "Ubaru, Chen & Saad 2017, doi:10.1137/16M1104974"
GUR_ARI = "Gur-Ari, Roberts & Dyer 2018, arXiv:1812.04754"
BELL = "Bell & Dean 1970, doi:10.1039/DF9705000055"
COHEN = "Cohen et al. 2021, arXiv:2103.00065"
COHEN_ADAPTIVE = "Cohen et al. 2022, arXiv:2207.14484"
BERNOULLI = "cross-entropy of independent labels"
CURVATURE_UNIT = "loss/weight²"
LIMIT_UNIT = "1/η"
"""Of curvature as an optimiser sees it: η times it has none. That of H for gradient descent."""


class Definition(NamedTuple):
    """One variable of a measurement.

    Attributes
    ----------
    dims : tuple of str
        Its dimensions.
    long_name : str
        What a figure's axis calls it.
    units : str
        "1" where dimensionless.
    definition : str
        The formula, in the symbols of the documentation.
    source : str
        Where the definition comes from.
    """

    dims: tuple[str, ...]
    long_name: str
    units: str
    definition: str
    source: str = PAPER


DEFINITIONS = {
    "loss": Definition((), "loss", "nats", "L = (1/N) Σ_μ L^μ + λ/2 ‖W‖²"),
    "accuracy": Definition((), "accuracy", "1", "share of examples with argmax z^μ = class of μ"),
    "weight_norm": Definition((), "weight norm ‖W‖", "weight", "‖W‖ over the measured parameters"),
    "gradient_norm": Definition((), "gradient norm ‖g‖", "loss/weight", "‖∂L/∂W‖"),
    "num_examples": Definition((), "examples N", "1", "number of loss terms"),
    "num_params": Definition((), "parameters D", "1", "dimension of weight space"),
    "num_classes": Definition((), "classes C", "1", "number of logits"),
    "sigma_z": Definition(
        (), "logit spread σ_z", "logit", "σ_z² = mean over μ of the variance of z^μ over classes"
    ),
    "entropy": Definition((), "entropy", "nats", "mean over μ of −Σ_k p_k^μ ln p_k^μ"),
    "participation": Definition((), "participation Y", "1", "mean over μ of Σ_k (p_k^μ)²"),
    "frozen_fraction": Definition((), "frozen examples", "1", "share of μ with max_k p_k^μ > 0.99"),
    "label_entropy": Definition(
        (),
        "entropy of a label",
        "nats",
        "mean over μ, k of −p ln p − (1−p) ln(1−p), p = sigmoid(z_k^μ)",
        BERNOULLI,
    ),
    "label_accuracy": Definition(
        (),
        "accuracy of labels",
        "1",
        "share of μ, k with p_k^μ on the target's side of 1/2",
        BERNOULLI,
    ),
    "exact_match": Definition(
        (),
        "examples with all labels right",
        "1",
        "share of μ whose labels are all right",
        BERNOULLI,
    ),
    "q_slsc": Definition(
        (),
        "same logit, same class q_SLSC",
        "1",
        "mean over k of the mean of cos(μ,k;ν,k) over pairs μ≠ν that both have true class k",
    ),
    "q_sl": Definition(
        (),
        "same logit q_SL",
        "1",
        "mean over k of the mean of cos(μ,k;ν,k) over all pairs μ≠ν",
    ),
    "q_dl": Definition(
        (),
        "different logits q_DL",
        "1",
        "mean over k≠l of the mean of cos(μ,k;ν,l) over pairs μ≠ν",
    ),
    "q_dl_abs": Definition(
        (),
        "different logits, |q_kl|",
        "1",
        "mean over k≠l of the magnitude of the mean of cos(μ,k;ν,l) over pairs μ≠ν",
    ),
    "sigma_c": Definition(
        (), "centroid length σ_c", "logit/weight", "σ_c² = mean_k ‖c_k‖² − σ_E²/N"
    ),
    "sigma_e": Definition(
        (),
        "residual length σ_E",
        "logit/weight",
        "σ_E² = N/(N−1) (mean ‖J_k^μ‖² − mean_k ‖c_k‖²)",
    ),
    "logit_gradient_norm": Definition(
        (), "logit gradient ‖J‖", "logit/weight", "mean over μ, k of ‖J_k^μ‖"
    ),
    "logit_gradient_norm_std": Definition(
        (), "spread of ‖J‖", "logit/weight", "standard deviation over μ, k of ‖J_k^μ‖"
    ),
    "clustering_table": Definition(
        ("logit", "true_class", "logit_2", "true_class_2"),
        "mean cosine of logit gradients",
        "1",
        "mean of cos(μ,k;ν,l) over pairs μ≠ν with μ of class a and ν of class b",
        PAPYAN,
    ),
    "centroids_gram": Definition(
        ("logit", "logit_2"),
        "centroid Gram",
        "logit²/weight²",
        "c_k·c_l, c_k = mean over μ of J_k^μ",
    ),
    "logits": Definition(
        ("logit",), "logits looked at", "1", "index k of the logits whose clustering is measured"
    ),
    "probabilities": Definition(("example", "logit"), "probability", "1", "p^μ = softmax(z^μ)"),
    "targets": Definition(("example",), "true class", "1", "class of μ"),
    "logit_curvature_ratio": Definition((), "H-term against G-term", "1", "‖R‖_F/‖G‖_F"),
    "logit_curvature_eigenvalues": Definition(
        ("rank",), "eigenvalues of R", CURVATURE_UNIT, "of R = H − G, by descending magnitude"
    ),
    "gauss_newton_share": Definition(
        ("rank",), "share of G", "1", "vᵀGv/λ on the top eigenpairs (λ, v) of H"
    ),
    "part_eigenvalues": Definition(
        ("part", "gram_rank"),
        "eigenvalues of the parts of G",
        CURVATURE_UNIT,
        "largest of the class means, cross-class means, within-class and true-class parts of G",
        PAPYAN,
    ),
    "part_share": Definition(
        ("gram_rank", "part"),
        "shares of the parts of G",
        "1",
        "vᵀG_part v/λ on the top eigenpairs (λ, v) of G",
        PAPYAN,
    ),
    "part_trace": Definition(
        ("part",), "traces of the parts of G", CURVATURE_UNIT, "Tr G_part", PAPYAN
    ),
    "tangent_kernel_trace": Definition(
        (), "trace of the tangent kernel", "logit²/weight²", "Σ_μ Σ_k ‖J_k^μ‖²", JACOT
    ),
    "tangent_kernel_drift": Definition(
        (), "drift of the tangent kernel", "1", "‖K − K₀‖_F/‖K₀‖_F against the reference", JACOT
    ),
    "tangent_kernel_eigenvalues": Definition(
        ("kernel_rank",), "eigenvalues of K", "logit²/weight²", "largest of K = J Jᵀ", JACOT
    ),
}

for _name, _symbol, _what in (
    ("hessian", "H", "Hessian H = ∂²L/∂W²"),
    ("gauss_newton", "G", "Gauss–Newton matrix G = (1/N) Σ_μ (J^μ)ᵀ M^μ J^μ"),
):
    DEFINITIONS |= {
        f"{_name}_eigenvalues": Definition(
            ("rank",), f"eigenvalues of {_symbol}", CURVATURE_UNIT, f"largest of the {_what}"
        ),
        f"{_name}_residuals": Definition(
            ("rank",), f"residuals of {_symbol}", CURVATURE_UNIT, f"‖{_symbol}v − λv‖ of each pair"
        ),
        f"{_name}_trace": Definition((), f"Tr {_symbol}", CURVATURE_UNIT, f"trace of the {_what}"),
        f"{_name}_frobenius_norm": Definition(
            (), f"‖{_symbol}‖_F", CURVATURE_UNIT, f"Frobenius norm of the {_what}"
        ),
        f"{_name}_trace_over_norm": Definition(
            (), f"Tr {_symbol}/‖{_symbol}‖_F", "1", "trace over Frobenius norm"
        ),
        f"{_name}_num_outliers": Definition(
            (),
            f"outliers of {_symbol}",
            "1",
            "eigenvalues above the largest gap against the fitted bulk edge",
            TRACY_WIDOM,
        ),
        f"{_name}_bulk_edge": Definition(
            (),
            f"bulk edge of {_symbol}",
            CURVATURE_UNIT,
            "E of λ_i = E − s a_i (a_i Airy zeros) fitted to the eigenvalues below the gap",
            TRACY_WIDOM,
        ),
        f"{_name}_gradient_cosines": Definition(
            ("rank",), f"cosine of g with eigenvectors of {_symbol}", "1", "v_j·g/‖g‖"
        ),
        f"{_name}_gradient_power": Definition(
            ("rank",),
            f"gradient power in the top of {_symbol}",
            "1",
            "Σ_{i≤j} (v_i·g)²/‖g‖²",
        ),
        f"{_name}_top_gradient_power": Definition(
            (),
            f"gradient power in the top C of {_symbol}",
            "1",
            "Σ_{i≤C} (v_i·g)²/‖g‖²",
            GUR_ARI,
        ),
        f"{_name}_density_grid": Definition(
            ("grid",), f"eigenvalue of {_symbol}", CURVATURE_UNIT, "where the density is given"
        ),
        f"{_name}_density": Definition(
            ("grid",),
            f"spectral density of {_symbol}",
            "weight²/loss",
            "(1/D) Σ_i κ(x − λ_i) with a Gaussian kernel κ, by Lanczos quadrature",
            UBARU,
        ),
        f"{_name}_density_width": Definition(
            (), "kernel width", CURVATURE_UNIT, "standard deviation of the Gaussian kernel κ", UBARU
        ),
        f"{_name}_single_eigenvalues": Definition(
            (f"{_name}_single",),
            f"eigenvalues of {_symbol} that the density counts singly",
            CURVATURE_UNIT,
            "Ritz values converged beyond all others; each is the share 1/D of the spectrum",
            UBARU,
        ),
    }

DEFINITIONS |= {
    "hessian_min_eigenvalue": Definition(
        (), "smallest eigenvalue of H", CURVATURE_UNIT, "the most negative eigenvalue of H"
    ),
    "gauss_newton_min_eigenvalue": Definition(
        (),
        "smallest eigenvalue of G",
        CURVATURE_UNIT,
        "the most negative eigenvalue of G, of a loss that is not known to be convex",
    ),
}
DEFINITIONS["gauss_newton_effective_rank"] = Definition(
    (), "effective rank of G", "1", "(Tr G)²/‖G‖_F², the participation ratio of its spectrum", BELL
)
DEFINITIONS |= {
    "learning_rate": Definition(
        (),
        "learning rate η",
        "1",
        "η of the update at this step, the largest of the parameter groups",
        COHEN,
    ),
    "preconditioned_sharpness": Definition(
        (),
        "preconditioned sharpness λ_max(P⁻¹H)",
        LIMIT_UNIT,
        "largest eigenvalue of P^(−1/2)(H + Λ)P^(−1/2), P the optimiser's preconditioner and Λ the "
        "weight decay in its gradient; λ_max(H) for gradient descent",
        COHEN_ADAPTIVE,
    ),
    "preconditioned_sharpness_residual": Definition(
        (),
        "residual of the preconditioned sharpness",
        LIMIT_UNIT,
        "‖Av − λv‖ of its eigenpair, A = P^(−1/2)(H + Λ)P^(−1/2)",
        COHEN_ADAPTIVE,
    ),
    "sharpness_limit": Definition(
        (),
        "limit of stability",
        LIMIT_UNIT,
        "largest stable λ_max(P⁻¹H): 2/η of gradient descent, 2(1 + β)/((1 − τ)η) with momentum β "
        "and dampening τ, 2(1 + β)/((1 + 2β)η) with Nesterov's, 2(1 + β₁)/((1 − β₁)η) of Adam",
        COHEN_ADAPTIVE,
    ),
    "stability_ratio": Definition(
        (), "sharpness over its limit", "1", "λ_max(P⁻¹H) over its limit of stability", COHEN
    ),
    "at_edge": Definition(
        (),
        "at the edge of stability",
        "1",
        "1 where λ_max(P⁻¹H) is at least 0.9 of its limit of stability, 0 elsewhere",
        COHEN,
    ),
    "max_learning_rate": Definition(
        (),
        "largest stable learning rate",
        "1",
        "the η at which λ_max(P⁻¹H) is the limit of stability",
        COHEN,
    ),
}
