"""Write the tables of docs/scaling.md.

python -m benchmarks.scaling [--measure]
"""

import argparse
import json
import re
from pathlib import Path

import torch

from benchmarks.scaling.compared import compared, on_gpu
from benchmarks.scaling.measured import measure
from benchmarks.scaling.tables import tables
from benchmarks.setting import setting

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "scaling.md"
RESULTS = HERE.parent / "results" / "scaling.json"


def filled(page: str, contents: dict[str, str]) -> str:
    """A page with what stands between the marks of each table replaced."""
    for name, table in contents.items():
        mark = re.compile(f"(<!-- {name} -->\\n).*?(<!-- /{name} -->)", re.DOTALL)
        page = mark.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", page)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true", help="measure anew on 1, 2 and 4 ranks")
    if parser.parse_args().measure:
        versions = {"torch": torch.__version__}
        found = {"setting": setting(False, "cpu", versions) | {"threads": 1}, "rows": measure()}
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    contents = tables() | {"on a GPU": "\n".join(on_gpu())}
    if RESULTS.exists():
        contents["measured"] = "\n".join(compared(json.loads(RESULTS.read_text())["rows"]))
    PAGE.write_text(filled(PAGE.read_text(), contents))


if __name__ == "__main__":
    main()
