# The images of this project, a target each:
#
#   docker build --target api      --tag assessment.local/api:0.1.0      .
#   docker build --target writer   --tag assessment.local/writer:0.1.0   .
#   docker build --target emulator --tag assessment.local/emulator:0.1.0 .
#
# One file, so that the base image has its name in one place and the three share its layer. The result is as
# reproducible as the base: packages come from the lock file with their checksums, sources run as they are.
# No HEALTHCHECK: the kubelet ignores it, and its own probes ask the same paths (k8s/).

ARG BASE_IMAGE=node:26.10.0-slim

# The tree of workspaces without sources: packages are installed again only when one of these files changes.
FROM ${BASE_IMAGE} AS manifests
WORKDIR /app
COPY package.json package-lock.json ./
COPY api/package.json api/
COPY writer/package.json writer/
COPY emulator/package.json emulator/

# A workspace's own packages, without the root's: among those is a whole Node for machines with an older one.
# No package of these needs its install script. Type declarations and source maps are half of their bytes.
ENV NPM_CONFIG_OMIT=dev NPM_CONFIG_IGNORE_SCRIPTS=true NPM_CONFIG_AUDIT=false NPM_CONFIG_FUND=false

FROM manifests AS api-packages
RUN npm ci --workspace=api && find . '(' -name '*.d.*ts' -o -name '*.map' ')' -delete

FROM manifests AS writer-packages
RUN npm ci --workspace=writer && find . '(' -name '*.d.*ts' -o -name '*.map' ')' -delete

FROM manifests AS emulator-packages
RUN npm ci --workspace=emulator && find . '(' -name '*.d.*ts' -o -name '*.map' ')' -delete && mkdir /data

# Node itself is the first process, so that signals reach it; nothing needs a shell. The user is the base's
# `node`, by number because the kubelet checks runAsNonRoot by that. Nothing but /data is its own.
FROM ${BASE_IMAGE} AS runtime
ENV NODE_ENV=production
WORKDIR /app
USER 1000:1000
ENTRYPOINT ["node"]

# Also holds the program of the Job that declares topics and subscriptions: `node local/declare.ts`.
FROM runtime AS api
COPY --from=api-packages /app ./
COPY api/src api/src
COPY command-line command-line
COPY local/declare.ts local/start-error.ts local/
EXPOSE 3000
CMD ["api/src/main.ts"]

# The writer shares the envelope, and what every process has in common, with the api.
FROM runtime AS writer
COPY --from=writer-packages /app ./
COPY api/src api/src
COPY writer/src writer/src
EXPOSE 3001
CMD ["writer/src/main.ts"]

# /data is there and the user's own, so that a volume of docker's that is mounted on it is too.
FROM runtime AS emulator
COPY --from=emulator-packages /app ./
COPY emulator/src emulator/src
COPY --from=emulator-packages --chown=1000:1000 /data /data
ENV EMULATOR_HOST_PORT=0.0.0.0:8085 EMULATOR_DATA_DIR=/data/emulator
# What Node has compiled stays on the volume, the only place that it may write to: a start takes a third of the CPU.
ENV NODE_COMPILE_CACHE=/data/compile-cache
EXPOSE 8085
CMD ["emulator/src/main.js"]
