# SPDX-License-Identifier: Apache-2.0
# KubeVirt as it is released, on Debian.
ARG VIRT
FROM debian:bookworm-slim AS virt-operator
COPY --from=kubevirt --chmod=755 virt-operator /usr/bin/
USER 1001
ENTRYPOINT ["/usr/bin/virt-operator"]

FROM debian:bookworm-slim AS virt-api
COPY --from=kubevirt --chmod=755 virt-api /usr/bin/
USER 1001
ENTRYPOINT ["/usr/bin/virt-api"]

FROM debian:bookworm-slim AS virt-controller
COPY --from=kubevirt --chmod=755 virt-controller /usr/bin/
USER 1001
ENTRYPOINT ["/usr/bin/virt-controller"]

FROM ${VIRT} AS virt-handler
COPY --from=kubevirt --chmod=755 virt-handler virt-chroot /usr/bin/
ENTRYPOINT ["/usr/bin/virt-handler"]

FROM ${VIRT} AS virt-launcher
COPY --from=kubevirt --chmod=644 qemu.conf virtqemud.conf /etc/libvirt/
COPY --from=kubevirt --chmod=644 virtqemud.conf /etc/libvirt/libvirtd.conf
COPY --from=kubevirt --chmod=755 node-labeller.sh /usr/bin/node-labeller.sh
COPY --chmod=755 virtqemud /usr/sbin/virtqemud
COPY --from=kubevirt --chmod=755 virt-launcher virt-launcher-monitor virt-probe virt-tail virt-freezer /usr/bin/
COPY --from=more --chmod=755 container-disk /usr/bin/
RUN setcap cap_net_bind_service=+ep /usr/bin/virt-launcher-monitor
ENTRYPOINT ["/usr/bin/virt-launcher"]
