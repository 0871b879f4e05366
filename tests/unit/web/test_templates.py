"""How values are written on a page, and that nothing but templates is HTML."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import UndefinedError

from app.security.models import Principal
from app.web.templates import environment, page_names

from ...support.tables import for_each


@for_each(
    ("name", "value", "shown"),
    [
        ("number", None, "–"),
        ("number", 1234567, "1,234,567"),
        ("compact", 9_999, "9,999"),
        ("compact", 12_345, "12.3 k"),
        ("compact", 3_400_000, "3.4 M"),
        ("milliseconds", None, "–"),
        ("milliseconds", 999, "999 ms"),
        ("milliseconds", 1_250, "1.2 s"),
        ("seconds", None, "–"),
        ("seconds", 4.26, "4.3 s"),
        ("seconds", 90, "1.5 min"),
        ("seconds", 7_200, "2.0 h"),
        ("seconds", 86_400, "1.0 d"),
        ("money", "0", "0.00"),
        ("money", "1234.5", "1,234.50"),
        ("money", "0.00005175", "0.0000"),
        ("when", "2026-11-20T09:00:00.500000Z", "2026-11-20 09:00:00"),
        ("when", 1_795_165_200_500, "2026-11-20 09:00:00"),
        ("when", None, "–"),
    ],
)
def test_a_value_is_written_as_people_read_it(name: str, value: Any, shown: str) -> None:
    assert environment.filters[name](value) == shown


def test_a_value_is_escaped_and_a_missing_one_is_an_error() -> None:
    assert (
        environment.from_string("<b>{{ x }}</b>").render(x="</b><script>'\"&") == "<b>&lt;/b&gt;&lt;script&gt;&#39;&#34;&amp;</b>"
    )
    with pytest.raises(UndefinedError):
        environment.from_string("{{ missing }}").render()


def test_no_template_switches_escaping_off() -> None:
    for name in environment.list_templates():
        source, *_ = environment.loader.get_source(environment, name)  # type: ignore[union-attr]  # it has one
        for word in ("|safe", "| safe", "autoescape", "Markup"):
            assert word not in source, name


def test_each_role_sees_its_pages() -> None:
    def pages(*roles: str) -> list[str]:
        return page_names(Principal("x", roles, "x", "0", 1))

    assert pages() == ["records", "verify", "usage"]
    assert pages("ai.playground.user") == ["playground", "records", "verify", "usage"]
    assert pages("ai.admin", "ai.audit.reader") == ["records", "verify", "usage", "operations", "audit"]
