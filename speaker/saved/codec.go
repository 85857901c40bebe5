package saved

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/desired"
)

// magic is the first line of the file; the number is the version of the format.
const magic = "ingot speaker state 1"

// maxLine bounds one line of the file, and so one item.
const maxLine = 4 << 20

// header is the third line. The second is the SHA-256 of everything after it.
type header struct {
	Node      string                  `json:"node"`
	BootID    string                  `json:"bootID"`
	Lineage   string                  `json:"lineage"`
	Epoch     uint64                  `json:"epoch"`
	Revision  int64                   `json:"revision"`
	Adoption  uint64                  `json:"adoption"`
	Adoptions map[ingotv1.Lane]uint64 `json:"adoptions,omitempty"`
	Addresses map[string][]string     `json:"addresses,omitempty"`
	LogLevel  string                  `json:"logLevel,omitempty"`
	Items     int                     `json:"items"`
}

// line is one item.
type line struct {
	Lane   ingotv1.Lane              `json:"lane"`
	Status ingotv1.ItemResult_Status `json:"status"`
	Reason string                    `json:"reason,omitempty"`
	Item   []byte                    `json:"item"`
	Good   []byte                    `json:"good,omitempty"`
}

// Encode writes s in the format of the file.
func Encode(s Snapshot) ([]byte, error) { return newEncoder().encode(s) }

// encoder remembers the lines of items, which do not change but are replaced: so that a change of one Service costs
// what it changes, and not what the node announces.
type encoder struct {
	lines map[*ingotv1.Item]encoded
	// size of the last result, which the next one will not be far from.
	size int
}

// encoded is the line of one item, and what it was made of beside the item.
type encoded struct {
	status ingotv1.ItemResult_Status
	reason string
	good   *ingotv1.Item
	line   []byte
}

func newEncoder() *encoder { return &encoder{lines: map[*ingotv1.Item]encoded{}} }

func (e *encoder) encode(s Snapshot) ([]byte, error) {
	h := header{
		Node: s.Node, BootID: s.BootID,
		Lineage: s.State.Lineage, Epoch: s.State.Epoch, Revision: s.State.Revision, Adoption: s.State.Adoption,
		Adoptions: map[ingotv1.Lane]uint64{}, Addresses: s.Addresses, LogLevel: s.LogLevel,
	}
	for lane, sl := range s.State.Lanes {
		h.Items += len(sl.Items)
		h.Adoptions[lane] = sl.Adoption
	}
	first, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	var body bytes.Buffer
	body.Grow(e.size + e.size/8)
	body.Write(append(first, '\n'))
	current := make(map[*ingotv1.Item]encoded, h.Items)
	for _, lane := range desired.Lanes {
		for _, held := range s.State.Lanes[lane].Items {
			l, ok := e.lines[held.Item]
			if !ok || l.status != held.Status || l.reason != held.Reason || l.good != held.Good {
				if l, err = encodeItem(lane, held); err != nil {
					return nil, fmt.Errorf("item %q: %w", held.Item.GetId(), err)
				}
			}
			current[held.Item] = l
			body.Write(l.line)
		}
	}
	e.lines, e.size = current, body.Len()
	return sealed(body.Bytes()), nil
}

func encodeItem(lane ingotv1.Lane, held desired.Held) (encoded, error) {
	l := line{Lane: lane, Status: held.Status, Reason: held.Reason}
	var err error
	if l.Item, err = proto.Marshal(held.Item); err != nil {
		return encoded{}, err
	}
	if held.Good != nil {
		if l.Good, err = proto.Marshal(held.Good); err != nil {
			return encoded{}, err
		}
	}
	text, err := json.Marshal(l)
	if err != nil {
		return encoded{}, err
	}
	return encoded{status: held.Status, reason: held.Reason, good: held.Good, line: append(text, '\n')}, nil
}

// sealed puts the format's name and the checksum before body.
func sealed(body []byte) []byte {
	sum := sha256.Sum256(body)
	out := make([]byte, 0, len(magic)+2+hex.EncodedLen(len(sum))+len(body))
	out = fmt.Appendf(out, "%s\n%x\n", magic, sum)
	return append(out, body...)
}

// Decode reads what Encode wrote. Anything else is an error that says what is wrong, and never shows content: the
// file holds passwords.
func Decode(data []byte) (Snapshot, error) {
	first, rest, ok := bytes.Cut(data, []byte("\n"))
	if !ok || string(first) != magic {
		return Snapshot{}, errors.New("not a saved state of a version this program reads")
	}
	sum, body, ok := bytes.Cut(rest, []byte("\n"))
	got := sha256.Sum256(body)
	if !ok || string(sum) != hex.EncodeToString(got[:]) {
		return Snapshot{}, errors.New("damaged: the checksum does not match")
	}

	lines := bufio.NewScanner(bytes.NewReader(body))
	lines.Buffer(nil, maxLine)
	var h header
	if err := next(lines, &h); err != nil {
		return Snapshot{}, fmt.Errorf("header: %w", err)
	}
	s := Snapshot{
		Node: h.Node, BootID: h.BootID, Addresses: h.Addresses, LogLevel: h.LogLevel,
		State: desired.Saved{
			Standing: desired.Standing{Lineage: h.Lineage, Epoch: h.Epoch, Revision: h.Revision, Adoption: h.Adoption},
			Lanes:    map[ingotv1.Lane]desired.SavedLane{},
		},
	}
	for lane, adoption := range h.Adoptions {
		s.State.Lanes[lane] = desired.SavedLane{Adoption: adoption}
	}
	for i := range h.Items {
		lane, held, err := readItem(lines)
		if err != nil {
			return Snapshot{}, fmt.Errorf("item %d: %w", i, err)
		}
		sl := s.State.Lanes[lane]
		sl.Items = append(sl.Items, held)
		s.State.Lanes[lane] = sl
	}
	if lines.Scan() || lines.Err() != nil {
		return Snapshot{}, errors.New("more items than the header says")
	}
	return s, nil
}

func readItem(lines *bufio.Scanner) (ingotv1.Lane, desired.Held, error) {
	var l line
	if err := next(lines, &l); err != nil {
		return 0, desired.Held{}, err
	}
	held := desired.Held{Item: &ingotv1.Item{}, Status: l.Status, Reason: l.Reason}
	if proto.Unmarshal(l.Item, held.Item) != nil {
		return 0, desired.Held{}, errors.New("not an item")
	}
	if len(l.Good) > 0 {
		held.Good = &ingotv1.Item{}
		if proto.Unmarshal(l.Good, held.Good) != nil {
			return 0, desired.Held{}, errors.New("what stands in its place is not an item")
		}
	}
	return l.Lane, held, nil
}

// next decodes one line into v. Errors of the JSON decoder quote their input, so they are not passed on.
func next(lines *bufio.Scanner, v any) error {
	if !lines.Scan() {
		if err := lines.Err(); err != nil {
			return err
		}
		return io.ErrUnexpectedEOF
	}
	if json.Unmarshal(lines.Bytes(), v) != nil {
		return errors.New("not the JSON that was expected")
	}
	return nil
}
