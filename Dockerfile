# The product in one image: dashboard, worker and command line; PostgreSQL's client programs of every major side by side.
# Debian's own Python, so that what the image does can be repeated in any Debian 12 (docs/deployment.md).

FROM debian:bookworm-slim AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /app
# What changes seldom comes first: the locked dependencies are a layer of their own.
COPY requirements.lock ./
RUN python3 -m venv .venv \
 && .venv/bin/pip install --quiet --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY .streamlit .streamlit
COPY services services
COPY dashboard dashboard
COPY pages pages
RUN .venv/bin/pip install --quiet --no-deps --no-build-isolation --editable . \
 && .venv/bin/python -m compileall -q services dashboard pages

FROM debian:bookworm-slim

# Majors whose client programs are installed. A backup is made with the oldest that is not older than its server, so one
# that PGDG has moved to its archive is passed over; without the newest the image is not made.
ARG PG_CLIENTS="13 14 15 16 17 18"
# Majors whose server is installed as well: for restores to a point in time, which need the very major of the source.
ARG PG_SERVERS=""

# The key of PGDG comes with Debian's own postgresql-common.
RUN apt-get update \
 && apt-get install -y --no-install-recommends age ca-certificates postgresql-common python3 tini zstd \
 && mkdir -p /etc/postgresql-common/createcluster.d \
 && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/no-main.conf \
 && rm -rf /var/lib/apt/lists/*
COPY deploy/install-postgresql-clients /usr/local/sbin/install-postgresql-clients
RUN install-postgresql-clients "$PG_CLIENTS" "$PG_SERVERS" \
 && rm -rf /var/lib/apt/lists/*

RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/backups --create-home --shell /usr/sbin/nologin backups \
 && chmod 0700 /var/lib/backups
COPY --from=build /app /app

ENV PATH=/app/.venv/bin:$PATH \
    BACKUPS_HOME=/var/lib/backups \
    BACKUPS_ADDRESS=0.0.0.0 \
    BACKUPS_LOG_FORMAT=json \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER 10001:10001
VOLUME /var/lib/backups
EXPOSE 8501
# The dashboard's; a worker by itself is asked with `backups worker --check` (compose.yaml).
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
  CMD ["python3", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + (os.environ.get('BACKUPS_PORT') or os.environ.get('PORT') or '8501') + '/healthz', timeout=8)"]
# tini reaps what outlives its parent: the guardian of read-only mode does so on purpose.
ENTRYPOINT ["/usr/bin/tini", "--", "backups"]
CMD ["serve"]
