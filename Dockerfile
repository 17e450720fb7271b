# redraft in a container: `docker build -t redraft .`, then `docker compose up` for three nodes.

FROM python:3.11-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev libffi-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml setup.py README.md LICENSE ./
COPY native native
COPY redraft redraft
RUN python -m venv /opt/redraft && /opt/redraft/bin/pip install --no-cache-dir .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home redraft \
    && install -d -o redraft -g redraft -m 0700 /data
COPY --from=build /opt/redraft /opt/redraft
ENV PATH=/opt/redraft/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    REDRAFT_DIR=/data
WORKDIR /data
USER redraft
VOLUME /data
# clients, cluster clients (leaders, followers), nodes
EXPOSE 6379 7379 8379 16379
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["redraft", "ping"]
ENTRYPOINT ["redraft"]
CMD ["server"]
