// Package identity says for which node a caller of the dispatch stream speaks.
//
// A speaker presents its projected ServiceAccount token (audience "ingot-dispatch") in the "authorization"
// metadata. The token is bound to the speaker's Pod, and since Kubernetes 1.30 it carries the name of the Pod's
// node: that claim is the identity, so a node can speak for itself only. The host cluster judges tokens by
// TokenReview. While it cannot be asked, tokens are verified here, by the cluster's issuer keys as they were when it
// could (design.md section 7): they are fetched regularly, kept in memory and in a file, so that a restarted
// apiserver still admits speakers while the kube-apiserver is down.
package identity
