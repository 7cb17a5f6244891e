"""Labels as JSON: whole numbers or texts, one kind in a list."""

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from app.api.instances import refusal

LONGEST = 256
LARGEST = 2**63


def _labels(value: Any) -> Any:
    if not isinstance(value, list) or not value:
        raise refusal([("", "labels should be a list with one label a row.")])
    check = _text if isinstance(value[0], str) else _number
    faults = [(f"/{i}", fault) for i, label in enumerate(value) if (fault := check(label)) is not None]
    if faults:
        raise refusal(faults)
    return value


def _text(label: Any) -> str | None:
    if not isinstance(label, str):
        return f"A label is {str(label)[:60]}; it should be a text, like the first."
    if len(label) > LONGEST:
        return f"A label has {len(label)} characters; at most {LONGEST} are taken."
    return None


def _number(label: Any) -> str | None:
    if type(label) is not int:
        return f"A label is {str(label)[:60]!r}; labels are texts or whole numbers, all of one kind."
    return None if -LARGEST <= label < LARGEST else f"The label {label} is beyond 64 bits."


def _schema(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items}


Labels = Annotated[
    list[Any],
    BeforeValidator(_labels),
    WithJsonSchema(
        {
            "anyOf": [
                _schema({"type": "integer", "minimum": -LARGEST, "maximum": LARGEST - 1}),
                _schema({"type": "string", "maxLength": LONGEST}),
            ]
        }
    ),
]
