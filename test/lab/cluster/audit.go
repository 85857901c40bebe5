package cluster

import (
	"os"
	"path/filepath"
)

// auditPolicy has the kube-apiserver note who asked for what, and never what was in it: of every ServiceAccount of the system
// namespace all requests, of everybody else nothing. What they prove is judged by test/rbac.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: Metadata
  userGroups: ["system:serviceaccounts:` + namespace + `"]
- level: None
`

// audit writes the policy and returns the arguments by which the kube-apiserver keeps to it. The log has 400 MB at most.
func (l *Lab) audit() ([]string, error) {
	policy := l.file("log", "audit", "policy.yaml")
	if err := os.MkdirAll(filepath.Dir(policy), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	return []string{
		"--audit-policy-file=" + policy, "--audit-log-path=" + l.file("log", "audit", "audit.log"),
		"--audit-log-maxsize=100", "--audit-log-maxbackup=3",
	}, nil
}
