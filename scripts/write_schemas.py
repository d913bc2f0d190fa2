"""Writes docs/schemas/: a JSON Schema (2020-12) of what each command prints under --json, from agent/shapes.py.

python -m scripts.write_schemas
"""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from agent.shapes import SHAPES
from bench import files

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"


class Untitled(GenerateJsonSchema):
    """Without a title beside each key, which says the key again."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401  # pydantic's own type is no public one
        """Never."""
        return False


def schemas() -> dict[str, str]:
    """The text of each schema, by the name of its file."""
    return {
        f"{words.replace(' --', '-').replace(' ', '-')}.json": _text(words, shape) for words, shape in SHAPES.items()
    }


def _text(words: str, shape: type[Any]) -> str:
    schema = TypeAdapter(shape).json_schema(mode="serialization", schema_generator=Untitled)
    head = {"$schema": GenerateJsonSchema.schema_dialect, "title": f"nightshift {words} --json"}
    return json.dumps(head | _closed(schema) | {"title": head["title"]}, indent=2, ensure_ascii=False) + "\n"


def _closed(part: Any) -> Any:  # noqa: ANN401  # whatever JSON takes
    """The schema with every object that names its keys closed to others, all of its keys required."""
    if isinstance(part, list):
        return [_closed(one) for one in part]
    if not isinstance(part, dict):
        return part
    closed = {key: _closed(value) for key, value in part.items()}
    if isinstance(part.get("properties"), dict) and part.get("type") == "object":
        closed |= {"additionalProperties": False, "required": list(part["properties"])}
    return closed


def main() -> None:
    """Write them all, and remove those of commands that are no more."""
    files.make_folders(FOLDER)
    written = schemas()
    for name, text in written.items():
        files.write_atomic(FOLDER / name, text.encode())
    for stale in {path.name for path in FOLDER.glob("*.json")} - written.keys():
        (FOLDER / stale).unlink()


if __name__ == "__main__":
    main()
