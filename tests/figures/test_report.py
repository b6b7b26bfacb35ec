import re

import pytest

from landscope.figures import write_report
from landscope.figures.gallery import MONITORS, OBSERVATIONS, PROPERTIES, file_stem


@pytest.fixture(scope="module")
def page(report):
    return report.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def markup(page):
    """The page without its scripts."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_the_report_is_one_file_that_fetches_nothing(page, markup):
    assert page.count("<script>") == 2
    assert not re.search(r"<script[^>]+src|<link[^>]+href=\"(?!data:)|@import|url\(", markup)
    assert set(re.findall(r'(?:href|src)="([^"#]+)"', markup)) == {"data:,"} | {
        f"figures/{name}.{suffix}"
        for name in map(file_stem, (*PROPERTIES, *OBSERVATIONS, *MONITORS))
        for suffix in ("png", "svg")
    }


def test_every_linked_picture_exists(report, markup):
    for link in re.findall(r'href="(figures/[^"]+)"', markup):
        assert (report.parent / link).stat().st_size > 1000


def test_the_report_stays_small(report):
    assert report.stat().st_size < 8e6


def test_every_picture_says_how_to_read_it_and_what_the_paper_expects(markup):
    assert markup.count("How to read it.") == 10
    assert markup.count("What the paper expects.") == 10


def test_the_header_names_network_data_seed_and_versions(markup):
    for fact in ("small_cnn", "digits", "19,466", "0.1.0", "2.15.0"):
        assert f"<dd>{fact}</dd>" in markup
    assert "<dt>measure.num_probes</dt><dd>8</dd>" in markup


def test_what_is_shown_is_text_and_never_markup(snapshot, tmp_path):
    attack = "<script>alert(1)</script>"
    few = snapshot[["q_slsc", "q_sl", "q_dl", "num_classes"]].assign_attrs(failures=attack)
    path = write_report(few, tmp_path / "report.html", title=attack, config={attack: attack})
    assert "<script>alert" not in path.read_text(encoding="utf-8")


def test_what_was_not_measured_is_left_out_with_a_note(snapshot, tmp_path):
    few = snapshot[["q_slsc", "q_sl", "q_dl", "num_classes"]].assign_attrs(failures="no Hessian")
    path = write_report(few, tmp_path / "new" / "report.html")
    page = path.read_text(encoding="utf-8")
    assert "Left out: &#39;hessian_density&#39; was not measured." in page
    assert "<strong>Not measured.</strong> no Hessian" in page
    assert page.count("Left out:") == 10
    assert page.count("How to read it.") == 1
