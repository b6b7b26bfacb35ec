"""A YAML file of bounded size, depth and expansion, read as nodes that know their lines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 100_000
MOST_DEPTH = 20
MOST_NODES = 20_000
"""With what aliases stand for."""

# libyaml's parser, which is 40 times as fast, where PyYAML was built with it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> tuple[Any, yaml.Node | None]:
    """Read what a YAML file says, and the same as nodes.

    Parameters
    ----------
    path : Path
        The file; of JSON, which YAML comprises, if it ends in .json.

    Returns
    -------
    content : Any
        An empty mapping for an empty file.
    root : Node or None
        None for an empty file.

    Raises
    ------
    ValueError
        If it is no YAML, larger, deeper, or with more behind its aliases than a configuration can
        be, or a key comes twice: one sentence with the line.
    """
    try:
        text = _text(path)
        _bound(text, path)
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return {}, None
        for first, again in _repeated(root):
            raise ValueError(
                f"{path}, line {line_of(again)}: {shortened(repr(again.value))} was given before, "
                f"in line {line_of(first)}; keep one of the two"
            )
        return _constructed(loader, root, path), root
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f", line {mark.line + 1}" if mark else ""
        raise ValueError(f"{path}{at}: this is no YAML: {shortened(error.problem or '')}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as text: {error}") from None


def line_of(node: yaml.Node) -> int:
    """The line that a node begins in."""
    return int(node.start_mark.line) + 1


def shortened(text: str) -> str:
    """The beginning of a text, where it is long.

    Examples
    --------
    >>> shortened("a" * 1000) == "a" * 200 + "…"
    True
    """
    return text if len(text) <= 200 else f"{text[:200]}…"


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(
            f"{path} is larger than {MOST_BYTES:,} bytes; a configuration file is a page of text"
        )
    text = content.decode("utf-8").replace("\r\n", "\n")
    # JSON may be indented by tabs, and has none within its strings.
    return text.replace("\t", " ") if path.suffix == ".json" else text


def _bound(text: str, path: Path) -> None:
    """Refuse what would take long to expand or to recur through, event by event.

    An alias counts as what its anchor stands for, which must have ended before.
    """
    sizes: dict[str, tuple[int, int]] = {}  # of anchors: nodes and depth
    begun: list[tuple[str | None, int, int]] = [(None, 0, 0)]
    for event in yaml.parse(text, _Loader):
        assert event.start_mark is not None  # every event of a text has one
        at = f"{path}, line {event.start_mark.line + 1}"
        nodes, depth = 0, 0
        if isinstance(event, yaml.CollectionStartEvent):
            begun.append((event.anchor, 1, 1))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, nodes, depth = begun.pop()
            if anchor is not None:
                sizes[anchor] = nodes, depth
        elif isinstance(event, yaml.ScalarEvent):
            nodes, depth = 1, 1
            if event.anchor is not None:
                sizes[event.anchor] = nodes, depth
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, *_ in begun):
                raise ValueError(f"{at}: *{event.anchor} contains itself; write out what it is")
            nodes, depth = sizes.get(event.anchor or "", (1, 1))  # else the composer says it
        anchor, nodes_before, depth_before = begun[-1]
        begun[-1] = anchor, nodes_before + nodes, max(depth_before, depth + 1)
        if len(begun) + depth - 1 > MOST_DEPTH:
            raise ValueError(f"{at}: this is nested more than {MOST_DEPTH} deep")
        if sum(count for _, count, _ in begun) > MOST_NODES:
            raise ValueError(f"{at}: this comes to more than {MOST_NODES:,} values")


def _constructed(loader: Any, root: yaml.Node, path: Path) -> Any:
    try:
        return loader.construct_document(root)
    except yaml.YAMLError:
        raise
    except Exception as error:  # no date, a number too long, a tag that does not fit: almost any
        raise ValueError(
            f"{path}: a value is not what it is marked as, or too long: {shortened(str(error))}"
        ) from None


def _repeated(node: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Keys that come twice in one mapping, of which YAML would take the last."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[Any, yaml.Node] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield seen[key.value], key
                seen[key.value] = key
            yield from _repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated(item)
