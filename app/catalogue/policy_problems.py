"""What the tables of a policy file contradict in each other, one sentence for each problem."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .policy_sentences import budget_number, table
from .tables import BudgetTable, CapsTable, ModelTable, PolicyFile, ServerTable
from .values import PLACEHOLDERS, is_key

NO_TABLE = "names a model without a table: add [models.NAME] for it, or name one that exists"


def key_problems(servers: Mapping[str, ServerTable], keys: Mapping[str, str]) -> Iterator[str]:
    """*keys*: what the variables hold that the tables name."""
    for name, server in servers.items():
        held, variable = keys[name], f"{table('servers', name)} api_key_env names an environment variable that"
        if server.api_key_env is not None and not held:
            yield f"{variable} is not set, or empty: set it, or remove api_key_env if the server needs no key"
        elif held in PLACEHOLDERS:
            yield f"{variable} is still the placeholder: set your key there"
        elif not is_key(held):
            yield f"{variable} holds other than visible ASCII characters: set the key alone there"


def problems_of(file: PolicyFile) -> Iterator[str]:
    for name, server in file.servers.items():
        if server.api_key_env is None and server.base_url is None and server.langchain is None:
            what = "is OpenAI, which needs a key: add api_key_env, or base_url for another server"
            yield f"{table('servers', name)} {what}"
    if not file.models:
        yield "[models] is empty: add a table [models.NAME] with its server"
    taken = set(file.models)
    for name, model in file.models.items():
        for problem in _model_problems(name, model, file):
            yield f"{table('models', name)} {problem}"
        if len({*model.aliases} - taken) < len(model.aliases):
            yield f"{table('models', name)} aliases holds a name that stands twice in the file: each is one model's"
        taken.update(model.aliases)
    for role, caps in file.caps.items():
        for problem in _default_problems(caps):
            yield f"{table('caps', role)} {problem}"
    for name in file.prices:
        if name not in file.models:
            yield f"{table('prices', name)} is for a model without a table: name it as its [models.NAME] does"
    yield from _budget_problems(file)


def _model_problems(name: str, model: ModelTable, file: PolicyFile) -> Iterator[str]:
    if model.server is not None and model.servers is not None:
        yield "has server and servers: keep one of them"
    elif not model.served_by:
        yield "has no server: name one in server, or several in servers"
    for server in model.served_by:
        if server.name not in file.servers:
            which = "server" if model.servers is None else "servers"
            yield f"{which} names a server without a table: add [servers.NAME] for it, or name one that exists"
    served = [(server.name, server.model) for server in model.served_by]
    if len(set(served)) < len(served):
        yield "servers names one twice: give it a weight instead"
    if model.hedge_after_seconds is not None and len({server.name for server in model.served_by}) < 2:
        yield "hedge_after_seconds needs a second server to ask: name several in servers, or remove it"
    yield from _default_problems(model)
    if name in model.fallback:
        yield "fallback names the model itself: name others, or remove it"
    if any(other not in file.models for other in model.fallback):
        yield f"fallback {NO_TABLE}"
    if len(set(model.fallback)) < len(model.fallback):
        yield "fallback names a model twice: name each once"


def _default_problems(table: ModelTable | CapsTable) -> Iterator[str]:
    most, default = table.max_output_tokens, table.default_output_tokens
    if most is not None and default is not None and default > most:
        yield f"default_output_tokens is more than max_output_tokens, {most:,}: lower it, or raise the other"


def _budget_problems(file: PolicyFile) -> Iterator[str]:
    seen: dict[str, int] = {}
    for index, budget in enumerate(file.budgets):
        where = budget_number(index)
        if problem := _budget_problem(budget):
            yield f"{where} {problem}"
        elif budget.model is not None and budget.model not in file.models:
            yield f"{where} model {NO_TABLE}"
        elif (first := seen.setdefault(budget.budget().id, index)) != index:
            yield f"{where} is for the same as number {first + 1}: keep one of them"


def _budget_problem(budget: BudgetTable) -> str | None:
    if (budget.money is None) == (budget.tokens is None):
        which = "neither money nor tokens: add one" if budget.money is None else "money and tokens: write two budgets"
        return f"has {which}"
    if sum(one is not None for one in (budget.principal, budget.role, budget.model)) > 1:
        return "has more than one of principal, role and model: keep one, or write several budgets, which must all agree"
    return None
