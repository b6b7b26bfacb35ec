import importlib
import re
import sys
from importlib.abc import MetaPathFinder

import pytest

from landscope.integrations.extra import extra


class Absent(MetaPathFinder):
    """Make a package look as if it were not installed."""

    def __init__(self, package):
        self.package = package

    def find_spec(self, name, path, target=None):
        if name == self.package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


@pytest.mark.parametrize(
    "package", ["lightning", "transformers", "tensorboard", "wandb", "mlflow", "ray"]
)
def test_an_integration_without_its_package_names_the_command_that_installs_it(
    package, monkeypatch
):
    for module in [name for name in sys.modules if package in name.split(".")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Absent(package), *sys.meta_path])
    expected = (
        f"landscope.integrations.{package} needs the package {package}, which is not installed: "
        f'pip install "landscope[{package}]"'
    )
    with pytest.raises(ImportError, match=f"^{re.escape(expected)}$"):
        importlib.import_module(f"landscope.integrations.{package}")


def test_a_package_that_is_there_but_broken_is_not_called_absent():
    with pytest.raises(ModuleNotFoundError, match="'no_such_dependency'"), extra("mlflow"):
        raise ModuleNotFoundError("No module named 'no_such_dependency'", name="no_such_dependency")
