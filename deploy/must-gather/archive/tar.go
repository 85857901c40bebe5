package archive

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Tar packs a tree into one compressed file, below a directory of the tree's name. The file appears when it is whole.
func Tar(root, file string) (err error) {
	root, err = filepath.Abs(root)
	if err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(file), ".must-gather-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(out.Name()))
		}
	}()
	if err = pack(root, out); err != nil {
		return errors.Join(err, out.Close())
	}
	if err = out.Close(); err != nil {
		return err
	}
	return os.Rename(out.Name(), file)
}

func pack(root string, out io.Writer) error {
	compressed := gzip.NewWriter(out)
	packed := tar.NewWriter(compressed)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() && !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		header, err := tar.FileInfoHeader(info, "")
		if err != nil {
			return err
		}
		below, err := filepath.Rel(filepath.Dir(root), path)
		if err != nil {
			return err
		}
		header.Name = filepath.ToSlash(below)
		header.Uid, header.Gid, header.Uname, header.Gname = 0, 0, "", ""
		if d.IsDir() {
			header.Name += "/"
		}
		if err := packed.WriteHeader(header); err != nil || d.IsDir() {
			return err
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		_, err = io.Copy(packed, in)
		return err
	})
	return errors.Join(err, packed.Close(), compressed.Close())
}
