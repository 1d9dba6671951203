"""The description of the service that programs read: OpenAPI 3.1."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from imrestore.serve.tasks import ServedTask
from imrestore.serve.upload import Limits

__all__ = ["document"]

_ERROR = {"$ref": "#/components/schemas/Error"}
_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}}
_REFUSALS = {
    "400": "The request is not valid HTTP, its body is empty or cut short, or its form is none of "
    "one file.",
    "401": "The token is missing or wrong.",
    "403": "The request comes from another site, or names another host.",
    "404": "There is no such path.",
    "405": "The path has no such method.",
    "408": "The body comes too slowly.",
    "413": "The body, the picture in it, or the result is too large.",
    "415": "The body is no picture of a known format.",
    "422": "An option is unknown or invalid, or the picture is damaged.",
    "429": "Too many pictures, or too many bytes, are under way already.",
    "500": "A bug.",
    "503": "The service is about to end, or too many connections are open.",
    "507": "There is no room on the disk.",
}


def document(tasks: Sequence[ServedTask], limits: Limits, *, needs_token: bool) -> dict[str, Any]:
    """Return the document."""
    paths: dict[str, Any] = {f"/{task.name}": {"post": _operation(task, limits)} for task in tasks}
    json_object = {"application/json": {"schema": {"type": "object"}}}
    paths |= {
        "/health": {"get": _plain("State of the service.", json_object)},
        "/metrics": {
            "get": _plain("Figures for Prometheus.", {"text/plain": {}}, "401", is_open=False)
        },
        "/openapi.json": {"get": _plain("This document.", json_object)},
        "/": {"get": _plain("A page to try it on.", {"text/html": {}})},
    }
    paths["/health"]["get"]["responses"]["503"] = {
        "description": "It is about to end.",
        "content": json_object,
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "imrestore",
            "version": version("imrestore"),
            "description": "Denoises and restores photographs, and inspects parts. Options have "
            "the names and the meaning that they have in the commands.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": {
                "Error": {
                    "type": "object",
                    "properties": {"error": {"type": "string"}},
                    "required": ["error"],
                    "additionalProperties": False,
                }
            },
            **(
                {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
                if needs_token
                else {}
            ),
        },
        **({"security": [{"token": []}]} if needs_token else {}),
    }


def _operation(task: ServedTask, limits: Limits) -> dict[str, Any]:
    binary: dict[str, Any] = {"schema": {}}
    form = {
        "schema": {
            "type": "object",
            "properties": {"file": {"type": "string", "format": "binary"}},
            "required": ["file"],
        }
    }
    is_json = task.media_types == ("application/json",)
    result = {"schema": {"type": "object"}} if is_json else {}
    done: dict[str, Any] = {
        "description": "The verdict." if is_json else "The result.",
        "content": dict.fromkeys(task.media_types, result),
    }
    if not is_json:
        done["headers"] = {
            "Imrestore-Record": {
                "description": "How it was made, as --json prints it.",
                "schema": {"type": "string"},
            }
        }
    return {
        "operationId": task.name,
        "summary": task.summary,
        "parameters": task.parameters.described(),
        "requestBody": {
            "required": True,
            "description": f"The file, of at most {limits.most_bytes:,} bytes.",
            "content": {"application/octet-stream": binary, "multipart/form-data": form},
        },
        "responses": {"200": done} | {status: _refusal(status) for status in _REFUSALS},
    }


def _plain(
    summary: str, content: dict[str, Any], *statuses: str, is_open: bool = True
) -> dict[str, Any]:
    common = ("400", "403", "404", "405", "503", *statuses)
    return {
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": content},
            **{status: _refusal(status) for status in common},
        },
        **({"security": []} if is_open else {}),
    }


def _refusal(status: str) -> dict[str, Any]:
    return {
        "description": _REFUSALS[status],
        "content": {"application/json": {"schema": _ERROR}},
        **({"headers": _RETRY} if status in ("429", "503") else {}),
    }
