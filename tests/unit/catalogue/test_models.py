"""Which model a role may use at which endpoint, and how much of it."""

from __future__ import annotations

from dataclasses import replace

from app.catalogue.budgets import Budget
from app.catalogue.caps import Caps, OutputLimit, TokenRate
from app.catalogue.models import ENDPOINTS, Catalogue, ModelEntry, ServedBy, Server

from ...support.caps import CAPS


def catalogue(*entries: ModelEntry, **role_caps: Caps) -> Catalogue:
    return Catalogue({entry.name: entry for entry in entries}, CAPS, role_caps, frozenset())


SERVER = Server("lab", None, "sk-planted")
OPEN = ModelEntry("open", "m1", SERVER)
OWN = ModelEntry("own", "m2", SERVER, frozenset({"ai.research", "ai.admin"}), frozenset({"chat"}))


def test_a_model_is_for_everyone_or_for_those_with_one_of_its_roles() -> None:
    found = catalogue(OWN, OPEN)
    assert found.visible_to(["ai.playground.user"]) == [OPEN]
    assert found.visible_to(["ai.playground.user", "ai.admin"]) == [OWN, OPEN], "in the order of the file"
    twice = catalogue(OWN, replace(OWN, name="other"))
    assert len(twice.visible_to(role for role in ["ai.admin"])) == 2, "roles that can be read only once"
    assert found.visible_to([]) == [OPEN]


def test_what_is_unknown_and_what_is_another_roles_look_the_same() -> None:
    found = catalogue(OPEN, OWN)
    assert found.model_for("own", ["ai.admin"]) is OWN
    assert found.model_for("own", ["ai.playground.user"]) is None
    assert found.model_for("m1", ["ai.admin"]) is None, "the server's name is not an alias"


def test_a_model_is_to_be_had_only_at_its_endpoints() -> None:
    found = catalogue(OPEN, OWN)
    assert [endpoint for endpoint in ENDPOINTS if found.model_for("own", ["ai.admin"], endpoint)] == ["chat"]
    assert [endpoint for endpoint in ENDPOINTS if found.model_for("open", [], endpoint)] == list(ENDPOINTS)
    assert found.model_for("open", [], "images") is None


def test_a_roles_own_caps_count_even_if_lower_the_largest_of_several() -> None:
    low = replace(CAPS, body_bytes=2048, messages=1, clamps=True)
    mixed = replace(CAPS, body_bytes=1024, messages=9, max_output_tokens=999_999, timeout_seconds=0.5)
    found = catalogue(**{"a.low": low, "a.mixed": mixed})
    assert found.caps_for(["ai.playground.user"]) == CAPS
    assert found.caps_for(["ai.playground.user", "a.low"]) == low
    assert found.caps_for(["a.low", "a.mixed"]) == replace(mixed, body_bytes=2048, clamps=True, timeout_seconds=600)


def test_a_credential_without_a_role_does_not_escape_its_lower_caps() -> None:
    low, high = replace(CAPS, requests_per_minute=1, messages=9), replace(CAPS, requests_per_minute=99_999)
    found = catalogue(**{"a.low": low, "a.high": high})
    assert found.caps_for(["x.y"], ["x.y", "a.low"]) == replace(CAPS, requests_per_minute=1, messages=min(9, CAPS.messages))
    assert found.caps_for(["x.y"], ["x.y", "a.high"]) == CAPS, "nor does it gain by those that it has not"
    assert found.caps_for(["a.low"], ["a.low", "a.high"]) == low


def test_what_may_run_on_a_server_is_everyones_and_that_of_each_role() -> None:
    catalogue = Catalogue({}, CAPS, {}, frozenset(), server_side=frozenset({"mcp"}))
    assert catalogue.server_side_for(["a.b"]) == {"mcp"}
    catalogue = replace(catalogue, role_server_side={"a.b": frozenset({"web_fetch"}), "c.d": frozenset({"container"})})
    assert catalogue.server_side_for(["a.b", "x.y"]) == {"mcp", "web_fetch"}
    assert catalogue.server_side_for([]) == {"mcp"}


