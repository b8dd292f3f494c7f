"""How a body is judged, and what the refusal says."""

from pydantic import ValidationError

from togai.sandbox.refusals import bad_request

PLAIN_WORDS = {
    "extra_forbidden": "unknown key",
    "missing": "is required",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "bool_type": "must be true or false",
}


def check(model, body):
    """Judge a parsed JSON body; returns the validated model.

    :raises Refusal: 400 naming the path and what is wrong there
    """
    path = _path_of_null(body)
    if path is not None:
        raise bad_request(f"{path or 'body'}: null is not allowed, leave the key out.")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise bad_request("; ".join(_sentence(entry) for entry in error.errors()[:3])) from error


def _path_of_null(value, path=""):
    if value is None:
        return path
    items = ()
    if isinstance(value, dict):
        items = ((f"{path}.{key}" if path else key, item) for key, item in value.items())
    elif isinstance(value, list):
        items = ((f"{path}[{index}]", item) for index, item in enumerate(value))
    for inner_path, item in items:
        found = _path_of_null(item, inner_path)
        if found is not None:
            return found
    return None


def _sentence(entry):
    path = ""
    for part in entry["loc"]:
        if part == "[key]":
            continue
        path += f"[{part}]" if isinstance(part, int) else (f".{part}" if path else str(part))
    what = PLAIN_WORDS.get(entry["type"], entry["msg"].removeprefix("Value error, "))
    return f"{path[:200] or 'body'}: {what}"
