"""The vendor's own models as a second opinion on what we send (togai.md 7.2)."""

import json
from collections.abc import Iterator

from pydantic import BaseModel, ValidationError


def unknown_keys(sent: object, kept: object, path: str = "") -> Iterator[str]:
    """Where the JSON that was sent holds keys that the vendor's model did not keep."""
    if isinstance(sent, dict) and isinstance(kept, dict):
        for key, value in sent.items():
            if key in kept:
                yield from unknown_keys(value, kept[key], f"{path}/{key}")
            elif value is not None:
                yield f"{path}/{key}"
    elif isinstance(sent, list) and isinstance(kept, list):
        for index, (left, right) in enumerate(zip(sent, kept, strict=True)):
            yield from unknown_keys(left, right, f"{path}/{index}")


def judge(model: type[BaseModel], body: bytes) -> list[str]:
    """What the vendor's model has against a body; nothing if it takes every part of it.

    Unknown keys are looked for apart, because the model drops them silently.
    """
    sent = json.loads(body)
    try:
        parsed = model.from_dict(sent)
    except ValidationError as error:
        return [".".join(map(str, fault["loc"])) + ": " + fault["type"] for fault in error.errors()]
    return list(unknown_keys(sent, parsed.to_dict()))