def test_the_smallest_ceiling_counts_and_the_models_own_default() -> None:
    caps = replace(CAPS, max_output_tokens=100, default_output_tokens=10, clamps=True)
    assert OPEN.output_limit(caps) == OutputLimit(100, 10, clamps=True)
    small = replace(OPEN, max_output_tokens=50, default_output_tokens=5, clamps=False)
    assert small.output_limit(caps) == OutputLimit(50, 5, clamps=False)
    assert replace(small, max_output_tokens=200).output_limit(caps).most == 100
    assert replace(small, context_tokens=40).output_limit(caps).most == 40
    unsaid = replace(caps, default_output_tokens=0)
    assert [OPEN.output_limit(unsaid, needs_default=needs).default for needs in (False, True)] == [0, 100]
    assert small.output_limit(unsaid, needs_default=True).default == 5


def test_an_alias_finds_its_model_with_the_same_roles() -> None:
    found = replace(catalogue(OPEN, OWN), aliases={"gpt-5-mini": "open", "helper": "own"})
    assert found.model_for("gpt-5-mini", []) is OPEN
    assert found.model_for("helper", []) is None
    assert found.model_for("helper", ["ai.admin"], "chat") is OWN
    assert found.visible_to([]) == [OPEN], "it is listed once"


def test_a_model_that_only_embeds_is_an_embedder() -> None:
    kinds = {"embeddings": True, "chat": False, "responses": False}
    assert {one: replace(OPEN, endpoints=frozenset({one})).is_embedder for one in kinds} == kinds
    assert not OPEN.is_embedder


def test_no_key_is_in_what_a_catalogue_prints() -> None:
    assert "sk-planted" not in f"{catalogue(OPEN)!r}"


def test_a_model_with_one_server_lists_it() -> None:
    assert OPEN.servers == (ServedBy(SERVER, 1, "m1"),)


def test_the_smaller_timeout_of_model_and_caller_counts() -> None:
    caps = replace(CAPS, timeout_seconds=10)
    assert OPEN.seconds_for(caps) == 10
    assert replace(OPEN, timeout_seconds=2.5).seconds_for(caps) == 2.5
    assert replace(OPEN, timeout_seconds=60).seconds_for(caps) == 10


def test_a_question_keeps_the_rate_of_its_principal_and_that_of_the_model() -> None:
    capped = replace(CAPS, tokens_per_minute=5)
    own, of_model = TokenRate("tokens/alice", 5), TokenRate("model-tokens/open", 9)
    busy = replace(OPEN, tokens_per_minute=9)
    found = [entry.token_rates("alice", caps) for entry in (OPEN, busy) for caps in (CAPS, capped)]
    assert found == [(), (own,), (of_model,), (own, of_model)]


# --- budgets -----------------------------------------------------------------------------------------

EVERYONE = Budget("all/month/money", "month", money=5)
EACH = Budget("principal=*/day/money", "day", principal="*", money=5)
OWN_BUDGET = Budget("principal=alice/day/money", "day", principal="alice", money=9)
OF_ROLE = Budget("role=a.b/day/tokens", "day", role="a.b", tokens=9)
OF_MODEL = Budget("model=open/minute/tokens", "minute", model="open", tokens=9)
BUDGETS = replace(catalogue(OPEN), budgets=(EVERYONE, EACH, OWN_BUDGET, OF_ROLE, OF_MODEL), aliases={"other-name": "open"})


def test_a_question_must_fit_into_every_budget_that_is_for_it() -> None:
    assert BUDGETS.budgets_for("bob", [], "own") == (EVERYONE, EACH.of("bob"))
    assert BUDGETS.budgets_for("bob", ["a.b"], "open") == (EVERYONE, EACH.of("bob"), OF_ROLE, OF_MODEL)
    assert BUDGETS.budgets_for("bob", [], "other-name")[-1] == OF_MODEL, "an alias is no way around it"
    assert catalogue(OPEN).budgets_for("bob", ["a.b"], "open") == ()


def test_a_budget_of_ones_own_replaces_that_for_each() -> None:
    assert BUDGETS.budgets_for("alice", [], "own") == (EVERYONE, OWN_BUDGET)
    tokens = replace(OWN_BUDGET, id="principal=alice/day/tokens", money=None, tokens=9)
    found = replace(BUDGETS, budgets=(EACH, tokens)).budgets_for("alice", [], "own")
    assert found == (EACH.of("alice"), tokens), "one of another kind replaces nothing"


def test_a_credential_without_a_role_does_not_escape_its_budget() -> None:
    assert BUDGETS.budgets_for("bob", [], "own", ["a.b"])[-1] == OF_ROLE
