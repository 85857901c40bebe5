package show

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/backoff"
)

// Events prints what happens, a line of JSON each with the keys of the log, until ctx ends. A speaker that is away is
// waited for; complain gets a line whenever one goes away, or is not there in the first place.
func (c *Client) Events(ctx context.Context, w, complain io.Writer) error {
	retry, last := backoff.Backoff{First: 200 * time.Millisecond, Most: 5 * time.Second}, ""
	for {
		err := c.watch(ctx, w, func() { retry.Reset(); last = "" })
		if ctx.Err() != nil {
			return nil
		}
		if err.Error() != last {
			last = err.Error()
			if _, err := fmt.Fprintln(complain, "events:", last); err != nil {
				return err
			}
		}
		if retry.Wait(ctx) != nil {
			return nil
		}
	}
}

// watch prints events until the stream ends, which is an error always.
func (c *Client) watch(ctx context.Context, w io.Writer, received func()) error {
	stream, err := c.speaker.WatchEvents(ctx, &ingotv1.WatchEventsRequest{AtLogLevel: true})
	if err != nil {
		return err
	}
	for {
		event, err := stream.Recv()
		if err != nil {
			return err
		}
		received()
		line := map[string]string{}
		maps.Copy(line, event.GetAttributes())
		line["ts"], line["event"], line["msg"] = event.GetTime().AsTime().Format(time.RFC3339Nano), event.GetEvent(), event.GetMessage()
		if err := json.NewEncoder(w).Encode(line); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
	}
}
