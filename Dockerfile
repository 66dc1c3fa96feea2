# The server, non-root, on a slim base. Pin the base by digest:
#   docker build --build-arg BASE=python:3.11-slim-bookworm@sha256:... .
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
RUN python -m venv /opt/plimsoll
COPY requirements.lock ./
RUN /opt/plimsoll/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY webhook webhook
COPY policies policies
RUN /opt/plimsoll/bin/pip install --no-cache-dir --no-deps .

FROM ${BASE}
COPY --from=build /opt/plimsoll /opt/plimsoll
ENV PATH=/opt/plimsoll/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 8443 8080
ENTRYPOINT ["plimsoll"]
CMD ["serve", "--certificate", "/tls/tls.crt", "--key", "/tls/tls.key"]
