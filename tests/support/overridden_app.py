"""The service whose routes are all served by FastAPI itself, as where a dependency is overridden."""

from __future__ import annotations

from fastapi import FastAPI

from app import main
from app.api.dependencies import asker


def create_app() -> FastAPI:
    application = main.create_app()
    application.dependency_overrides[asker] = asker
    return application
