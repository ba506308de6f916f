# SPDX-License-Identifier: Apache-2.0
# What kubeadm runs as pods, each under its usual name. kubeadm's manifests call the programs by name alone.
FROM scratch AS kube-apiserver
COPY --from=kubernetes --chmod=755 kube-apiserver /usr/local/bin/
ENV PATH=/usr/local/bin

FROM scratch AS kube-controller-manager
COPY --from=kubernetes --chmod=755 kube-controller-manager /usr/local/bin/
ENV PATH=/usr/local/bin

FROM scratch AS kube-scheduler
COPY --from=kubernetes --chmod=755 kube-scheduler /usr/local/bin/
ENV PATH=/usr/local/bin

FROM scratch AS etcd
COPY --from=etcd-programs --chmod=755 etcd /usr/local/bin/
ENV PATH=/usr/local/bin

FROM scratch AS coredns
COPY --from=coredns-programs --chmod=755 coredns /
ENTRYPOINT ["/coredns"]

FROM scratch AS pause
COPY --chmod=755 pause /
ENTRYPOINT ["/pause"]

FROM debian:bookworm-slim AS kube-proxy
RUN apt-get update -q && apt-get install -qy --no-install-recommends iptables nftables conntrack iproute2 kmod && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY --from=kubernetes --chmod=755 kube-proxy /usr/local/bin/

FROM debian:bookworm-slim AS local-path-provisioner
COPY --from=storage-programs --chmod=755 local-path-provisioner /usr/local/bin/
ENTRYPOINT ["local-path-provisioner"]
