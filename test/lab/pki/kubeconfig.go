package pki

import (
	"fmt"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// ForCertificate writes a kubeconfig for a user of that name and group (either a Kubernetes component's own, or
// system:masters) who shows a client certificate.
func (p *PKI) ForCertificate(path, server, user, group string) error {
	certificate, key, err := p.ca.issue(client(user, group))
	if err != nil {
		return err
	}
	return p.kubeconfig(path, server, user, &api.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key})
}

// ForToken writes a kubeconfig for a user who shows the token in a file, which is read again when it changes.
func (p *PKI) ForToken(path, server, user, tokenFile string) error {
	return p.kubeconfig(path, server, user, &api.AuthInfo{TokenFile: tokenFile})
}

func (p *PKI) kubeconfig(path, server, user string, auth *api.AuthInfo) error {
	const name = "lab"
	config := api.NewConfig()
	config.Clusters[name] = &api.Cluster{Server: server, CertificateAuthorityData: p.CA()}
	config.AuthInfos[user] = auth
	config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: user}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("kubeconfig of %s: %w", user, err)
	}
	return nil
}
