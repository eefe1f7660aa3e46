# syntax=docker/dockerfile:1

# The lock names every version and hash: what was tested is what is installed.
FROM python:3.11-slim AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
COPY requirements-runtime.lock /tmp/
RUN /venv/bin/pip install --require-hashes --no-deps --requirement /tmp/requirements-runtime.lock

FROM python:3.11-slim
LABEL org.opencontainers.image.title="CloudPilot" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/data \
    DATABASE_URL=sqlite:////data/cloudpilot.db \
    CLOUDPILOT_DATABASE__KEY_FILE=/data/cloudpilot.key
COPY --from=dependencies /venv /venv
COPY LICENSE main.py /app/
COPY agent /app/agent
COPY api /app/api
COPY cloudpilot /app/cloudpilot
COPY integrations /app/integrations
COPY prompts /app/prompts
COPY simulator /app/simulator
COPY tools /app/tools
# Compiled now: the running container writes nothing into /app.
RUN python -m compileall -q /app
RUN mkdir --mode=0700 /data && chown 65532:65532 /data
WORKDIR /app
# A number, so that Kubernetes can check runAsNonRoot. Only /data and /tmp are ever written to: the
# root may be read-only (docker run --read-only --tmpfs /tmp).
USER 65532:65532
VOLUME /data
EXPOSE 8001
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8001/healthz', timeout=4)"]
# Listening beyond loopback needs CLOUDPILOT_TOKEN to be set; without it the start stops.
CMD ["python", "main.py", "--mode", "instant", "--host", "0.0.0.0", "--port", "8001"]
