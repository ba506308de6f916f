# SPDX-License-Identifier: Apache-2.0
# A node of kind with Kubernetes and all images that the cluster starts with.
ARG BASE
FROM ${BASE}
ARG KUBERNETES_VERSION
RUN echo "$KUBERNETES_VERSION" > /kind/version
COPY --from=kubernetes --chmod=755 kubeadm kubectl kubelet /usr/bin/
COPY --from=multus --chmod=755 multus /usr/lib/cni/
# containerd runs here, and must be gone when the step ends: this kind of build has no process namespace of its own.
RUN --mount=type=bind,target=/archives /usr/local/sbin/import-images /archives/all.tar
