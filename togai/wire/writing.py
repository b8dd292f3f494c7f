"""What every part of a request is, and its forms: JSON to store, bytes to send, sentences about faults."""

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from togai import strict_json
from togai.errors import ContractChanged
from togai.wire.values import LENIENTLY, Json


class Wire(BaseModel):
    """A part of a request: frozen, closed, named on the wire in camelCase."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


def stored(value: Wire) -> Json:
    """The stored form: plain JSON with decimals as canonical strings and nothing null."""
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


def to_bytes(value: Wire) -> bytes:
    """The canonical bytes to freeze and send: sorted keys, numbers as plain JSON numbers (R-14, R-16)."""
    return strict_json.dumps(value.model_dump(by_alias=True, exclude_none=True))


def problems(error: ValidationError) -> list[tuple[tuple[str | int, ...], str]]:
    """Where a writer found fault: the path on the wire, and a sentence for the person who typed."""
    sentences = {"missing": "This is required.", "extra_forbidden": "Togai does not know this here."}
    # A field that was left out is named by the library as in Python, not as on the wire.
    wire_names = {"slab_config": "slabConfig", "expiry_duration": "expiryDuration"}
    return [
        (
            tuple(wire_names.get(str(step), step) for step in fault["loc"]),
            sentences.get(fault["type"], fault["msg"]),
        )
        for fault in error.errors(include_url=False, include_input=False)
    ]


def read_part(part: type[Wire], value: object) -> Json:
    """
    What Togai shows of such a part, in stored form; unknown keys are left out.

    :raises ContractChanged: if it has another shape than the contract's
    """
    try:
        return stored(part.model_validate(value, context=LENIENTLY, extra="ignore"))
    except ValidationError as error:
        path, sentence = problems(error)[0]
    place = ".".join(map(str, path)) or "the details"
    raise ContractChanged(f"Cannot read {place} of Togai's: {sentence}", reason="details")
