package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// logged are the lines that a part of the lab has written from an offset of its log on, decoded, and where it ends now.
// What is not JSON is an error: users pipe it into programs.
func logged(part string, from int) (lines []map[string]any, end int, err error) {
	content, err := os.ReadFile(filepath.Join(labDir, "log", part+".log"))
	if err != nil {
		return nil, 0, err
	}
	text := string(content[from:])
	text = text[:strings.LastIndexByte(text, '\n')+1] // the last line may be half written
	for line := range strings.Lines(text) {
		var decoded map[string]any
		if err := json.Unmarshal([]byte(line), &decoded); err != nil {
			return nil, 0, fmt.Errorf("%s wrote %q: %w", part, line, err)
		}
		lines = append(lines, decoded)
	}
	return lines, from + len(text), nil
}

var (
	levels = map[any]bool{"debug": true, "info": true, "warn": true, "error": true}
	caller = regexp.MustCompile(`^[a-z0-9_]+\.go:[0-9]+$`)
)

// TestControllerLogsAsMetalLBDoes: the lines that users grep for (spec.md section 9.2), of a controller at work.
func TestControllerLogsAsMetalLBDoes(t *testing.T) {
	_, from, err := logged("controller", 0)
	if err != nil {
		t.Fatal(err)
	}
	// want waits for a line that has all of these keys and values, of those written since the test began.
	want := func(what string, keys map[string]any) {
		t.Helper()
		eventually(t, what, func() error {
			lines, _, err := logged("controller", from)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range lines {
				if contains(line, keys) {
					return nil
				}
			}
			return fmt.Errorf("no line with %v among %d", keys, len(lines))
		})
	}
	lab(t, "kill", "controller")
	lab(t, "start", "controller")
	want("start", map[string]any{"level": "info", "msg": regexp.MustCompile(`^MetalLB controller starting`), "version": anything, "commit": anything, "branch": anything, "goversion": anything})

	apply(t, object("v1beta1", "IPAddressPool", "logged", `{addresses: [198.51.63.0-198.51.63.1, "2001:db8:63::/126"], autoAssign: false}`))
	apply(t, object("v1beta1", "IPAddressPool", "logged2", `{addresses: [198.51.63.8/32], autoAssign: false}`))
	for _, name := range []string{"logged1", "logged2"} {
		apply(t, service(name, "logged", ""))
		addresses(t, name, 1)
	}
	want("assignment", map[string]any{"level": "info", "msg": "IP address assigned by controller", "event": "ipAllocated", "ip": []any{"198.51.63.0"}, "service": "default/logged1"})
	want("update", map[string]any{"event": "serviceUpdated", "msg": "updated service object", "service": "default/logged1"})
	apply(t, service("logged3", "logged", ""))
	want("failure", map[string]any{"level": "error", "msg": "IP allocation failed", "op": "allocateIPs", "error": regexp.MustCompile(`^no available IPs in pool logged`)})

	kubectl(t, "patch", "service", "logged1", "--type=merge", "-p", `{"spec":{"ipFamilyPolicy":"PreferDualStack"}}`)
	want("second address", map[string]any{"msg": "Additional IP address assigned by controller", "event": "ipAllocated", "ip": "2001:db8:63::"})
	kubectl(t, "annotate", "service", "logged2", "--overwrite", "metallb.io/address-pool=logged2")
	want("another pool", map[string]any{"msg": "user requested a different pool than the one currently assigned", "event": "clearAssignment", "reason": "differentPoolRequested"})
	kubectl(t, "annotate", "service", "logged2", "metallb.io/address-pool-")
	kubectl(t, "annotate", "service", "logged2", "metallb.io/loadBalancerIPs=198.51.63.9")
	want("another address", map[string]any{"msg": "user requested a different IP than the one currently assigned", "event": "clearAssignment", "reason": "differentIPRequested"})
	kubectl(t, "delete", "service", "logged3")
	want("deletion", map[string]any{"msg": "service deleted", "event": "serviceDeleted", "service": "default/logged3"})
	kubectl(t, "patch", "ipaddresspool", "logged", inSystem, "--type=merge", "-p", `{"spec":{"addresses":["198.51.63.1/32"]}}`)
	want("pool shrunk", map[string]any{"msg": "current IP not allowed by config, clearing", "event": "clearAssignment", "error": regexp.MustCompile(`is not allowed in config$`)})

	lines, _, err := logged("controller", from)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		ts, _ := line["ts"].(string)
		if _, err := time.Parse("2006-01-02T15:04:05Z", ts); err != nil || !levels[line["level"]] || !contains(line, map[string]any{"caller": caller}) {
			t.Errorf("a line with ts %v, level %v and caller %v", line["ts"], line["level"], line["caller"])
		}
	}
}

// anything is a value that need only be there.
var anything = regexp.MustCompile(``)

// contains reports whether a line has all keys, with values that are equal, or match where they are patterns.
func contains(line, keys map[string]any) bool {
	for key, want := range keys {
		got, ok := line[key]
		if !ok {
			return false
		}
		if pattern, is := want.(*regexp.Regexp); is {
			text, isText := got.(string)
			if !isText || !pattern.MatchString(text) {
				return false
			}
			continue
		}
		if fmt.Sprintf("%T%v", got, got) != fmt.Sprintf("%T%v", want, want) {
			return false
		}
	}
	return true
}
