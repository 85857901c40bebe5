package logging

import (
	"bytes"
	"encoding/json"
	"io"
)

// sorted writes lines of JSON with the keys in order, as MetalLB's logger does, so that lines that are compared or
// grepped for look the same. Of a key that a line has twice the last one counts.
type sorted struct{ io.Writer }

// Write takes one whole line, as slog's handlers write. What is not a JSON object goes through as it is.
func (s sorted) Write(line []byte) (int, error) {
	var keys map[string]json.RawMessage
	if json.Unmarshal(line, &keys) != nil || keys == nil {
		return s.Writer.Write(line)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(keys) != nil { // of what was decoded just now
		return s.Writer.Write(line)
	}
	if _, err := s.Writer.Write(out.Bytes()); err != nil {
		return 0, err
	}
	return len(line), nil
}
