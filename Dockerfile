# imrestore in a container: docker build -t imrestore .
# With CUDA: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128
FROM python:3.13-slim AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /source
COPY constraints.txt ./
RUN python -m venv /opt/imrestore \
 && /opt/imrestore/bin/pip install --no-cache-dir --index-url "$TORCH_INDEX" -c constraints.txt torch
COPY pyproject.toml README.md LICENSE ./
COPY cmd cmd
COPY man man
COPY restore restore
COPY weights weights
RUN /opt/imrestore/bin/pip install --no-cache-dir '.[openvino]'

FROM python:3.13-slim
COPY --from=build /opt/imrestore /opt/imrestore
RUN useradd --create-home --uid 1000 imrestore
USER imrestore
WORKDIR /data
ENTRYPOINT ["/opt/imrestore/bin/imrestore"]
CMD ["--help"]
