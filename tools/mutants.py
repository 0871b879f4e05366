"""A seeded sample of the mutants of a folder, one JSON object a line: what `python -m tests.mutation` runs the tests against.

    .venv-mutation/bin/python tools/mutants.py app/security --seed 1 --size 600

The changes are mutmut's. mutmut itself leaves decorated functions and everything outside functions alone, since it switches
between copies of a function while it runs; here each mutant is a file of its own, so that routes and constants count too.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from pathlib import Path

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.file_mutation import Mutation, MutationVisitor, deep_replace
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Mutant:
    """*first*, *last*: lines of the changed statement. *at_import*: it runs when the file is imported. *code*: the whole file."""

    file: str
    line: int
    before: str
    after: str
    first: int
    last: int
    at_import: bool
    code: str


class Everywhere(MutationVisitor):
    """As mutmut's, but decorated functions count. Type annotations, decorators, `len` and `isinstance` do not."""

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.FunctionDef):
            node = node.with_changes(decorators=())
        return bool(super()._skip_node_and_children(node))


class Source:
    """One file and its possible changes."""

    def __init__(self, path: Path) -> None:
        self.path, self.text = path, path.read_text()
        wrapper = MetadataWrapper(cst.parse_module(self.text))
        visitor = Everywhere(mutation_operators, IgnoredCode(set(), set(), set()))
        wrapper.visit(visitor)
        self.module, self.positions = wrapper.module, wrapper.resolve(PositionProvider)
        self.mutations: list[Mutation] = visitor.mutations
        tree = ast.parse(self.text)
        self.dumped, self.statements = ast.dump(tree), list(statements_of(tree))

    def mutant(self, number: int) -> Mutant | None:
        """None for a change that is no Python, or that changes nothing."""
        mutation = self.mutations[number]
        changed = deep_replace(self.module, mutation.original_node, mutation.mutated_node)
        code = cst.ensure_type(changed, cst.Module).code
        try:
            if ast.dump(ast.parse(code)) == self.dumped:
                return None
            compile(code, self.path, "exec", dont_inherit=True)
        except SyntaxError:
            return None
        line, before, after = difference(self.text.splitlines(), code.splitlines())
        at = self.positions[mutation.original_node].start.line
        first, last, at_import = min((one for one in self.statements if one[0] <= at <= one[1]), key=lambda one: one[1] - one[0])
        return Mutant(str(self.path), line, before, after, first, last, at_import, code)


def statements_of(node: ast.AST, in_function: bool = False) -> Iterator[tuple[int, int, bool]]:
    """First and last line of each statement, and whether it runs at import; of one with a body, only its head counts."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            body = [one for one in ast.iter_child_nodes(child) if isinstance(one, ast.stmt)]
            last = max(child.lineno, min(one.lineno for one in body) - 1) if body else child.end_lineno or child.lineno
            yield child.lineno, last, not in_function
        yield from statements_of(child, in_function or isinstance(child, FUNCTIONS))


def difference(before: list[str], after: list[str]) -> tuple[int, str, str]:
    """Line number of the first changed line, and the changed lines before and after."""
    changes = [one for one in SequenceMatcher(None, before, after, autojunk=False).get_opcodes() if one[0] != "equal"]
    _, start, end, new_start, new_end = changes[0]
    return start + 1, *(" ".join(map(str.strip, lines)) for lines in (before[start:end], after[new_start:new_end]))


def sample(folder: Path, seed: int, size: int) -> Iterator[Mutant]:
    sources = [Source(path) for path in sorted(folder.rglob("*.py"))]
    every = [(source, number) for source in sources for number in range(len(source.mutations))]
    random.Random(seed).shuffle(every)  # noqa: S311  # repeatable, not secret
    found = 0
    for source, number in every:
        if found < size and (mutant := source.mutant(number)):
            found += 1
            yield mutant


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=600)
    given = parser.parse_args()
    for mutant in sample(given.folder, given.seed, given.size):
        print(json.dumps(asdict(mutant)))


if __name__ == "__main__":
    main()
