# An image that serves the wheel of `spacy project run all` on the CPU (docs/service.md):
#   docker build --tag ner . && docker run --rm --publish 127.0.0.1:8000:8000 ner
FROM python:3.12-slim

ENV PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app

# The service, in the lock's versions. torch comes first, from PyTorch's own index: on Linux, PyPI's
# build brings CUDA.
COPY requirements.txt pyproject.toml README.md LICENSE ./
RUN grep '==' requirements.txt > constraints.txt \
    && pip install --no-deps --index-url https://download.pytorch.org/whl/cpu \
        "$(grep '^torch==' constraints.txt)"
COPY scripts ./scripts
RUN pip install --constraint constraints.txt ".[serve]"

# As in project.yml.
ARG RUN=token_ner
ARG PACKAGE=en_ner_conll03_trf
RUN --mount=type=bind,source=packages,target=/packages \
    pip install --constraint constraints.txt "/packages/${RUN}/${PACKAGE}-"*/dist/*.whl \
    && pip check

ENV PIPELINE=${PACKAGE} HF_HUB_OFFLINE=1
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from http.client import HTTPConnection; c = HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/ready'); raise SystemExit(c.getresponse().status != 200)"]
# `docker run IMAGE --timeout 10` adds an option; exec, so that signals reach the service.
ENTRYPOINT ["sh", "-c", "exec python -m spacy ner serve \"$PIPELINE\" --host 0.0.0.0 \"$@\"", "serve"]
