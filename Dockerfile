# UNTESTED: written without a container engine at hand. What can be checked without one (paths, settings,
# ports, the version of Node) is checked by test/dockerfile.test.ts.
#
#   docker build -t pinaivu-peer .
#   docker run -d --name peer -p 127.0.0.1:7462:7462 -p 7463:7463 -v pinaivu:/data pinaivu-peer
#   docker exec peer cat /data/owner.key
#
# Settings: -e PINAIVU_PRICE=40/120, or config.toml in the volume. Models: -v ~/models:/models:ro with
# -e PINAIVU_MODEL=/models/phi-4.gguf. NVIDIA: --gpus all, with NVIDIA's container toolkit on the host.

FROM node:24-bookworm-slim AS build
WORKDIR /app
# First what changes seldom: the packages come from the cache of layers as long as these stay.
COPY package.json package-lock.json ./
# No package needs its scripts: what is compiled comes along compiled.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
COPY bin ./bin
COPY testnet ./testnet
RUN npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json CHANGELOG.md LICENSE ./
COPY models ./models
COPY protocols ./protocols
COPY docs ./docs
# The image has this user, 1000. A new volume takes over whose folder it is.
RUN mkdir /data && chown node:node /data && chmod 700 /data
USER node
VOLUME /data
# Other machines see the endpoint only through a published port: publish it on 127.0.0.1, as above, or
# give PINAIVU_TLS_CERT and PINAIVU_TLS_KEY, or have a proxy in front that encrypts.
ENV PINAIVU_DATA_DIR=/data \
    PINAIVU_HTTP=0.0.0.0:7462 \
    PINAIVU_INSECURE_HTTP=true
EXPOSE 7462 7463
# Ready means that a model can answer. Beyond loopback only the owner may ask, so the key is read. With a
# certificate that no authority has signed: --no-healthcheck.
HEALTHCHECK --interval=30s --timeout=10s --start-period=2m --retries=3 \
  CMD ["node", "-e", "const { http } = JSON.parse(fs.readFileSync('/data/peer.json', 'utf8')); const authorization = 'Bearer ' + fs.readFileSync('/data/owner.key', 'utf8').trim(); fetch(http + '/readyz', { headers: { authorization }, signal: AbortSignal.timeout(8000) }).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# As process 1 it hears SIGTERM itself, ends running answers within 8 s ("drain"; an engine kills after
# 10 s unless told "--stop-timeout"), and waits for its own children: it needs no init.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/app/dist/bin/pinaivu-peer.js"]
CMD ["start"]
