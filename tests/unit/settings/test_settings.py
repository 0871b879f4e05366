"""Settings: where they come from, what is refused and with which sentence, and .env.example held against them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from app.admin.setup import set_up
from app.catalogue.models import Server
from app.catalogue.values import PLACEHOLDERS
from app.errors import ConfigError
from app.settings import Settings, load_settings, read_environment
from app.upstream.client import Upstream

from ...support.clean_settings import SECRET, SETTINGS, use_defaults
from ...support.examples import examples
from ...support.paths import ROOT

EXAMPLE = ROOT / ".env.example"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and no setting in the environment but a secret."""
    use_defaults(monkeypatch, tmp_path)
    return tmp_path


def refusal() -> str:
    """The sentences with which the start is refused."""
    with pytest.raises(ConfigError) as refused:
        load_settings()
    return refused.value.detail


# --- .env.example ------------------------------------------------------------------------------------


def test_the_example_names_every_setting_and_no_other() -> None:
    assert set(dotenv_values(EXAMPLE)) == SETTINGS


def test_the_example_shows_the_defaults() -> None:
    shown = Settings(_env_file=EXAMPLE, openai_api_key=None)
    assert shown == load_settings()


def test_every_setting_of_the_example_is_commented() -> None:
    lines = EXAMPLE.read_text().splitlines()
    bare = [line for before, line in pairwise(lines) if line and line[0] != "#" and not before]
    assert bare == []


