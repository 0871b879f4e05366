# The service with its embedded model: `docker compose up --build`, or docs/how-to/deploy.md.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
# The environment has no pip, so a running container cannot install anything.
RUN python -m venv --without-pip /opt/venv
# The drivers of PostgreSQL and Valkey are loaded where a setting names a server.
COPY requirements.lock requirements-postgres.lock requirements-valkey.lock ./
RUN python -m pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check \
    --no-deps --require-hashes -r requirements.lock -r requirements-postgres.lock -r requirements-valkey.lock
COPY LICENSE README.md pyproject.toml ./
COPY app/ app/
RUN python -m pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check \
    --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
# What is free goes back to the kernel sooner: docs/decisions/0046-the-allocator.md.
RUN apt-get update && apt-get install --yes --no-install-recommends libjemalloc2=5.* && rm -rf /var/lib/apt/lists/*
# The folder that is written to: .env, logs/ and the database; and one for a log key that several nodes share. A named volume
# inherits its owner.
RUN groupadd --gid 10001 assistant \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin assistant \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data /keys
COPY --from=build /opt/venv /opt/venv
# PYTHONSAFEPATH: no file in the working directory is ever imported. SECURE_AI_…: what messages name as the next command, as it
# is typed outside of the container; compose.yaml has its own.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SECURE_AI_COMMAND="docker run --rm -v secure-ai-assistant:/data secure-ai-assistant" \
    SECURE_AI_SERVE_COMMAND="docker run --init --name secure-ai-assistant -v secure-ai-assistant:/data -p 127.0.0.1:8000:8000 secure-ai-assistant"
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8000
# A stop takes at most SHUTDOWN_GRACE_SECONDS (30): use docker stop --time 40.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import http.client as h, sys; c = h.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
