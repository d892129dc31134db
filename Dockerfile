# One image for every service of docker-compose.yml; docker/entrypoint.sh chooses what it does.
# Built from requirements.lock alone: docs/how-to/run-on-one-host.md.
FROM python:3.11-slim

# The one of scripts/bootstrap.sh.
ARG UV_VERSION=0.13.9
# Behind a mirror: docker compose build --build-arg PIP_INDEX_URL=<your mirror>
ARG PIP_INDEX_URL=
# With it set, Python would compile Airflow anew in every process: 11 s instead of 3 s.
ENV PYTHONDONTWRITEBYTECODE= \
    PYTHONUNBUFFERED=1 \
    PATH=/srv/regulars/.venv/bin:$PATH

WORKDIR /srv/regulars
COPY requirements.lock ./
RUN if [ -z "$PIP_INDEX_URL" ]; then unset PIP_INDEX_URL; else export UV_DEFAULT_INDEX="$PIP_INDEX_URL"; fi \
    && pip install --no-cache-dir --disable-pip-version-check "uv==$UV_VERSION" \
    && uv venv .venv \
    && uv pip sync --no-cache --require-hashes --compile-bytecode requirements.lock

COPY . .
RUN uv pip install --no-cache --offline --no-deps --no-build-isolation --editable . \
    && python -m compileall -q plugins dags docker \
    && useradd --system --uid 10001 --create-home regulars \
    && mkdir -p /var/lib/regulars/data /var/lib/regulars/airflow \
    && chown -R regulars:regulars /var/lib/regulars

# What a run manifest says about its code: --build-arg CODE_COMMIT=$(git rev-parse HEAD)
ARG CODE_COMMIT=unknown
ENV REGULARS_CODE_COMMIT=$CODE_COMMIT
USER regulars
ENTRYPOINT ["docker/entrypoint.sh"]
