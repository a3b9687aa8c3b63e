# One file, an image for each part; docker-compose.yml builds them all.
#
#   docker build --target node -t stt:node .      a machine that works for a coordinator elsewhere
#   docker run -d --name stt-node -v stt-node:/data -e STT_JOIN_CODE=CODE \
#       -e COORDINATOR_URL=https://stt.example.org -e NODE_NAME="Rented CPU" stt:node
#
# Every image runs as the user `stt` and keeps what has to last in /data or /models.

FROM python:3.12-slim AS base
RUN useradd --create-home stt && mkdir /data /models && chown stt /data /models
WORKDIR /app
COPY pyproject.toml README.md LICENSE requirements.lock ./
COPY stt stt
COPY whisper_server whisper_server

FROM base AS worker
RUN pip install --no-cache-dir --constraint requirements.lock "."
USER stt
CMD ["stt", "--watch"]

FROM base AS coordinator
RUN pip install --no-cache-dir --constraint requirements.lock ".[coordinator]"
USER stt
ENV STT_COORDINATOR_HOST=0.0.0.0 STT_DATA_DIR=/data
VOLUME /data
EXPOSE 8000
CMD ["stt", "coordinator"]

# Registers at its first start. It brings up a whisper server of its own, but where STT_SERVER_URL
# names one.
FROM base AS node
RUN pip install --no-cache-dir --constraint requirements.lock ".[node,server]"
USER stt
ENV STT_CONFIG_DIR=/data MODEL_DIR=/data/models HF_HOME=/data/models XDG_CACHE_HOME=/data/cache
VOLUME /data
CMD ["sh", "-c", "[ -e /data/node.json ] || stt node register --server \"$COORDINATOR_URL\" --name \"${NODE_NAME:-$(hostname)}\" && exec stt node start --no-browser"]

FROM base AS server
RUN pip install --no-cache-dir --constraint requirements.lock ".[server]"
USER stt
ENV HOST=0.0.0.0 PORT=8081 MODEL_DIR=/models HF_HOME=/models XDG_CACHE_HOME=/models
VOLUME /models
EXPOSE 8081
CMD ["whisper-server"]

FROM nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04 AS server-gpu
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/* && python3 -m venv /venv
ENV PATH=/venv/bin:$PATH
RUN useradd --create-home stt && mkdir /models && chown stt /models
WORKDIR /app
COPY pyproject.toml README.md LICENSE requirements.lock ./
COPY stt stt
COPY whisper_server whisper_server
RUN pip install --no-cache-dir --constraint requirements.lock ".[server]"
USER stt
ENV HOST=0.0.0.0 PORT=8081 MODEL_DIR=/models HF_HOME=/models XDG_CACHE_HOME=/models
ENV WHISPER_DEVICE=cuda
VOLUME /models
EXPOSE 8081
CMD ["whisper-server"]
