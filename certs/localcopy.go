package certs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// localCopy keeps what the Secret holds on disk, in one file so that certificates and keys cannot come apart. Without a
// directory it keeps nothing.
type localCopy struct{ dir string }

func (c localCopy) file() string { return filepath.Join(c.dir, "ca.json") }

// read returns nil and no error when there is no copy.
func (c localCopy) read() (*trust, error) {
	if c.dir == "" {
		return nil, nil
	}
	data, err := os.ReadFile(c.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the copy of the CA: %w", err)
	}
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("%s: %w", c.file(), err)
	}
	t, err := d.parse()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.file(), err)
	}
	return t, nil
}

// write replaces the copy in one step.
func (c localCopy) write(t *trust) error {
	if c.dir == "" {
		return nil
	}
	data, err := json.Marshal(t.document())
	if err != nil {
		return fmt.Errorf("encode the copy of the CA: %w", err)
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return fmt.Errorf("directory for the copy of the CA: %w", err)
	}
	tmp, err := os.CreateTemp(c.dir, ".ca-") // mode 0600
	if err != nil {
		return fmt.Errorf("copy of the CA: %w", err)
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), c.file())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the copy of the CA: %w", err), ignoreMissing(os.Remove(tmp.Name())))
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
