"""Fixtures that most tests share: a fake of the OpenAI protocol, and a service in front of it."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import uvloop

from .support.examples import register_profiles
from .support.fake_openai import FakeOpenAI
from .support.leftovers import SHARED_CHILDREN, SHARED_FILES, Held, left_since, running_below
from .support.postgres_server import PostgresServer
from .support.service import Service, close_breakers
from .support.stores import close_stores

register_profiles()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays: to look for garbage in it is in vain, now and later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for temporary files that only this process of the suite and its children use."""
    uvloop.new_event_loop().close()  # the first one opens a pipe for signals that every later one uses
    tmp_path_factory.getbasetemp()  # stays where it is, so that a failed test can be looked into
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="suite-") as folder:
        Path(folder).chmod(0o711)  # some children run as another user
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.fixture(scope="module", autouse=True)
def module_leaves_nothing(temporary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[frozenset[str]]:
    """Fails a module that leaves something behind, or another current folder. Yields the folders of earlier modules."""
    before, logs, folder = Held.now(temporary), tmp_path_factory.getbasetemp(), Path.cwd()
    earlier = frozenset(os.listdir(logs))
    yield earlier
    assert Path.cwd() == folder, "the module left this process in another folder"
    left = left_since(before, temporary, logs, sockets=True, earlier=earlier)
    assert not left, f"the module left behind:\n{left}"
    assert running_below(logs) == []


@pytest.fixture(autouse=True)
def nothing_is_left(
    module_leaves_nothing: frozenset[str], temporary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Fails a test that leaves a descriptor, thread, process or file behind; fixtures of a module may keep theirs.

    Connections count at the end of the module: a client that its tests share keeps some.
    """
    before = Held.now(temporary)
    yield
    close_stores()
    left = left_since(before, temporary, tmp_path_factory.getbasetemp(), sockets=False, earlier=module_leaves_nothing)
    assert not left, f"the test left behind:\n{left}"


@pytest.fixture(autouse=True)
def breakers_are_closed() -> None:
    close_breakers()


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeOpenAI]:
    """One fake upstream per test module; a test that sets a mode resets it."""
    with FakeOpenAI() as upstream:
        yield upstream


@pytest.fixture
def upstream(fake: FakeOpenAI) -> Iterator[FakeOpenAI]:
    """The fake, for a test that sets its mode or counts its calls."""
    fake.reset()
    yield fake
    fake.reset()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    """One running service per test module, in front of the fake."""
    folder: Path = tmp_path_factory.mktemp("service")
    with Service(folder, OPENAI_BASE_URL=fake.base_url, OPENAI_API_KEY="sk-planted-key-0123456789") as running:
        yield running


@pytest.fixture(scope="module")
def token(service: Service) -> str:
    """An access token of a client that may ask."""
    return service.token("alice", service.add_client("alice"))


@pytest.fixture(scope="session")
def postgres(temporary: Path) -> Iterator[PostgresServer]:
    """One PostgreSQL for each process of the suite: a test makes a database of its own, and stops nothing."""
    with PostgresServer() as server:
        SHARED_CHILDREN.add(server.pid)
        SHARED_FILES.add(str(server.folder))
        yield server
