# syntax=docker/dockerfile:1
# The server alone, on a slim base, as a numeric user without rights; its root file system may be read-only.

FROM rust:1-slim-bookworm AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc g++ libc6-dev make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --locked --profile dist --package api \
 && cp target/dist/tollkeeper /tollkeeper

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/*
RUN mkdir /data && chown 10001:10001 /data
COPY --from=build /tollkeeper /usr/local/bin/tollkeeper
USER 10001:10001
WORKDIR /data
# For SQLite: the database, its secrets and its lock. With Postgres it stays empty.
VOLUME /data
ENV TOLLKEEPER_LISTEN=0.0.0.0:8080 TOLLKEEPER_LOG_FORMAT=json
EXPOSE 8080
# SIGTERM is what the server finishes its requests at; it takes no longer than TOLLKEEPER_SHUTDOWN_GRACE_SECONDS.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["tollkeeper", "health"]
ENTRYPOINT ["tollkeeper"]
CMD ["serve"]
