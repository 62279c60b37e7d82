# Both programs, static, in an image without a shell:
#
#   docker build -t versions-service \
#     --build-arg VERSION=1.2.3 --build-arg COMMIT="$(git rev-parse HEAD)" --build-arg DATE="$(date -u +%FT%TZ)" .
#   docker run --read-only -v versions-service:/data -p 8080:8080 --env-file service.env versions-service
#   docker run --read-only --tmpfs /tmp -p 8080:8080 -e LISTEN_ADDR=:8080 --entrypoint /sandbox versions-service

FROM golang:1.26-bookworm AS build
WORKDIR /src

# The modules change less often than the code: they keep a layer of their own.
COPY go.mod go.sum ./
RUN go mod download

COPY . .
ARG VERSION=dev
ARG COMMIT=unknown
ARG DATE=unknown
# nomsgpack leaves out of gin a format that nobody is answered in: 6 MB.
RUN CGO_ENABLED=0 go build -tags nomsgpack -trimpath -buildvcs=false -o /out/ \
      -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT} -X main.date=${DATE}" \
      ./cmd/versions-service ./cmd/sandbox

# The runtime image has no shell to make a folder with.
RUN mkdir /data

FROM gcr.io/distroless/static-debian12:nonroot
ARG VERSION=dev
ARG COMMIT=unknown
ARG DATE=unknown
LABEL org.opencontainers.image.title="refty-node-versions-service" \
      org.opencontainers.image.description="Sets an image to a version in every manifest of a GitHub repository, in one commit" \
      org.opencontainers.image.source="https://github.com/refty-yapi/refty-node-versions-service" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.created="${DATE}"

COPY --from=build /out/versions-service /out/sandbox /
COPY LICENSE /LICENSE

# The queue. A new volume takes over the owner; without a named one Docker makes
# one for the container, so that a read-only root is no hindrance.
COPY --from=build --chown=65532:65532 /data /data
ENV DATA_DIR=/data
VOLUME /data

# A number, so that Kubernetes can tell that it is not root.
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["/versions-service", "healthcheck"]
ENTRYPOINT ["/versions-service"]
