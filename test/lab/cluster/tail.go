package cluster

import (
	"io"
	"os"
	"strings"
)

// tailBytes of a log are what an error message shows.
const tailBytes = 4 << 10

// tail is the end of what the part has logged since a place in its log, for an error message.
func (p *Part) tail(from int64) string {
	text, err := readTail(p.log, from)
	if err != nil {
		return err.Error()
	}
	if text == "" {
		return p.log + " is empty"
	}
	return "the end of " + p.log + ":\n" + text
}

func readTail(path string, from int64) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	if _, err := file.Seek(max(from, size-tailBytes), io.SeekStart); err != nil {
		return "", err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(text)), nil
}
