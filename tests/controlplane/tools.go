//go:build tools

// Package controlplane keeps istio.io/api in go.mod: its CustomResourceDefinitions are read out of
// the module cache. The programs themselves are the tool lines of go.mod.
package controlplane

import _ "istio.io/api/meta/v1alpha1"
