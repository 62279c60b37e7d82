# make help shows what there is.

IMAGE    ?= ghcr.io/refty-yapi/refty-node-versions-service
TARGET   ?= service
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 10s
MINUTES  ?= 30
BENCH    ?= ^Benchmark(Updates|Growth|Deliveries|Inventory|Table|Bursts|Lists)$$
DOCKER   ?= docker

# With PostgreSQL's package of Debian, what needs a server gets one for its time.
POSTGRES ?= $(if $(wildcard /usr/lib/postgresql/*/bin/initdb),.ci/postgres)

.DEFAULT_GOAL := help
.PHONY: help run test race lint generate fuzz bench soak image ci

help: ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## run the service in front of an embedded GitHub
	go run ./cmd/sandbox

test: ## run all tests; needs Go and git alone
	go test ./...
	@test -n "$$TEST_DATABASE_URL" || echo "Left out: the queue on PostgreSQL. With it, where Debian's package postgresql is installed: .ci/postgres make test"

race: ## run all tests but those of size and cost with the race detector, in random order, and with PostgreSQL if it is installed
	$(POSTGRES) .ci/race ./...

lint: ## run golangci-lint, which must be installed
	golangci-lint run ./...

generate: ## make the Go code that openapi.yaml describes
	go generate ./...

fuzz: ## fuzz every parser for FUZZTIME (10s) each
	.ci/fuzz $(FUZZTIME)

bench: ## print what updates, looks at all images, bursts and lists cost, what grows with what, how soon a webhook is answered, and how fast files are edited
	$(POSTGRES) go test -p 1 ./cmd/internal/acceptance ./pkg/inventory ./pkg/manifest ./pkg/queue -run '^$$' -bench '$(BENCH)' -benchtime 1x -timeout 30m

soak: ## run the service under mixed load for MINUTES (30) and see that nothing grows
	.ci/soak $(MINUTES)

image: ## build the container image IMAGE:VERSION, and with TARGET=sandbox that of the sandbox
	$(DOCKER) build -t $(IMAGE):$(VERSION) --target $(TARGET) \
	  --build-arg VERSION=$(VERSION) \
	  --build-arg COMMIT=$$(git rev-parse HEAD) \
	  --build-arg DATE=$$(git log -1 --format=%cI) .

ci: ## run every check, as CI does
	.ci/run