@pytest.mark.parametrize("value", ["", " ", *sorted(PLACEHOLDERS)])
def test_a_secret_of_the_environment_that_is_none_is_named(value: str, monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    monkeypatch.setenv("SECRET_KEY", value)
    (here / ".env").write_text("SECRET_KEY=\n")
    with pytest.raises(ConfigError, match="placeholder in the environment, which wins over"):
        set_up()
    assert (here / ".env").read_text() == "SECRET_KEY=\n"


def test_init_changes_nothing_where_another_setting_is_refused(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    monkeypatch.delenv("SECRET_KEY")
    (here / ".env").write_text("SECRET_KEY=\nRATE_LIMIT=0\n")
    with pytest.raises(ConfigError, match="RATE_LIMIT"):
        set_up()
    assert (here / ".env").read_text() == "SECRET_KEY=\nRATE_LIMIT=0\n"


# --- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SECRET_KEY", "", "SECRET_KEY is shorter than 32 bytes: python -m app init"),
        ("SECRET_KEY", "s" * 31, "SECRET_KEY is shorter than 32 bytes: python -m app init"),
        ("SECRET_KEY", "32_char_random_string_here", "SECRET_KEY is still the placeholder: python -m app init"),
        ("OPENAI_API_KEY", "your_openai_api_key_here", "OPENAI_API_KEY is still the placeholder: set your key"),
        ("OPENAI_API_KEY", "two\nlines", "OPENAI_API_KEY holds other than visible ASCII characters"),
        ("OPENAI_API_KEY", "ключ", "OPENAI_API_KEY holds other than visible ASCII characters"),
        ("JWT_ALGORITHM", "none", "JWT_ALGORITHM takes HS256, HS384 or HS512"),
        ("JWT_ALGORITHM", "RS256", "JWT_ALGORITHM takes HS256, HS384 or HS512"),
        ("JWT_ALGORITHM", "HS512", "SECRET_KEY is too short for HS512: "),
        ("JWT_ISSUER", "", "JWT_ISSUER is empty"),
        ("TOKEN_EXPIRY_HOURS", "0", "TOKEN_EXPIRY_HOURS takes a number of at least"),
        ("TOKEN_EXPIRY_HOURS", "721", "TOKEN_EXPIRY_HOURS takes a number of at most 720"),
        ("TOKEN_EXPIRY_HOURS", "nan", "TOKEN_EXPIRY_HOURS takes a number"),
        ("TOKEN_EXPIRY_HOURS", "soon", "TOKEN_EXPIRY_HOURS takes a number"),
        ("RATE_LIMIT", "0", "RATE_LIMIT takes a number of at least 1"),
        ("RATE_LIMIT", "10000001", "RATE_LIMIT takes a number of at most 10,000,000"),
        ("RATE_LIMIT", "many", "RATE_LIMIT takes a whole number"),
        ("ADDRESS_RATE_LIMIT", "-1", "ADDRESS_RATE_LIMIT takes a number of at least 1"),
        ("AUDIT_REFUSALS_PER_MINUTE", "0", "AUDIT_REFUSALS_PER_MINUTE takes a number of at least 1"),
        ("LLM_TEMPERATURE", "2.1", "LLM_TEMPERATURE takes a number of at most 2"),
        ("LLM_TEMPERATURE", "nan", "LLM_TEMPERATURE takes a number"),
        ("LLM_MAX_TOKENS", "0", "LLM_MAX_TOKENS takes a number of at least 1"),
        ("LLM_TIMEOUT_SECONDS", "inf", "LLM_TIMEOUT_SECONDS takes a number"),
        ("LLM_MODEL", "", "LLM_MODEL is empty"),
        ("LLM_STREAM_TIMEOUT_SECONDS", "0", "LLM_STREAM_TIMEOUT_SECONDS takes a number above 0"),
        ("LLM_STREAM_TIMEOUT_SECONDS", "86401", "LLM_STREAM_TIMEOUT_SECONDS takes a number of at most 86,400"),
        ("OPENAI_BASE_URL", "localhost:11434", "OPENAI_BASE_URL takes an address such as http"),
        ("OPENAI_BASE_URL", "ftp://host/v1", "OPENAI_BASE_URL takes an address such as http"),
        ("OPENAI_BASE_URL", "http:///v1", "OPENAI_BASE_URL takes an address such as http"),
        ("OPENAI_BASE_URL", "http://host:port/v1", "OPENAI_BASE_URL takes an address such as http"),
        ("OPENAI_BASE_URL", "http://host/v 1", "OPENAI_BASE_URL takes an address such as http"),
        ("OPENAI_BASE_URL", "http://[::1/v1", "OPENAI_BASE_URL takes an address such as http"),
        ("OPENAI_BASE_URL", "http://me:word@host/v1", "OPENAI_BASE_URL takes an address without a user name"),
        ("V1_MAX_BODY_BYTES", "1023", "V1_MAX_BODY_BYTES takes a number of at least 1,024"),
        ("V1_MAX_BODY_BYTES", "1073741825", "V1_MAX_BODY_BYTES takes a number of at most 1,073,741,824"),
        ("V1_MAX_MESSAGES", "0", "V1_MAX_MESSAGES takes a number of at least 1"),
        ("V1_MAX_MESSAGE_CHARS", "0", "V1_MAX_MESSAGE_CHARS takes a number of at least 1"),
        ("V1_MAX_TOKENS", "0", "V1_MAX_TOKENS takes a number of at least 1"),
        ("V1_MAX_TOKENS", "1000001", "V1_MAX_TOKENS takes a number of at most 1,000,000"),
        ("V1_REFUSED_PARAMS", "user,logit bias", "V1_REFUSED_PARAMS takes names of parameters such as logit_bias"),
        (
            "V1_SERVER_SIDE",
            "mcp,conversation",
            "V1_SERVER_SIDE takes names such as mcp",
        ),
        ("ASSERTED_USER_HEADER", "X User", "ASSERTED_USER_HEADER takes the name of one header, such as X-User"),
        ("ASSERTED_USER_FIELDS", "email,phone", "ASSERTED_USER_FIELDS takes email or name"),
        ("ASSERTED_USER_RATE_LIMIT", "0", "ASSERTED_USER_RATE_LIMIT takes a number of at least 1"),
        ("STREAM_KEEPALIVE_SECONDS", "0", "STREAM_KEEPALIVE_SECONDS takes a number above 0"),
        ("STREAM_KEEPALIVE_SECONDS", "601", "STREAM_KEEPALIVE_SECONDS takes a number of at most 600"),
        ("AUDIT_STREAM", "later", "AUDIT_STREAM takes live or buffer"),
        ("AUDIT_LONG_TEXTS", "drop", "AUDIT_LONG_TEXTS takes digest or keep"),
        ("DATABASE_URL", "mysql://db/clients", "DATABASE_URL takes sqlite+aiosqlite:///path/to/file"),
        ("AUDIT_ORIGIN", "my log", "AUDIT_ORIGIN takes at most 200 characters without spaces"),
        ("CORS_ORIGINS", "*", "CORS_ORIGINS takes origins such as https://app.example.com"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,proxy.local", "TRUSTED_PROXIES takes addresses or networks"),
        ("DOCS_ENABLED", "perhaps", "DOCS_ENABLED takes true or false"),
    ],
)
def test_what_cannot_hold_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str) -> None:
    monkeypatch.setenv(name, value)
    assert refusal().startswith(sentence)


def test_a_missing_secret_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEY")
    assert refusal().startswith("SECRET_KEY is not set: python -m app init writes a new one")


def test_every_problem_is_reported_at_once_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE_LIMIT", "0")
    monkeypatch.setenv("SECRET_KEY", "short")
    assert sorted(line.split()[0] for line in refusal().splitlines()) == ["RATE_LIMIT", "SECRET_KEY"]


