# One image for both services and the operator's commands.
FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/daicho
WORKDIR /src
COPY requirements/image.txt requirements/image.txt
RUN /opt/daicho/bin/python -m pip install --require-hashes --requirement requirements/image.txt
COPY pyproject.toml README.md LICENSE ./
COPY shared shared
COPY command_service command_service
COPY query_service query_service
COPY daicho daicho
COPY migrations migrations
RUN /opt/daicho/bin/python -m pip install --no-deps --no-build-isolation .

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10001 --user-group --no-create-home daicho
COPY --from=build /opt/daicho /opt/daicho
ENV PATH=/opt/daicho/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 DAICHO_HOST=0.0.0.0 \
    HEALTH_URL=http://127.0.0.1:8001/health/ready
WORKDIR /tmp
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=6s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['HEALTH_URL'], timeout=5)"]
CMD ["python", "-m", "command_service"]
