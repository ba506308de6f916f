// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package storage names the provisioner of volumes on a node's own disk, the one that kind comes with.
package storage

import _ "github.com/rancher/local-path-provisioner"
