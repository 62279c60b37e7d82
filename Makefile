# make help shows what there is.

IMAGE    ?= ghcr.io/refty-yapi/refty-node-versions-service
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 10s
BENCH    ?= ^Benchmark(Updates|Table)$$
DOCKER   ?= docker

.DEFAULT_GOAL := help
.PHONY: help run test race lint generate fuzz bench image ci

help: ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## run the service in front of an embedded GitHub
	go run ./cmd/sandbox

test: ## run all tests; needs Go and git alone
	go test ./...

race: ## run all tests with the race detector, in random order
	go test -race -shuffle=on ./...

lint: ## run golangci-lint, which must be installed
	golangci-lint run ./...

generate: ## make the Go code that openapi.yaml describes
	go generate ./...

fuzz: ## fuzz every parser for FUZZTIME (10s) each
	.ci/fuzz $(FUZZTIME)

bench: ## print what an update costs, and how fast files are edited
	go test -p 1 ./cmd/internal/service ./pkg/manifest -run '^$$' -bench '$(BENCH)' -benchtime 1x -timeout 30m

image: ## build the container image IMAGE:VERSION
	$(DOCKER) build -t $(IMAGE):$(VERSION) \
	  --build-arg VERSION=$(VERSION) \
	  --build-arg COMMIT=$$(git rev-parse HEAD) \
	  --build-arg DATE=$$(date -u +%Y-%m-%dT%H:%M:%SZ) .

ci: ## run every check, as CI does
	.ci/run
