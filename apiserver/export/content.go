// Package export is what of a store is kept outside of it, so that a store that was lost can be filled again: the file
// that it is written to, and the Secrets that hold the file. Pure; package keeper keeps the Secrets current.
package export

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Content is all of a store that a new one has to be given, at one moment.
type Content struct {
	// Lineage and EpochBase are the store's identity.
	Lineage   string
	EpochBase int64
	// Epoch is the last one known, 0 if nobody led, and Revision etcd's: what comes after a restoration must be higher.
	Epoch, Revision int64
	// Taken is when, and By the version of the program.
	Taken time.Time
	By    string
	// Objects are the configuration objects as JSON, as they are stored: with status, uid and age.
	Objects [][]byte
	// State is everything else, sorted by key: the ledger and the decisions.
	State []Entry
}

// Entry is a key of etcd and its value.
type Entry struct {
	Key   string
	Value []byte
}

// Digest tells contents apart that would make different stores. When they were taken, and what only grows, is not of it.
func (c *Content) Digest() string {
	h := sha256.New()
	add := func(parts ...[]byte) {
		for _, p := range parts {
			fmt.Fprintf(h, "%d:", len(p))
			h.Write(p)
		}
	}
	add([]byte(c.Lineage), fmt.Append(nil, c.EpochBase, len(c.Objects)))
	add(c.Objects...)
	for _, e := range c.State {
		add([]byte(e.Key), e.Value)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// The document that ends a file. kubectl knows nothing of it: a line of comment before it shows where to cut.
const (
	apiVersion = "export.ingot.io/v1"
	kind       = "Export"
	// Cut is the line that ends what "kubectl apply" understands.
	Cut = "# What follows is for \"apiserver restore\" alone."
)

// state is that document.
type state struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Taken      time.Time    `json:"taken"`
	By         string       `json:"by,omitempty"`
	Lineage    string       `json:"lineage"`
	EpochBase  int64        `json:"epochBase,omitempty"`
	Epoch      int64        `json:"epoch,omitempty"`
	Revision   int64        `json:"revision"`
	Objects    int          `json:"objects"`
	Keys       []stateEntry `json:"keys,omitempty"`
}

type stateEntry struct {
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
	// Base64 is the value where that is no text.
	Base64 []byte `json:"base64,omitempty"`
}

// WriteTo writes the file: one YAML document for each object, and one for the rest.
func (c *Content) WriteTo(w io.Writer) (n int64, err error) {
	counted := &counter{w: w}
	for _, object := range c.Objects {
		doc, err := yaml.JSONToYAML(object)
		if err != nil {
			return counted.n, fmt.Errorf("an object as YAML: %w", err)
		}
		if _, err := fmt.Fprintf(counted, "---\n%s", doc); err != nil {
			return counted.n, fmt.Errorf("write the export: %w", err)
		}
	}
	last := state{
		APIVersion: apiVersion, Kind: kind, Taken: c.Taken.UTC(), By: c.By, Lineage: c.Lineage, EpochBase: c.EpochBase, Epoch: c.Epoch,
		Revision: c.Revision, Objects: len(c.Objects),
	}
	for _, e := range c.State {
		entry := stateEntry{Key: e.Key, Value: string(e.Value)}
		if !utf8.Valid(e.Value) {
			entry.Value, entry.Base64 = "", e.Value
		}
		last.Keys = append(last.Keys, entry)
	}
	doc, err := yaml.Marshal(last)
	if err == nil {
		_, err = fmt.Fprintf(counted, "%s\n---\n%s", Cut, doc)
	}
	if err != nil {
		return counted.n, fmt.Errorf("write the export: %w", err)
	}
	return counted.n, nil
}

// Read reads a file. It wants all of it: the last document, and as many objects as that says.
func Read(file []byte) (*Content, error) {
	if len(file) > MaxFile {
		return nil, fmt.Errorf("an export of %d bytes is more than %d", len(file), MaxFile)
	}
	var c Content
	var end *state
	documents := utilyaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(file)))
	defer documents.Close()
	buffer := make([]byte, len(file))
	for i := 1; ; i++ {
		n, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("document %d of the export: %w", i, err)
		}
		object, err := yaml.YAMLToJSON(buffer[:n])
		if err != nil {
			return nil, fmt.Errorf("document %d of the export: %w", i, err)
		}
		if string(object) == "null" {
			continue
		}
		var s state
		if err := yaml.Unmarshal(object, &s); err != nil || s.APIVersion != apiVersion {
			c.Objects = append(c.Objects, object)
			continue
		}
		if end != nil || s.Kind != kind {
			return nil, fmt.Errorf("document %d of the export: a second %s, or no %s", i, s.Kind, kind)
		}
		end = &s
	}
	switch {
	case end == nil:
		return nil, errors.New("this is no export, or its end is missing: no document of kind " + kind)
	case end.Lineage == "":
		return nil, errors.New("the export names no lineage")
	case end.Objects != len(c.Objects):
		return nil, fmt.Errorf("the export has %d objects and says that it has %d: a part is missing, or was added; correct \"objects\" if that is on purpose", len(c.Objects), end.Objects)
	}
	c.Lineage, c.EpochBase, c.Epoch, c.Revision, c.Taken, c.By = end.Lineage, end.EpochBase, end.Epoch, end.Revision, end.Taken, end.By
	for _, e := range end.Keys {
		entry := Entry{Key: e.Key, Value: []byte(e.Value)}
		if len(e.Base64) > 0 {
			entry.Value = e.Base64
		}
		c.State = append(c.State, entry)
	}
	return &c, nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
