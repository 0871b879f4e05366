"""A minimal instance of a JSON schema: the fake's answer if a schema is given."""

from __future__ import annotations

from math import inf
from typing import Any

DEEP = 8  # levels after which a recursive schema is ended as soon as it allows
TOO_DEEP = 40
FORMATS = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "duration": "P1D",
    "email": "text@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000001",
    "ipv4": "192.0.2.1",
}


def instance_of(schema: Any) -> Any:
    """The first choice everywhere: "text", 1, 1.5, true, the first of an enum or anyOf, arrays of one, every property.

    Ignores `pattern`, `not` and `if`. Raises ValueError if a schema has no finite instance.
    """
    return _make(schema, schema, 0)


def _make(schema: Any, root: Any, depth: int) -> Any:
    if depth > TOO_DEEP:
        raise ValueError("this schema has no end")
    if not isinstance(schema, dict):
        return "text"  # `true` allows anything
    if "$ref" in schema:
        return _make(_resolve(schema["$ref"], root), root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return _make(_choose(options, depth), root, depth + 1)
    if "allOf" in schema:
        return _make(_merge(schema, root), root, depth + 1)
    match _kind(schema):
        case "object":
            return _object(schema, root, depth)
        case "array":
            return _array(schema, root, depth)
        case "integer":
            return int(_number(schema, 1))
        case "number":
            return _number(schema, 1.5)
        case "boolean":
            return True
        case "null":
            return None
    return _string(schema)


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return str(kind[0])
    return str(kind or ("object" if "properties" in schema else "array" if "items" in schema else "string"))


def _choose(options: list[Any], depth: int) -> Any:
    null = {"type": "null"}
    return null if depth > DEEP and null in options else options[0]


def _merge(schema: dict[str, Any], root: Any) -> dict[str, Any]:
    """Merge `allOf` and its siblings into one schema."""
    rest = {name: value for name, value in schema.items() if name != "allOf"}
    merged: dict[str, Any] = {}
    for part in [*schema["allOf"], rest]:
        part = _resolve(part["$ref"], root) if "$ref" in part else part
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        merged = {**merged, **part, **({"properties": properties} if properties else {})}
    return merged


def _resolve(reference: str, root: Any) -> Any:
    found = root
    for step in reference.removeprefix("#").split("/")[1:]:
        found = found[step.replace("~1", "/").replace("~0", "~")]
    return found


def _object(schema: dict[str, Any], root: Any, depth: int) -> dict[str, Any]:
    properties = schema.get("properties", {})
    if depth > DEEP:
        properties = {name: properties[name] for name in schema.get("required", []) if name in properties}
    return {name: _make(inner, root, depth + 1) for name, inner in properties.items()}


def _array(schema: dict[str, Any], root: Any, depth: int) -> list[Any]:
    members = [_make(inner, root, depth + 1) for inner in schema.get("prefixItems", [])]
    wanted = schema.get("minItems", 0 if depth > DEEP or members else min(1, schema.get("maxItems", 1)))
    while len(members) < wanted:
        members.append(_make(schema.get("items", True), root, depth + 1))
    return members


def _number(schema: dict[str, Any], number: float) -> float:
    lowest = schema.get("minimum", schema.get("exclusiveMinimum", -inf) + 1)
    highest = schema.get("maximum", schema.get("exclusiveMaximum", inf) - 1)
    return max(lowest, min(number, highest))  # type: ignore[no-any-return]  # foreign JSON


def _string(schema: dict[str, Any]) -> str:
    text = FORMATS.get(schema.get("format", ""), "text")
    return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]
