package matrix

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Record is what one run of one fault, or of a row of it, has shown.
type Record struct {
	Build   string    `json:"build"` // of the programs that were measured
	Run     int       `json:"run"`   // from 1
	Fault   string    `json:"fault"`
	Row     string    `json:"row"`
	Kind    Kind      `json:"kind"`
	Still   bool      `json:"still,omitempty"`
	Victim  string    `json:"victim"`
	Started time.Time `json:"started"`
	Load    float64   `json:"load"` // of the machine, over the minute before the end
	// Samples are of the addresses that the fault concerns; Others of the rest, which should not notice.
	Samples []Sample `json:"samples"`
	Others  []Sample `json:"others,omitempty"`
	// Wrong are addresses that were with a node in the end that must not have them.
	Wrong []string `json:"wrong,omitempty"`
	// Named are the faults of the victim, as its SpeakerState gave them while it was broken; Unnamed is the reason that
	// should have been among them.
	Named   []string `json:"named,omitempty"`
	Unnamed string   `json:"unnamed,omitempty"`
	// Unsettled is what was not yet as it should be when the time was over.
	Unsettled []string `json:"unsettled,omitempty"`
}

// Sample is what was seen of one address.
type Sample struct {
	Address string `json:"address"`
	Home    string `json:"home"` // who owned it before
	// ClientGap is the client's longest gap, and ProbeGap that of the prober that had the longest.
	ClientGap Milliseconds `json:"client_gap_ms"`
	ProbeGap  Milliseconds `json:"probe_gap_ms"`
	Sent      int          `json:"sent"` // requests of the client, and how many of them were never answered
	Lost      int          `json:"lost"`
	// AtOnce is how many nodes answered at the same time on one segment, at most, and Overlap for how long two or more.
	AtOnce  int          `json:"at_once"`
	Overlap Milliseconds `json:"overlap_ms"`
	Moves   int          `json:"moves"`
	By      []string     `json:"by"` // who answered at any time
	End     []string     `json:"end"`
}

// Milliseconds is a duration that JSON has in milliseconds, to a tenth.
type Milliseconds time.Duration

// MarshalJSON writes the number of milliseconds.
func (m Milliseconds) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.1f", float64(m)/float64(time.Millisecond)), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Milliseconds) UnmarshalJSON(b []byte) error {
	var n float64
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*m = Milliseconds(n * float64(time.Millisecond))
	return nil
}

// Load reads the records in a file; none, if there is no file. A last line that was not written to its end, because the
// machine went down, is cut off.
func Load(path string) ([]Record, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []Record
	var whole int64
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil { // the end, or half a line before it
			return all, f.Truncate(whole)
		}
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, len(all)+1, err)
		}
		all = append(all, r)
		whole += int64(len(line))
	}
}

// Append writes records to the end of a file, all or none of them.
func Append(path string, records []Record) error {
	var lines []byte
	for _, r := range records {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		lines = append(append(lines, line...), '\n')
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(lines)
	return errors.Join(err, f.Sync(), f.Close())
}
