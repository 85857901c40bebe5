// Package exclusion reads which network interfaces layer 2 leaves alone, from the file that MetalLB's users know: a
// mounted ConfigMap with a list of regular expressions. A change is taken while the speaker runs.
package exclusion

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"time"

	"sigs.k8s.io/yaml"
)

// Path is where MetalLB's manifests mount the ConfigMap.
const Path = "/etc/metallb/excludel2.yaml"

// Default is MetalLB's list, for where there is no file.
var Default = []string{
	"^docker.*", "^cbr.*", "^dummy.*", "^virbr.*", "^lxcbr.*", "^veth.*", "^lo$", "^cali.*", "^tunl.*", "^flannel.*",
	"^kube-ipvs.*", "^cni.*", "^nodelocaldns.*", "^lxc.*",
}

// lookEvery is how often the file is looked at. The kubelet brings a changed ConfigMap within a minute or so.
const lookEvery = 2 * time.Second

// maxFile bounds what is read of the file.
const maxFile = 1 << 20

// key is where the file has the list. Other keys are passed over, as MetalLB does.
const key = "announcedInterfacesToExclude"

// List is the expressions in force.
type List struct {
	path        string
	otherwise   []*regexp.Regexp
	expressions []*regexp.Regexp
	// read is the file as it was taken last, nil where there was none; complaint is what was last wrong with it.
	read      []byte
	complaint string
}

// Open reads the file at path; where there is none, otherwise is in force. Expressions match anywhere in a name. What is wrong
// with the file or with otherwise is an error that names it.
func Open(path string, otherwise []string) (*List, error) {
	l := &List{path: path}
	var err error
	if l.otherwise, err = compile(otherwise); err != nil {
		return nil, err
	}
	content, err := l.load()
	if err != nil {
		return nil, err
	}
	if l.expressions, err = l.parse(content); err != nil {
		return nil, err
	}
	l.read = content
	return l, nil
}

// Expressions are those in force when the List was opened, or Follow said last.
func (l *List) Expressions() []*regexp.Regexp { return l.expressions }

// Follow looks at the file until ctx ends, and calls changed with the expressions whenever they are others. A file that cannot
// be understood changes nothing; it is logged, once.
func (l *List) Follow(ctx context.Context, log *slog.Logger, changed func([]*regexp.Regexp)) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		news, err := l.look()
		complaint := ""
		if err != nil {
			complaint = err.Error()
		}
		if err != nil && complaint != l.complaint {
			log.Error("the list of excluded interfaces stays as it was", "op", "readExcludedInterfaces", "error", err)
		}
		l.complaint = complaint
		if news {
			log.Info("other interfaces are excluded from layer 2", "event", "excludedInterfaces", "expressions", fmt.Sprint(l.expressions))
			changed(l.expressions)
		}
	}
}

// look reads the file, and says whether its content is another one than was taken last.
func (l *List) look() (news bool, err error) {
	content, err := l.load()
	if err != nil || (content == nil) == (l.read == nil) && bytes.Equal(content, l.read) {
		return false, err
	}
	expressions, err := l.parse(content)
	if err != nil {
		return false, err
	}
	l.read, l.expressions = content, expressions
	return true, nil
}

// load reads the file; nil without an error where there is none.
func (l *List) load() ([]byte, error) {
	if l.path == "" {
		return nil, nil
	}
	info, err := os.Stat(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", l.path, info.Size(), maxFile)
	}
	content, err := os.ReadFile(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case content == nil:
		content = []byte{}
	}
	return content, nil
}

func (l *List) parse(content []byte) ([]*regexp.Regexp, error) {
	if content == nil {
		return l.otherwise, nil
	}
	var document map[string]json.RawMessage
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", l.path, err)
	}
	list, ok := document[key]
	if !ok && len(document) > 0 { // a slip of the pen would have interfaces announced on that nobody wants
		return nil, fmt.Errorf("%s: there is no %s", l.path, key)
	}
	var names []string
	if ok {
		if err := json.Unmarshal(list, &names); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", l.path, key, err)
		}
	}
	expressions, err := compile(names)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", l.path, key, err)
	}
	return expressions, nil
}

// compile returns the expressions, or an error that names the one which is wrong.
func compile(expressions []string) ([]*regexp.Regexp, error) {
	compiled := make([]*regexp.Regexp, 0, len(expressions))
	for _, e := range expressions {
		re, err := regexp.Compile(e)
		if err != nil {
			return nil, fmt.Errorf("%q is no regular expression: %w", e, err)
		}
		compiled = append(compiled, re)
	}
	return compiled, nil
}
