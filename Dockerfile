# The sidecar as a container: its state is in the database, its configuration in /app/config.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
WORKDIR /src
RUN python -m venv --without-pip /opt/hub
COPY requirements.lock ./
RUN pip --python /opt/hub/bin/python install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY sidecar sidecar
COPY config/payloads config/payloads
RUN pip wheel --no-cache-dir --no-deps --wheel-dir dist . \
 && pip --python /opt/hub/bin/python install --no-cache-dir --no-deps --no-index dist/*.whl

FROM python:${PYTHON}-slim
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Moodle Integration Hub" \
      org.opencontainers.image.description="Turns Moodle's log into reliable calls to other systems" \
      org.opencontainers.image.licenses="GPL-3.0-or-later" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/hub /opt/hub
ENV PATH=/opt/hub/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
WORKDIR /app
# A number, so that an orchestrator can prove that it is not root.
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 \
  CMD ["mih", "health", "--config", "/app/config/sidecar.yaml"]
ENTRYPOINT ["mih"]
CMD ["run", "--config", "/app/config/sidecar.yaml"]
