// SPDX-License-Identifier: Apache-2.0

// etcd as Kubernetes 1.34 expects it: Debian's is too old for kubeadm's flags and probes.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
