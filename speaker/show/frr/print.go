package frr

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
)

// Print answers a command with what FRR would say of the facts.
func Print(w io.Writer, c Command, f *Facts) error {
	text, data := c.answer(f)
	if c.json && data != nil {
		b, err := json.MarshalIndent(data, "", "  ")
		if err != nil {
			return fmt.Errorf("show: %w", err)
		}
		text = string(b) + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

// answer is what is said to a command, in both forms; the second is nil where FRR has none.
func (c Command) answer(f *Facts) (text string, data any) {
	switch c.what {
	case runningConfig:
		text = f.runningConfig()
		return text, map[string]string{"runningConfig": text}
	case version:
		text = fmt.Sprintf("Ingot speaker %s on %s, which answers as FRRouting's vtysh does\n", f.Version, f.Node)
		return text, map[string]string{"version": f.Version, "node": f.Node}
	case summary:
		return f.summary(c)
	case neighbors:
		return f.neighbors(c)
	case table, advertised:
		return f.table(c)
	case bfdPeers, bfdBrief, bfdCounters:
		return f.bfd(c)
	}
	return "", nil
}

// families are those that a command asks for.
func (c Command) families() []ingotFamily {
	if c.family != 0 {
		return []ingotFamily{c.family}
	}
	return []ingotFamily{ipv4, ipv6}
}

func itoa(n int) string { return strconv.Itoa(n) }

func twoDigits(n int) string { return fmt.Sprintf("%02d", n) }
