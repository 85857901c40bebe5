package ownership

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestTheDocumentNamesTheTimers(t *testing.T) {
	content, err := os.ReadFile("../../../docs/layer2-failover.md")
	if err != nil {
		t.Fatal(err)
	}
	document := strings.Join(strings.Fields(string(content)), " ")
	ms := func(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
	times := map[int]string{2: "twice", 3: "three times"}

	for _, want := range []string{
		"less than " + ms(CentreFresh) + " ago (owners), or " + ms(CentreLost) + " ago (standbys)",
		fmt.Sprintf("%s × %d", ms(BFDInterval), BFDMultiplier),
		"a witness's answer | for " + ms(SegmentFresh),
		times[FirstProbes] + ", " + ms(FirstProbeInterval) + " apart",
		times[QuickProbes] + ", " + ms(QuickProbeInterval) + " apart",
		"probes again after " + seconds(minBackoff) + ", " + seconds(2*minBackoff),
		fmt.Sprintf("up to %d s", int(maxBackoff.Seconds())),
		"The second standby waits " + ms(RankDelay),
		"announces, every " + ms(ContestInterval),
		"go on for " + ms(Insistence) + " yields",
		"yields after " + ms(Insistence) + ", and otherwise the other after " + ms(2*Insistence),
		"more than " + ms(FrozenAfter) + " late",
		"a standby gives an owner that it has not met " + fmt.Sprintf("%d s", int(StrangerGrace.Seconds())),
		fmt.Sprintf("%.2f s, and the centre's decision | BFD %s, then probes %d × %s", (BFDMultiplier*BFDInterval + QuickProbes*QuickProbeInterval).Seconds(),
			ms(BFDMultiplier*BFDInterval), QuickProbes, ms(QuickProbeInterval)),
		fmt.Sprintf("silence | %.2f s | the later of that and of the centre's %s", CentreLost.Seconds(), ms(CentreLost)),
		fmt.Sprintf("%.2f s | %s for each rank", (CentreLost + RankDelay).Seconds(), ms(RankDelay)),
		"ends no sooner than " + ms((BFDMultiplier-1)*BFDInterval+QuickProbes*QuickProbeInterval) + " after the cut",
	} {
		if !strings.Contains(document, want) {
			t.Errorf("docs/layer2-failover.md does not say %q", want)
		}
	}
	if LocalRounds != 2 || LocalProbes != 5 || !strings.Contains(document, "two rounds of five probes") {
		t.Errorf("docs/layer2-failover.md does not say that %d rounds of %d probes find a Local address vacant", LocalRounds, LocalProbes)
	}
	if DefendInterval != 10*time.Second || !strings.Contains(document, "one announcement in ten seconds") {
		t.Errorf("docs/layer2-failover.md does not say that an address is defended every %v at most", DefendInterval)
	}
}
