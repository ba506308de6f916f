// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools names the programs around Kubernetes that the cluster and its tests run.
package tools

import (
	_ "github.com/yannh/kubeconform/cmd/kubeconform"
	_ "helm.sh/helm/v3/cmd/helm"
	_ "sigs.k8s.io/kind"
)
