"""GET /docs: Swagger UI from our own files: offline, and under a strict Content-Security-Policy."""

from __future__ import annotations

from importlib.resources import files

import orjson
from fastapi import APIRouter, FastAPI, Response

from ..description import description_of
from ..static_files import PageFiles

router = APIRouter(include_in_schema=False)
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Secure AI Assistant</title>
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
<link rel="icon" href="docs/assets/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
START = """"use strict";
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: false,
  validatorUrl: null,
});
"""


@router.head("/docs")
@router.get("/docs")
async def docs() -> Response:
    return Response(PAGE, media_type="text/html")


@router.get("/docs/start.js")
async def start() -> Response:
    return Response(START, media_type="text/javascript")


def add_docs(app: FastAPI) -> None:
    """Add the page, its script, the description, and the Swagger UI files of fastapi-swagger."""
    described: list[bytes] = []  # made once

    async def openapi() -> Response:
        if not described:
            described.append(orjson.dumps(await description_of(app)))
        return Response(described[0], media_type="application/json")

    app.add_api_route("/openapi.json", openapi, methods=["GET", "HEAD"], include_in_schema=False)
    app.include_router(router)
    app.mount("/docs/assets", PageFiles(directory=str(files("fastapi_swagger") / "resources")))
