# One file, an image for each part; docker-compose.yml builds them all.
#
#   docker build --target node -t stt:node .      a machine that works for a coordinator elsewhere
#   docker run -d --name stt-node -v stt-node:/data -e STT_JOIN_CODE=CODE \
#       --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#       -e COORDINATOR_URL=https://stt.example.org -e NODE_NAME="Rented CPU" stt:node
#
# Every image runs as the user `stt` and keeps what has to last in /data or /models. The stages that
# end in -build install the packages of uv.lock, whose hashes uv checks; the images have neither uv nor
# pip nor a compiler.
#
# The bases are named by version, not by digest: this file was written where no registry could be
# reached. To pin one, so that it cannot change under its name:
#
#   docker buildx imagetools inspect python:3.12-slim --format '{{.Manifest.Digest}}'
#
# and write what it prints behind the name, in each FROM: python:3.12-slim@sha256:... Dependabot
# (.github/dependabot.yml) raises digests too.

FROM ghcr.io/astral-sh/uv:0.9 AS uv

FROM python:3.12-slim AS build
COPY --from=uv /uv /usr/local/bin/
ENV UV_PROJECT_ENVIRONMENT=/venv UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1
WORKDIR /build
COPY pyproject.toml README.md LICENSE uv.lock ./
COPY stt stt
COPY whisper_server whisper_server

FROM build AS worker-build
RUN uv sync --frozen --no-editable

FROM build AS coordinator-build
RUN uv sync --frozen --no-editable --extra coordinator

FROM build AS node-build
RUN uv sync --frozen --no-editable --extra node --extra server

FROM build AS server-build
RUN uv sync --frozen --no-editable --extra server

FROM python:3.12-slim AS base
RUN pip uninstall --yes pip && rm -r /usr/local/lib/python3.12/ensurepip \
 && useradd --create-home stt && mkdir /data /models && chown stt /data /models
ENV PATH=/venv/bin:$PATH
WORKDIR /home/stt

FROM base AS worker
COPY --from=worker-build /venv /venv
USER stt
CMD ["stt", "--watch"]

FROM base AS coordinator
COPY --from=coordinator-build /venv /venv
USER stt
ENV STT_COORDINATOR_HOST=0.0.0.0 STT_DATA_DIR=/data
VOLUME /data
EXPOSE 8000
CMD ["stt", "coordinator"]

# Registers at its first start. It brings up a whisper server of its own, but where STT_SERVER_URL
# names one.
FROM base AS node
COPY --from=node-build /venv /venv
USER stt
ENV STT_CONFIG_DIR=/data MODEL_DIR=/data/models HF_HOME=/data/models XDG_CACHE_HOME=/data/cache
VOLUME /data
CMD ["sh", "-c", "[ -e /data/node.json ] || stt node register --server \"$COORDINATOR_URL\" --name \"${NODE_NAME:-$(hostname)}\" && exec stt node start --no-browser"]

FROM base AS server
COPY --from=server-build /venv /venv
USER stt
ENV HOST=0.0.0.0 PORT=8081 MODEL_DIR=/models HF_HOME=/models XDG_CACHE_HOME=/models
VOLUME /models
EXPOSE 8081
CMD ["whisper-server"]

FROM nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04 AS gpu-base
RUN apt-get update && apt-get install -y --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/* && useradd --create-home stt && mkdir /models && chown stt /models

FROM gpu-base AS gpu-build
COPY --from=uv /uv /usr/local/bin/
ENV UV_PROJECT_ENVIRONMENT=/venv UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1
WORKDIR /build
COPY pyproject.toml README.md LICENSE uv.lock ./
COPY stt stt
COPY whisper_server whisper_server
RUN uv sync --frozen --no-editable --extra server

FROM gpu-base AS server-gpu
COPY --from=gpu-build /venv /venv
WORKDIR /home/stt
USER stt
ENV PATH=/venv/bin:$PATH
ENV HOST=0.0.0.0 PORT=8081 MODEL_DIR=/models HF_HOME=/models XDG_CACHE_HOME=/models
ENV WHISPER_DEVICE=cuda
VOLUME /models
EXPOSE 8081
CMD ["whisper-server"]
