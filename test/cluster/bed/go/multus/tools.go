// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package multus names the CNI plugin that gives a pod more than one network.
package multus

import _ "gopkg.in/k8snetworkplumbingwg/multus-cni.v4/cmd/multus"
