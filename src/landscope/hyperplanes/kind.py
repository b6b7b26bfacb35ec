"""The kinds of basis that a hyperplane can have, and when each wins."""

from enum import StrEnum

from landscope.arguments import choice


class BasisKind(StrEnum):
    """How the basis P (D × d) of an affine hyperplane W₀ + Pθ is drawn, kept and applied.

    ============= ================ ============= =============== ================================
    kind          a product        memory        columns         wins
    ============= ================ ============= =============== ================================
    ``dense``     D·d              D·d numbers   orthonormal     where D·d numbers fit: uniform
                                                                 over all hyperplanes, so that
                                                                 averages over them are known
    ``gaussian``  D·d, redrawn     none          unit length,    where P must be Gaussian and does
                  each time                      nearly          not fit; once or a few times
                                                 orthogonal
    ``sparse``    D                5 bytes·D     orthonormal     the cheapest product, whatever d
                                                                 is; each weight follows one
                                                                 coordinate of θ
    ``fastfood``  D·log d          3 bytes·D     orthonormal     training, and any large D·d: each
                                                                 weight follows all of θ
    ``given``     D·d              D·d numbers   as given:       directions of one's own: top
                                                 orthonormal     eigenvectors, centroids, a path
                                                                 of training
    ============= ================ ============= =============== ================================

    All are drawn from their seed alone: the same on every device and, up to rounding, in every
    dtype. `Basis.orthonormality_bound` bounds ‖PᵀP − I‖₂ for each. Random kinds have
    E[p_i p_j] = δ_ij/D for the entries of a column, so that E[Tr PᵀAP] = (d/D) Tr A.
    """

    DENSE = "dense"
    GAUSSIAN = "gaussian"
    SPARSE = "sparse"
    FASTFOOD = "fastfood"
    GIVEN = "given"


def random_kind(kind: str) -> BasisKind:
    """The kind of this name, which must be one that is drawn.

    Raises
    ------
    ValueError
        For an unknown name, and for ``given``.

    Examples
    --------
    >>> str(random_kind("sparse"))
    'sparse'
    """
    drawn = [one for one in BasisKind if one is not BasisKind.GIVEN]
    return BasisKind(choice("kind", kind, drawn))
