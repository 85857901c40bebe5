package install

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// uninstall does what docs/install.md says, letter by letter, after the last rendering. Nothing of ours is left outside
// of the namespace, and nothing that we leave keeps a namespace from being deleted.
func (c cluster) uninstall(t *testing.T) {
	rendered := renderings[len(renderings)-1].render(t)
	c.apply(t, rendered)
	docs, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(docs), "\n## Uninstall\n")
	section, _, _ = strings.Cut(section, "\n### ")
	commands := regexp.MustCompile(`(?m)^kubectl .*$`).FindAllString(section, -1)
	if len(commands) != 3 {
		t.Fatalf("the commands of docs/install.md: %q", commands)
	}
	for _, command := range commands {
		args := strings.Fields(strings.Replace(command, "-k .", "-f -", 1))[1:]
		// Volumes of this lab have nobody who says that they are not in use.
		c.kubectl(t, rendered, append(args, "--wait=false")...)
	}
	eventually(t, "the end of Ingot", func() error {
		out, err := c.try("", "get", "apiservices,clusterroles,clusterrolebindings,validatingwebhookconfigurations", "-l", "app=metallb", "-o", "name")
		if err != nil {
			return err
		}
		pods, err := c.try("", "get", "pods,deployments,daemonsets,statefulsets,secrets", "-n", system, "-l", "app=metallb", "-o", "name")
		if left := strings.Fields(out + pods); err == nil && len(left) > 0 {
			err = fmt.Errorf("left: %v", left)
		}
		if err != nil {
			return err
		}
		out, err = c.try("", "get", "namespace", system, "-o", `jsonpath={.status.conditions[?(@.type=="NamespaceDeletionDiscoveryFailure")].status}`)
		if err == nil && out != "False" {
			err = fmt.Errorf("NamespaceDeletionDiscoveryFailure is %q", out)
		}
		if err != nil && strings.Contains(err.Error(), "(NotFound)") {
			return nil // it has gone
		}
		return err
	})
}
