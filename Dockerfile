# The server, non-root, on a slim base. Pin the base by digest:
#   docker build --build-arg BASE=python:3.11-slim-bookworm@sha256:... .
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
RUN python -m venv /opt/plimsoll
COPY requirements.lock ./
RUN /opt/plimsoll/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
# what compiles is in an environment of its own, which stays in this stage as gcc does
COPY requirements-build.lock ./
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements.lock -r requirements-build.lock
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY webhook webhook
COPY policies policies
COPY tools tools
RUN /opt/build/bin/python -m tools.compiled --wheel /dist \
 && /opt/plimsoll/bin/pip install --no-cache-dir --no-deps /dist/*.whl

FROM ${BASE}
COPY --from=build /opt/plimsoll /opt/plimsoll
# the base image has Python's own modules as sources only, and nobody may write beside them: each start would compile
# what it imports, which takes most of a second of CPU and leaves 5 MB behind (docs/decisions/0006)
RUN python -m compileall -q -x site-packages "$(/opt/plimsoll/bin/python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
ENV PATH=/opt/plimsoll/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 8443 8080
ENTRYPOINT ["plimsoll"]
CMD ["serve", "--certificate", "/tls/tls.crt", "--key", "/tls/tls.key"]
