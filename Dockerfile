# docker build --tag callgate:0.1.0 .
#
# What goes into the image is pinned: Rust's crates by Cargo.lock, Python's packages with their hashes by deploy/image/*.txt
# (`make image-pins` renews those). A tag can move, so for the same bytes of the same commit name the base images with their
# digests, as your own registry tells them, and give the commit's time:
#
#   docker buildx build --tag callgate:0.1.0 \
#     --build-arg RUST_IMAGE=rust:1.95.0-slim-trixie@sha256:... \
#     --build-arg BUILD_IMAGE=python:3.13-trixie@sha256:... \
#     --build-arg RUNTIME_IMAGE=python:3.13-slim-trixie@sha256:... \
#     --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" \
#     --output type=docker,rewrite-timestamp=true .

ARG RUST_VERSION=1.95.0
ARG RUST_IMAGE=rust:${RUST_VERSION}-slim-trixie
# The same Python twice: with a C compiler, and without.
ARG BUILD_IMAGE=python:3.13-trixie
ARG RUNTIME_IMAGE=python:3.13-slim-trixie

FROM ${RUST_IMAGE} AS rust

FROM ${BUILD_IMAGE} AS wheel
ARG RUST_VERSION
COPY --from=rust /usr/local/cargo /usr/local/cargo
COPY --from=rust /usr/local/rustup /usr/local/rustup
ENV CARGO_HOME=/usr/local/cargo RUSTUP_HOME=/usr/local/rustup RUSTUP_TOOLCHAIN=${RUST_VERSION} \
    PATH=/usr/local/cargo/bin:${PATH}
WORKDIR /callgate
COPY deploy/image/build.txt deploy/image/
RUN pip install --no-cache-dir --require-hashes --requirement deploy/image/build.txt
COPY Cargo.toml Cargo.lock pyproject.toml README.md LICENSE ./
COPY proto proto
COPY bench/bare bench/bare
COPY bench/counters bench/counters
COPY bench/echo bench/echo
COPY rust rust
COPY python python
ARG SOURCE_DATE_EPOCH=0
RUN maturin build --release --out dist --locked

FROM ${RUNTIME_IMAGE} AS environment
WORKDIR /callgate
# With a time given, what Python compiles names the hash of its source, and not the time of the build.
ARG SOURCE_DATE_EPOCH=0
RUN python -m venv --without-pip /opt/callgate
COPY deploy/image/runtime.txt deploy/image/
RUN pip --python /opt/callgate/bin/python install --no-cache-dir --require-hashes --requirement deploy/image/runtime.txt
COPY --from=wheel /callgate/dist dist
RUN pip --python /opt/callgate/bin/python install --no-cache-dir --no-index --no-deps dist/*.whl

# What is installed, as CycloneDX documents in /opt/callgate/sbom. maturin puts the list of crates into the wheel.
FROM environment AS sbom
COPY deploy/image/sbom.txt deploy/image/
RUN pip install --no-cache-dir --require-hashes --requirement deploy/image/sbom.txt
ARG SOURCE_DATE_EPOCH=0
RUN mkdir /opt/callgate/sbom
RUN cyclonedx-py environment --output-reproducible --output-file /opt/callgate/sbom/python.cdx.json /opt/callgate/bin/python
RUN cp /opt/callgate/lib/python3.*/site-packages/callgate-*.dist-info/sboms/*.json /opt/callgate/sbom/rust.cdx.json

FROM ${RUNTIME_IMAGE}
COPY --from=sbom /opt/callgate /opt/callgate
ENV PATH=/opt/callgate/bin:${PATH} PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
ENTRYPOINT ["callgate"]
CMD ["serve", "--config", "/etc/callgate/config/callgate.yaml"]
