import numpy as np
import pytest

from landscope.figures import spectrum


def test_thinning_keeps_narrow_peaks_and_the_ends():
    grid = np.linspace(0, 1, 20_000)
    density = 1e-4 + np.exp(-0.5 * ((grid - 0.7) / 5e-4) ** 2)
    x, y, _ = spectrum.thinned(grid, density, np.empty(0))
    assert x.size <= 500
    assert (x[0], x[-1]) == (0, 1)
    assert y.max() > 0.97 * density.max()
    # The thinned curve is the curve: between its points it is straight to 2 % of the height.
    assert np.abs(np.interp(grid, x, y) - density).max() < 0.02 * density.max()


def test_short_densities_are_kept_as_they_are():
    x, y, error = spectrum.thinned(np.arange(5.0), np.ones(5), np.full(5, 0.1))
    np.testing.assert_array_equal([x, y, error], [np.arange(5), np.ones(5), np.full(5, 0.1)])


def test_a_stick_is_as_high_as_one_eigenvalue_lifts_the_density(trajectory):
    figure = spectrum.interactive(trajectory)
    last = [trace for trace in figure.data if trace.visible]
    tops = next(trace for trace in last if trace.name == "outliers" and trace.mode == "markers")
    values = trajectory["hessian_eigenvalues"].values[-1]
    np.testing.assert_array_equal(tops.x, values[:9])
    # The first outlier stands alone, so the density there is that of one Gaussian of weight 1/D.
    grid, density = (trajectory[f"hessian_{x}"].values[-1] for x in ("density_grid", "density"))
    assert tops.y[0] == pytest.approx(np.interp(values[0], grid, density), rel=0.01)


def test_single_eigenvalues_are_sticks_and_no_part_of_the_curve(snapshot):
    outliers = snapshot["hessian_eigenvalues"].values[:9]
    alone = float(outliers.min()) / 2
    grid, width = snapshot["hessian_density_grid"].values, float(snapshot["hessian_density_width"])
    height = 1 / (float(snapshot["num_params"]) * width * np.sqrt(2 * np.pi))
    bump = height * np.exp(-0.5 * ((grid - alone) / width) ** 2)
    lifted = snapshot.assign(
        hessian_density=snapshot["hessian_density"] + bump,
        hessian_single_eigenvalues=("hessian_single", [alone]),
    )

    def drawn(dataset, name):
        return next(trace for trace in spectrum.interactive(dataset).data if trace.name == name)

    before, after = (drawn(dataset, "density of H") for dataset in (snapshot, lifted))
    np.testing.assert_allclose(after.y, before.y, rtol=1e-6, atol=1e-12)
    of_all = lifted.assign(hessian_single_eigenvalues=("hessian_single", [*outliers, alone]))
    np.testing.assert_array_equal(drawn(of_all, "outliers").x, outliers)
    np.testing.assert_array_equal(drawn(of_all, "single eigenvalues").x, [alone])


@pytest.mark.usefixtures("not_laid_out")
def test_the_bulk_edge_is_marked_in_every_panel(trajectory):
    edges = trajectory["hessian_bulk_edge"].values[[0, 2, 4, 6]]
    panels = spectrum.figure(trajectory).axes[:4]
    np.testing.assert_allclose([axes.lines[-1].get_xdata()[0] for axes in panels], edges)
    assert {axes.texts[0].get_text() for axes in panels} == {"bulk edge"}


def test_without_a_count_what_lies_beyond_the_edge_is_an_outlier(snapshot):
    figure = spectrum.interactive(snapshot.drop_vars("hessian_num_outliers"))
    tops = next(trace for trace in figure.data if trace.name == "outliers")
    assert (tops.x > snapshot["hessian_bulk_edge"].item()).all()
    assert len(tops.x) == 9


def test_only_the_hessian_is_shown_where_G_was_not_measured(trajectory):
    without = trajectory.drop_vars([n for n in trajectory if str(n).startswith("gauss_newton")])
    titles = [note.text for note in spectrum.interactive(without).layout.annotations]
    assert titles[0] == "<b>H</b>"
    assert "<b>G</b>" not in titles
