# The service and the sandbox, each static and in an image of its own without a shell:
#
#   docker build -t versions-service \
#     --build-arg VERSION=1.2.3 --build-arg COMMIT="$(git rev-parse HEAD)" --build-arg DATE="$(git log -1 --format=%cI)" .
#   docker run --read-only -v versions-service:/data -p 8080:8080 --env-file service.env versions-service
#
#   docker build -t versions-service-sandbox --target sandbox .
#   docker run --read-only --tmpfs /tmp -p 8080:8080 -e LISTEN_ADDR=:8080 versions-service-sandbox
#
# The compiler runs on the machine's own platform, for whichever --platform is asked.

FROM --platform=$BUILDPLATFORM docker.io/library/golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d AS build
WORKDIR /src

# The modules change less often than the code: they keep a layer of their own.
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download

COPY . .
ARG VERSION=dev
ARG COMMIT=unknown
ARG DATE=unknown
ARG TARGETOS
ARG TARGETARCH
# nomsgpack leaves out of gin a format that nobody is answered in: 6 MB.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -tags nomsgpack -trimpath -buildvcs=false -o /out/ \
      -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT} -X main.date=${DATE}" \
      ./cmd/versions-service ./cmd/sandbox

# The runtime image has no shell to make a folder with.
RUN mkdir /data

FROM gcr.io/distroless/static-debian12:nonroot@sha256:afa5c872c891853ca7fcf1f12c3edb23f7eeef36189728842dd51042ff57f7ab AS runtime
COPY LICENSE NOTICES.txt /

# The queue. A new volume takes over the owner; without a named one Docker makes
# one for the container, so that a read-only root is no hindrance.
COPY --from=build --chown=65532:65532 /data /data
ENV DATA_DIR=/data
VOLUME /data

# A number, so that Kubernetes can tell that it is not root.
USER 65532:65532
EXPOSE 8080
ARG VERSION=dev
ARG COMMIT=unknown
ARG DATE=unknown
LABEL org.opencontainers.image.source="https://github.com/refty-yapi/refty-node-versions-service" \
      org.opencontainers.image.documentation="https://github.com/refty-yapi/refty-node-versions-service/blob/main/k8s/README.md" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.created="${DATE}"

FROM runtime AS sandbox
LABEL org.opencontainers.image.title="refty-node-versions-service-sandbox" \
      org.opencontainers.image.description="The versions service in front of an embedded GitHub, to try it out"
COPY --from=build /out/sandbox /sandbox
ENTRYPOINT ["/sandbox"]

FROM runtime AS service
LABEL org.opencontainers.image.title="refty-node-versions-service" \
      org.opencontainers.image.description="Sets an image to a version in every manifest of a GitHub repository, in one commit"
COPY --from=build /out/versions-service /versions-service
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["/versions-service", "healthcheck"]
ENTRYPOINT ["/versions-service"]
