"""Files for print, whose layout and resolution are looked at in tests/figures."""

import pytest

from landscope.figures.style import PAPER


@pytest.fixture(autouse=True)
def coarse(not_laid_out, monkeypatch):
    """Few pixels, and no layout."""
    monkeypatch.setitem(PAPER, "savefig.dpi", 60)
