package certs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// localCopy keeps the CA on disk, in one file so that certificate and key cannot come apart. Without a directory it keeps
// nothing.
type localCopy struct{ dir string }

func (c localCopy) file() string { return filepath.Join(c.dir, "ca.pem") }

// read returns nil and no error when there is no copy.
func (c localCopy) read() (*authority, error) {
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
	certPEM, keyPEM := splitPEM(data)
	ca, err := parseAuthority(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.file(), err)
	}
	return ca, nil
}

// write replaces the copy in one step.
func (c localCopy) write(ca *authority) error {
	if c.dir == "" {
		return nil
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return fmt.Errorf("directory for the copy of the CA: %w", err)
	}
	tmp, err := os.CreateTemp(c.dir, ".ca-") // mode 0600
	if err != nil {
		return fmt.Errorf("copy of the CA: %w", err)
	}
	_, err = tmp.Write(append(append([]byte{}, ca.certPEM...), ca.keyPEM...))
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
