# Stagedoor's few commands, the same for people and for CI. `make` alone lists them.
#
# The environment is .venv/, made by the first target that needs it and brought up to date whenever
# pyproject.toml or constraints.txt is newer than .venv/.stamp. Nothing is installed outside it.

# The files that every request runs through are compiled where a C compiler is, again whenever one of them has
# changed; COMPILED=no takes the compiled forms away and runs the same files interpreted.

PYTHON   ?= $(shell command -v python3.11 || command -v python3)
TESTS    ?= plain
COMPILED ?= yes
BIN      := .venv/bin
STAMP    := .venv/.stamp
BUILT    := .venv/.built
HOT      := $(shell sed -n '/^compiled = \[/,/^\]/s/^ *"\(.*\)",$$/\1/p' pyproject.toml)
READY    := $(if $(filter no,$(COMPILED)),interpreted,$(BUILT))

.DEFAULT_GOAL := help

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "stagedoor needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "preparing .venv (once, and whenever pyproject.toml or constraints.txt changes)"
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[server,keyring,lab,dev]'
	@touch $@

$(BUILT): $(STAMP) setup.py $(HOT)
	@echo "compiling the door (once, and whenever one of its files changes)"
	@$(BIN)/python setup.py --quiet build_ext --inplace
	@find gateway -name 'compiled__mypyc*.so' -exec touch {} +
	@touch $@

.PHONY: interpreted
interpreted: $(STAMP) ## take the compiled forms away; `make test COMPILED=no` does so first
	@rm -rf $(BUILT) build $(wildcard gateway/compiled__mypyc*.so $(HOT:.py=.*.so))

.PHONY: run
run: $(READY) ## the whole lab on this machine: https://localhost:8443/ (Ctrl-C ends it; PORT=9443 elsewhere)
	@exec $(BIN)/stagedoor lab run $(if $(PORT),--port $(PORT)) $(if $(UPSTREAMS),--upstreams $(UPSTREAMS))

.PHONY: test
test: $(READY) ## the tests, under five minutes; TESTS=all adds the slow ones and the browser
	@TESTS=$(TESTS) $(BIN)/pytest -n 2 --dist worksteal -q

.PHONY: check
check: $(STAMP) ## lint, types, and the rules of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/house

.PHONY: nightly
nightly: $(READY) ## a million random decisions, doors' table against the definition (DECISIONS=, SEED=); new examples
	@nice $(BIN)/python -m tests.support.differential $(if $(DECISIONS),--decisions $(DECISIONS)) $(if $(SEED),--seed $(SEED))
	@TESTS=nightly nice $(BIN)/pytest -n 2 --dist worksteal -q

.PHONY: bench
bench: $(READY) ## measure against Envoy, nginx, HAProxy and aiohttp; writes bench/results/latest.json
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m bench

.PHONY: trust
trust: $(STAMP) ## let this user's browsers trust the lab's certificate authority
	@$(BIN)/python certs/make.py --out .lab/certs
	@$(BIN)/python certs/trust.py add .lab/certs/ca.pem

.PHONY: untrust
untrust: $(STAMP) ## undo `make trust`
	@$(BIN)/python certs/trust.py remove

.PHONY: clean
clean: ## remove .venv, the lab's folder and all caches
	rm -rf .venv .lab .backstage .provider build *.egg-info $(wildcard gateway/compiled__mypyc*.so $(HOT:.py=.*.so)) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
