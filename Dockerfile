# One image, configured and not rebuilt: the model and every setting are environment variables.
#
#   docker build -t matinee .                         the image that ships: distroless, no shell, both bundled models
#   docker build -t matinee:slim --target slim .      the same with a shell, for looking around
#   docker build -t matinee:full --target full .      with the clients of the registries and the other flavors
#
# Plain Dockerfile syntax, so that docker, podman and buildah all build it. All stages use Debian bookworm's own Python
# at /usr/bin/python3.11, where the distroless image has it too: the environment moves between them unchanged.
# For a byte-identical rebuild name the bases by digest and set the date: docs/reference/delivery.md.
ARG BASE_IMAGE=docker.io/library/debian:bookworm-slim
ARG DISTROLESS_IMAGE=gcr.io/distroless/python3-debian12:nonroot

# ---- the default dependencies, in an environment without pip -----------------------------------------------------
FROM ${BASE_IMAGE} AS build
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends binutils ca-certificates python3-pip python3.11 python3.11-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore SOURCE_DATE_EPOCH=0
RUN python3.11 -m venv --without-pip /opt/venv
COPY requirements.lock ./
# hadolint ignore=DL3042
RUN --mount=type=cache,target=/root/.cache/pip \
    python3.11 -m pip --python /opt/venv/bin/python install --require-hashes --no-deps -r requirements.lock
COPY deploy/image/trim.py deploy/image/
RUN python3.11 deploy/image/trim.py /opt/venv/lib/python3.11/site-packages

# ---- our own wheel -----------------------------------------------------------------------------------------------
FROM build AS wheel
COPY deploy/image/build.lock deploy/image/
# hadolint ignore=DL3042
RUN --mount=type=cache,target=/root/.cache/pip \
    python3.11 -m venv /opt/hatch && /opt/hatch/bin/pip install --require-hashes --no-deps -r deploy/image/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/hatch/bin/python -m pip wheel --no-build-isolation --no-deps --wheel-dir /wheels .

# ---- our own code, apart from the dependencies: a change of it is a layer of a few megabytes ----------------------
FROM wheel AS app
RUN python3.11 -m pip install --no-cache-dir --no-deps --no-index --target /app /wheels/*.whl \
 && rm -rf /app/bin \
 && python3.11 deploy/image/trim.py /app --compile-only

# ---- the dependencies of the registries and the other flavors ----------------------------------------------------
FROM build AS everything
COPY deploy/image/full.lock deploy/image/
# hadolint ignore=DL3042
RUN --mount=type=cache,target=/root/.cache/pip \
    python3.11 -m pip --python /opt/venv/bin/python install --require-hashes --no-deps -r deploy/image/full.lock \
 && python3.11 deploy/image/trim.py /opt/venv/lib/python3.11/site-packages --compile-only

# ---- with a shell ------------------------------------------------------------------------------------------------
FROM ${BASE_IMAGE} AS shell
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3.11 \
 && rm -rf /var/lib/apt/lists/*
ENV PORT=8080 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LOG_FORMAT=json CACHE_DIR=/tmp/matinee
EXPOSE 8080
USER 65532:65532
ENTRYPOINT ["/opt/venv/bin/python", "-m", "matinee"]
CMD ["serve"]

FROM shell AS slim
COPY --from=build --chown=0:0 /opt/venv /opt/venv
COPY --from=app --chown=0:0 /app /opt/venv/lib/python3.11/site-packages

FROM shell AS full
COPY --from=everything --chown=0:0 /opt/venv /opt/venv
COPY --from=app --chown=0:0 /app /opt/venv/lib/python3.11/site-packages

# ---- what ships --------------------------------------------------------------------------------------------------
FROM ${DISTROLESS_IMAGE} AS distroless
COPY --from=build --chown=0:0 /opt/venv /opt/venv
COPY --from=app --chown=0:0 /app /opt/venv/lib/python3.11/site-packages
ENV PORT=8080 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LOG_FORMAT=json CACHE_DIR=/tmp/matinee
EXPOSE 8080
USER 65532:65532
ENTRYPOINT ["/opt/venv/bin/python", "-m", "matinee"]
CMD ["serve"]
