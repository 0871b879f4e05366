"""A start that fails for a known cause is told in its sentence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from fastapi import FastAPI
from uvicorn.lifespan.on import LifespanOn

from app.errors import ServerUnavailable
from app.serving.plain_start import PlainStart


def started(error: Exception | None) -> LifespanOn:
    """uvicorn's own part, after the start of an application that raises *error*."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if error is not None:
            raise error
        yield

    async def run() -> LifespanOn:
        lifespan_on = LifespanOn(uvicorn.Config(PlainStart(FastAPI(lifespan=lifespan)), log_config=None))
        await lifespan_on.startup()
        await lifespan_on.shutdown()
        return lifespan_on

    return asyncio.run(run())


def test_a_known_cause_is_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    assert started(ServerUnavailable("The database did not answer in time.")).should_exit
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert said == ["The database did not answer in time.", "Application startup failed. Exiting."]


def test_a_fault_of_ours_keeps_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    assert started(ValueError("broken")).should_exit
    assert "Traceback" in caplog.text
    assert "broken" in caplog.text


def caused(cause: Exception) -> ServerUnavailable:
    error = ServerUnavailable("The database did not answer in time.")
    error.__cause__ = cause
    return error


def test_a_fault_of_ours_behind_a_sentence_keeps_its_traceback_too(caplog: pytest.LogCaptureFixture) -> None:
    assert started(caused(KeyError("planted"))).should_exit
    assert "KeyError: 'planted'" in caplog.text
    assert "The database did not answer in time." in caplog.text


def test_a_network_that_fails_behind_a_sentence_adds_nothing_to_it(caplog: pytest.LogCaptureFixture) -> None:
    assert started(caused(ConnectionRefusedError("planted"))).should_exit
    assert "planted" not in caplog.text


def test_an_application_that_starts_also_ends() -> None:
    lifespan_on = started(None)
    assert not lifespan_on.should_exit
    assert lifespan_on.shutdown_event.is_set()
    assert not lifespan_on.shutdown_failed
