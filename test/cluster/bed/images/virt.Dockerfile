# SPDX-License-Identifier: Apache-2.0
# What virt-handler and virt-launcher stand on. The launcher has Debian 12's QEMU 7.2 on purpose: it is another one
# than Lockstep brings along, and must not matter. libvirt is that of backports: KubeVirt 1.7 asks for much of it.
FROM debian:bookworm-slim
RUN groupadd --gid 107 qemu && useradd --uid 107 --gid 107 --home-dir /home/qemu --create-home --shell /bin/bash qemu && \
    groupadd --system libvirt-qemu && useradd --system --gid libvirt-qemu --no-create-home libvirt-qemu
# The backports come from the mirror that the base has its packages from.
RUN apt-get update -q && mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' \
      | awk '$1 == "bookworm" { print $2; exit }') && \
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm-backports main" \
      > /etc/apt/sources.list.d/backports.list && \
    apt-get update -q && \
    apt-get install -qy --no-install-recommends \
      qemu-system-x86/bookworm qemu-system-common/bookworm qemu-system-data/bookworm qemu-utils/bookworm seabios \
      xorriso nftables iproute2 procps util-linux findutils libcap2-bin && \
    apt-get install -qy --no-install-recommends -t bookworm-backports \
      libvirt-daemon libvirt-daemon-driver-qemu libvirt-daemon-log libvirt-clients libvirt0 && \
    qemu-system-x86_64 --version | grep -q ' 7\.2' && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*
