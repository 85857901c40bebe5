package show

import (
	"context"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Drain has the speaker take its BGP sessions out of service for a while; 0 has them in service again.
func (c *Client) Drain(ctx context.Context, w io.Writer, length time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := c.speaker.Drain(ctx, &ingotv1.DrainRequest{Duration: durationpb.New(length)})
	if err != nil {
		return err
	}
	if length == 0 {
		_, err = fmt.Fprintln(w, "BGP sessions are in service, unless the Node's annotation says otherwise")
		return err
	}
	_, err = fmt.Fprintf(w, "BGP sessions are drained until %s\n", answer.GetUntil().AsTime().Local().Format(time.RFC3339))
	return err
}
