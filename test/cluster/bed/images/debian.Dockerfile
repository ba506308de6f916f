# SPDX-License-Identifier: Apache-2.0
# Stands in for Debian's public image where no registry of images can be reached. Besides the root that
# mmdebstrap made it has this machine's certificate authorities, so that clients in a RUN trust what the machine
# trusts; the product's own Dockerfile needs to know nothing of it.
FROM scratch
ADD root.tar /
COPY --chmod=644 ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
CMD ["bash"]
