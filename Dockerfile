FROM python:3.12-slim AS builder

ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_PROGRESS=1 \
    UV_PYTHON_DOWNLOADS=never \
    UV_CACHE_DIR=/var/cache/uv

RUN pip install --no-cache-dir --root-user-action=ignore uv==0.13.8

WORKDIR /build
COPY pyproject.toml requirements.lock ./

# Only what the service imports: the lock file also covers the tools of development, so it constrains what is
# installed and does not list it. A file without a hash there, or with another one, is refused.
# The packages' own tests are a sixth of their size.
RUN --mount=type=cache,target=/var/cache/uv \
    uv venv /opt/mixtura \
 && uv pip install --python /opt/mixtura --require-hashes -r pyproject.toml -c requirements.lock \
 && find /opt/mixtura -type d -name tests -prune -exec rm -r {} + \
 && grep -o '^hatchling==[^ ]*' requirements.lock >build.txt \
 && uv pip install --system --require-hashes -r build.txt -c requirements.lock

COPY README.md LICENSE ./
COPY core core
COPY app app
RUN python -m hatchling build -t wheel \
 && uv pip install --python /opt/mixtura --offline --no-deps dist/mixtura-*.whl


FROM python:3.12-slim

# Any fixed number will do; volumes that are directories of the host must belong to it.
RUN useradd --system --no-log-init --uid 10001 --user-group --home-dir /var/lib/mixtura --shell /usr/sbin/nologin mixtura \
 && install -d -o mixtura -g mixtura /var/lib/mixtura

COPY --from=builder /opt/mixtura /opt/mixtura

ENV PATH=/opt/mixtura/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MIXTURA_DATA_DIR=/var/lib/mixtura \
    MIXTURA_LOG_FORMAT=json

USER 10001:10001
WORKDIR /var/lib/mixtura
VOLUME /var/lib/mixtura
EXPOSE 8000

# http.client, unlike urllib, never asks a proxy.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s --retries=3 \
    CMD ["python", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]

ENTRYPOINT ["mixtura"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
