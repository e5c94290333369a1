# The master as a container: configuration and state are volumes, the process is nobody in particular.
#   docker build -t lunabot .
#   docker run -p 8010:8010 -v ./my-ci:/config:ro -v lunabot-state:/state lunabot
FROM rust:1.95-slim-trixie AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# Without the tables of lines, which are four fifths of the file; backtraces keep the functions' names.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked -p lunabot && strip --strip-debug -o /lunabot target/release/lunabot

FROM debian:trixie-slim
# git for pollers and Git steps, certificates and ssh for its remotes, tini to reap what builds leave behind.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git openssh-client tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10010 --home-dir /state --shell /usr/sbin/nologin lunabot \
 && install -d -o lunabot -g lunabot /state /config
COPY --from=build /lunabot /usr/local/bin/lunabot
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/lunabot/
USER lunabot
# Mount your own over it; c.www.port has to be 8010 (and not 127.0.0.1:8010) to be reachable from outside the container.
COPY --chown=lunabot docs/service/container.lua /config/master.lua
VOLUME ["/config", "/state"]
EXPOSE 8010
ENV LUNABOT_CONFIG=/config/master.lua LUNABOT_LOG_FORMAT=json
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=60s CMD ["lunabot", "status", "/state"]
ENTRYPOINT ["tini", "--"]
CMD ["lunabot", "start", "/state"]
