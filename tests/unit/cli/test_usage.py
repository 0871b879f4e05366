"""A refused word of a command is named, with what may stand there."""

from __future__ import annotations

from typing import Annotated

import pytest
import typer

from app.cli.usage import WrongUsage, argument, one_each, usage_sentence
from app.security.token_errors import InvalidRoles, InvalidUser

app = typer.Typer()


@app.command()
def work(
    name: Annotated[str, typer.Argument(help="The name.")],
    count: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")],
    token: Annotated[str, typer.Option("--token", envvar="TOKEN_OF_THIS_TEST", help="A token.")],
    plain: Annotated[str, typer.Option()] = "",
) -> None:
    pass


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Missing NAME. The name."),
        (["x"], "Missing --count. How many."),
        (["x", "--count", "0"], "--count takes a whole number from 1 to 10,000. How many."),
        (["x", "--count", "many"], "--count takes a whole number from 1 to 10,000. How many."),
        (["x", "--count", "1"], "Missing --token (or TOKEN_OF_THIS_TEST). A token."),
        (["x", "--count"], "Option '--count' requires an argument."),
        (["x", "y", "--count", "1", "--token", "t"], "Got unexpected extra argument(s) (y)"),
    ],
)
def test_the_argument_is_named(words: list[str], sentence: str) -> None:
    with pytest.raises(typer.TyperException) as refused:
        app(words, standalone_mode=False)
    assert usage_sentence(refused.value).startswith(sentence)


def test_a_refusal_of_ours_keeps_its_code_and_gets_the_name() -> None:
    with pytest.raises(InvalidUser) as refused, argument("CLIENT_ID", InvalidUser):
        raise InvalidUser
    assert refused.value.detail == f"Invalid value for CLIENT_ID: {InvalidUser.detail}"
    assert refused.value.code == "invalid_user"
    with pytest.raises(InvalidRoles) as other, argument("CLIENT_ID", InvalidUser):
        raise InvalidRoles
    assert other.value.detail == InvalidRoles.detail


several = typer.Typer()


@several.command()
def name_several(role: Annotated[list[str] | None, typer.Option("--role", callback=one_each)] = None) -> None:
    print(role)


@pytest.mark.parametrize("value", ["a.b,c.d", "a.b, c.d", "a.b c.d", "a.b;c.d,"])
def test_several_values_in_one_are_told_how_to_be_written(value: str) -> None:
    with pytest.raises(WrongUsage, match=r"repeat --role for each, as in --role a\.b --role c\.d"):
        several(["--role", value], standalone_mode=False)


def test_an_option_that_is_repeated_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    several(["--role", "a.b", "--role", "c.d"], standalone_mode=False)
    several([], standalone_mode=False)
    assert capsys.readouterr().out == "['a.b', 'c.d']\nNone\n"