# A path is named, so that the operator sees which; free text has nothing to be refused for here.
PATHS = {"AUDIT_LOG_PATH", "AUDIT_KEY_PATH", "SECURITY_LOG_PATH", "MODELS_FILE", "POLICY_FILE"}
FREE = {"SYSTEM_PROMPT", "LLM_MODEL", "JWT_ISSUER", "JWT_AUDIENCE"} | PATHS


@pytest.mark.parametrize("name", sorted(SETTINGS - FREE))
def test_no_refusal_repeats_the_value(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    planted = "pl+nted v*lue"
    monkeypatch.setenv(name, planted if name != "OPENAI_API_KEY" else "your_openai_api_key_here")
    found = refusal()
    assert name in found
    assert planted not in found
    assert "your_openai_api_key_here" not in found


def test_an_audit_path_that_cannot_be_written_is_refused(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    """As another user than root: tests/test_container.py."""
    (here / "file").write_text("")
    for path, sentence in {".": "is a folder", "file/audit.jsonl": "cannot be written by this user"}.items():
        monkeypatch.setenv("AUDIT_LOG_PATH", path)
        assert refusal().startswith(f"AUDIT_LOG_PATH {Path(path)} {sentence}"), path


def test_a_file_of_settings_that_is_not_utf8_is_refused(here: Path) -> None:
    (here / ".env").write_bytes(b"LLM_MODEL=caf\xe9\n")
    assert refusal() == ".env is not UTF-8: save it again as UTF-8."


# --- where they come from ----------------------------------------------------------------------------


def test_the_environment_beats_the_file_and_the_file_the_default(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    (here / ".env").write_text("RATE_LIMIT=7\nLLM_MAX_TOKENS=9\n")
    monkeypatch.setenv("RATE_LIMIT", "8")
    settings = load_settings()
    assert (settings.rate_limit, settings.llm_max_tokens, settings.temperature) == (8, 9, 0.0)


def test_the_temperature_is_zero_only_where_the_embedded_model_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_TEMPERATURE", "")
    assert load_settings().temperature == 0
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert load_settings().temperature == 0.7
    monkeypatch.setenv("LLM_TEMPERATURE", "0.2")
    assert load_settings().temperature == 0.2
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert load_settings().temperature == 0.2, "the setting comes first"


def test_the_file_of_another_folder_does_not_count(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    (here / ".env").write_text("RATE_LIMIT=7\n")
    (here / "below").mkdir()
    monkeypatch.chdir(here / "below")
    assert load_settings().rate_limit == 60


def test_relative_paths_are_relative_to_the_current_folder(here: Path) -> None:
    settings = load_settings()
    assert settings.audit_log_path.absolute() == here / "logs" / "audit_log.jsonl"
    assert settings.security_log_path.absolute() == here / "logs" / "security.log"


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8, ::1,")
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example.com,http://127.0.0.1:3000")
    monkeypatch.setenv("V1_REFUSED_PARAMS", "logit_bias, user,")
    settings = load_settings()
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1")
    assert settings.cors_origins == ("https://a.example.com", "http://127.0.0.1:3000")
    assert settings.v1_refused_params == ("logit_bias", "user")


def test_without_key_and_url_the_embedded_model_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().is_embedded
    monkeypatch.setenv("OPENAI_API_KEY", "  ")
    assert load_settings().is_embedded
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1")
    assert not load_settings().is_embedded


def test_secrets_stay_out_of_what_settings_print(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-key")
    settings = load_settings()
    assert SECRET not in f"{settings!r}{settings}{settings.model_dump()}"
    assert "sk-planted-key" not in f"{settings!r}{settings}{settings.model_dump()}"


POLICY_NAMES = pytest.mark.parametrize("name", ["POLICY_FILE", "MODELS_FILE"])


@POLICY_NAMES
def test_an_empty_name_of_a_policy_file_is_unset(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, " ")
    assert load_settings().policy_path is None


@POLICY_NAMES
def test_no_policy_file_is_read_for_the_settings(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "missing.toml")
    settings = load_settings()
    assert settings.policy_path == Path("missing.toml"), "relative to the current folder"
    assert not settings.is_embedded


def test_the_policy_file_has_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS_FILE", "a.toml")
    monkeypatch.setenv("POLICY_FILE", "a.toml")
    assert refusal() == "POLICY_FILE and MODELS_FILE are both set: keep POLICY_FILE; the other is its older name."


def test_no_two_files_share_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS_FILE", "models.toml")
    monkeypatch.setenv("SECURITY_LOG_PATH", "./models.toml")
    assert refusal().startswith("MODELS_FILE names the same file as SECURITY_LOG_PATH")
    monkeypatch.setenv("POLICY_FILE", "models.toml")
    monkeypatch.delenv("MODELS_FILE")
    assert refusal().startswith("POLICY_FILE names the same file as SECURITY_LOG_PATH")
    monkeypatch.delenv("POLICY_FILE")
    monkeypatch.setenv("SECURITY_LOG_PATH", "logs/audit_log.jsonl.lock")
    assert refusal().startswith("SECURITY_LOG_PATH names the same file as the lock of AUDIT_LOG_PATH")
    monkeypatch.setenv("SECURITY_LOG_PATH", "logs/50%/security.log")
    monkeypatch.setenv("DATABASE_URL", "sqlite+aiosqlite:///logs/50%25/security.log")
    assert refusal().startswith("DATABASE_URL names the same file as SECURITY_LOG_PATH")


@pytest.mark.parametrize("rest", ["", "/", "/:memory:", "/a?mode=ro", "host/a", "/a%00b"])
def test_a_database_url_that_names_no_file_is_refused(monkeypatch: pytest.MonkeyPatch, rest: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite+aiosqlite://{rest}")
    assert refusal().startswith("DATABASE_URL takes sqlite+aiosqlite:///path/to/file")


@pytest.mark.parametrize("name", ["./logs/clients.sqlite3", "/srv/clients", "50% of #1 \u00e9/c", "50%25/c", "a b&c=d@e:f"])
def test_the_database_is_the_file_that_sqlalchemy_would_open(here: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    url = f"sqlite+aiosqlite:///{name}"
    monkeypatch.setenv("DATABASE_URL", url)
    assert load_settings().database_path == (here / str(make_url(url).database)).absolute()


def test_other_variables_come_from_the_environment_over_the_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / ".env").write_text("Lab_Key=from-the-file\nlab_key=another\nempty\n")
    assert read_environment()["Lab_Key"] == "from-the-file"
    assert read_environment()["lab_key"] == "another", "the case counts"
    assert "empty" not in read_environment()
    monkeypatch.setenv("Lab_Key", "from-the-environment")
    assert read_environment()["Lab_Key"] == "from-the-environment"


# --- white space at the ends --------------------------------------------------------------------------

ENDS = ["\n", "\r\n", " ", "\t\n\n"]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("place", ["environment", "file"])
def test_what_echo_leaves_at_the_end_of_a_value_is_removed(
    here: Path, monkeypatch: pytest.MonkeyPatch, end: str, place: str
) -> None:
    values = {
        "SECRET_KEY": SECRET,
        "OPENAI_API_KEY": "sk-abc",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "JWT_ALGORITHM": "HS256",
        "RATE_LIMIT": "7",
        "DOCS_ENABLED": "false",
        "AUDIT_LOG_PATH": "logs/log.jsonl",
        "DATABASE_URL": "sqlite+aiosqlite:///logs/clients.sqlite3",
        "LLM_MODEL": "small",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    wanted = load_settings()
    for name, value in values.items():
        monkeypatch.setenv(name, value + end)
    if place == "file":
        for name in values:
            monkeypatch.delenv(name)
        quoted = end.encode("unicode_escape").decode()
        (here / ".env").write_text("".join(f'{name}="{value}{quoted}"\n' for name, value in values.items()))
    assert load_settings() == wanted


def test_a_value_of_white_space_alone_is_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "\n")
    monkeypatch.setenv("OPENAI_BASE_URL", " \r\n")
    assert load_settings().is_embedded


def test_white_space_does_not_make_a_secret_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "x" * 31 + "\n")
    assert refusal().startswith("SECRET_KEY is shorter than 32 bytes")
    monkeypatch.setenv("SECRET_KEY", "32_char_random_string_here\n")
    assert refusal().startswith("SECRET_KEY is still the placeholder")


def test_a_prompt_keeps_its_white_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYSTEM_PROMPT", " Be brief.\n")
    assert load_settings().system_prompt == " Be brief.\n"


ADDRESSES = st.from_regex(r"https?://[^/]{1,20}(/[^ ]{0,10})?", fullmatch=True) | st.from_regex(
    r"https?://[a-z0-9.:\[\]@%-]{1,20}/v1", fullmatch=True
)


@given(key=st.text(max_size=20), address=ADDRESSES)
@examples(500)
@pytest.mark.slow
def test_what_the_settings_take_a_worker_can_use(key: str, address: str) -> None:
    """So nothing that is wrong with them is found as late as in a worker."""
    try:
        found = load_settings(secret_key=SECRET, openai_api_key=key, openai_base_url=address)
    except ConfigError:
        return
    assert found.openai_base_url is not None
    Upstream(Server("default", found.openai_base_url, found.openai_api_key.get_secret_value() if found.openai_api_key else ""))
