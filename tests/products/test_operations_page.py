"""The page on operations lists the rules that there are; ``python -m`` this module writes it."""

from pathlib import Path

from landscope.products.tangent_rules import RULES

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
START = "| operation | tangent |\n|---|---|\n"


def table() -> str:
    """Each operation with a rule of its own, and the first line of the rule's docstring."""
    rows = {
        str(operation).removeprefix("aten."): (rule.__doc__ or "").splitlines()[0]
        for operation, rule in RULES.items()
        if hasattr(operation, "_schema")
    }
    return START + "".join(f"| `{name}` | {rows[name]} |\n" for name in sorted(rows))


def test_the_page_lists_the_rules():
    text = PAGE.read_text(encoding="utf-8")
    assert text[text.index(START) :] == table()


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text[: text.index(START)] + table(), encoding="utf-8")
