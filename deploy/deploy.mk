# Delivery: compose, Cloud Run, rehearsal, checks. Included by the Makefile.

COMPOSE ?= docker compose
PORT ?= 8080
RELEASE_CONFIG ?= deploy/cloudrun.toml
LINT := .venv-lint
REHEARSAL := .venv-rehearsal

# The release tool needs Python and gcloud, and matinee itself only to look a model up in a registry.
ifeq ($(strip $(MODEL_REGISTRY)),)
RELEASE := $(PYTHON) -m deploy.release --config "$(RELEASE_CONFIG)"
release-environment:
else
RELEASE := .venv-release/bin/python -m deploy.release --config "$(RELEASE_CONFIG)"
release-environment: .venv-release/.$(MODEL_REGISTRY)
.venv-release/.$(MODEL_REGISTRY): requirements.lock
	@"$(PYTHON)" -m venv .venv-release
	@.venv-release/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@.venv-release/bin/python -m pip install --quiet --disable-pip-version-check ".[$(MODEL_REGISTRY)]"
	@touch $@
endif

.PHONY: deploy down deploy-cloudrun refresh-cloudrun rollback-cloudrun settle-cloudrun status-cloudrun \
  rehearse lint-pipelines release-environment

deploy: ## Build the image and start it with compose; PORT=… chooses the port
	@$(COMPOSE) version >/dev/null 2>&1 || { echo "make deploy needs $(COMPOSE): install Docker with its compose plugin, or set COMPOSE=docker-compose" >&2; exit 1; }
	@PORT=$(PORT) $(COMPOSE) up --build --detach
	@sh deploy/compose/wait.sh $(PORT)
	@$(COMPOSE) exec -T matinee /opt/venv/bin/python -m matinee easter
	@echo "The page: http://localhost:$(PORT)/   the documentation: http://localhost:$(PORT)/docs   stop with: make down"

down: ## Stop what `make deploy` started
	@$(COMPOSE) --profile '*' down

deploy-cloudrun: release-environment ## Release IMAGE=…@sha256:… to Cloud Run by candidate and canary
	@test -n "$(IMAGE)" || { echo "say which image: make deploy-cloudrun IMAGE=REPOSITORY@sha256:…" >&2; exit 2; }
	@$(RELEASE) deploy --image "$(IMAGE)"

refresh-cloudrun: release-environment ## Release what the registry's alias means now, if it is another model
	@$(RELEASE) refresh

rollback-cloudrun: ## Give all traffic to the revision that was live before
	@$(PYTHON) -m deploy.release --config "$(RELEASE_CONFIG)" rollback

settle-cloudrun: ## Undo what a killed release left behind
	@$(PYTHON) -m deploy.release --config "$(RELEASE_CONFIG)" settle

status-cloudrun: ## Show traffic, model and history of the service on Cloud Run
	@$(PYTHON) -m deploy.release --config "$(RELEASE_CONFIG)" status

$(REHEARSAL)/.done: deploy/requirements-rehearsal.txt requirements.lock
	@"$(PYTHON)" -m venv $(REHEARSAL)
	@$(REHEARSAL)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(REHEARSAL)/bin/python -m pip install --quiet --disable-pip-version-check -r deploy/requirements-rehearsal.txt -e ".[wandb,mlflow]"
	@touch $@

rehearse: $(REHEARSAL)/.done ## Prove the delivery on this machine, as root: image, release, canary, rollback, refresh
	@$(REHEARSAL)/bin/python -m deploy.rehearsal

$(LINT)/.done: deploy/requirements-lint.txt
	@"$(PYTHON)" -m venv $(LINT)
	@$(LINT)/bin/python -m pip install --quiet --disable-pip-version-check -r deploy/requirements-lint.txt
	@touch $@

lint-pipelines: $(LINT)/.done ## Check workflows, image, compose, chart and manifests
	@$(LINT)/bin/python -m deploy.checks
