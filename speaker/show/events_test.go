package show

import (
	"bufio"
	"context"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// teller tells of one event to everybody who watches, and ends the stream.
type teller struct {
	ingotv1.UnimplementedSpeakerServiceServer
}

func (teller) WatchEvents(_ *ingotv1.WatchEventsRequest, stream ingotv1.SpeakerService_WatchEventsServer) error {
	return stream.Send(&ingotv1.WatchEventsResponse{
		Time: timestamppb.New(time.Unix(1_000_000, 0)), Event: "sessionUp", Message: "BGP session established",
		Attributes: map[string]string{"peer": "tor1"},
	})
}

// TestEventsOutliveTheSpeaker watches before there is a speaker, and after it has ended.
func TestEventsOutliveTheSpeaker(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "speaker.sock")
	client, err := Dial(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	printed, out := io.Pipe()
	complaints, complain := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- client.Events(ctx, out, complain) }()

	first, err := bufio.NewReader(complaints).ReadString('\n') // there is no speaker yet
	if err != nil || first == "" {
		t.Fatalf("complaint %q, %v", first, err)
	}
	go io.Copy(io.Discard, complaints) // ends with the pipe
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	ingotv1.RegisterSpeakerServiceServer(server, teller{})
	go server.Serve(l) // returns when Stop closes the listener
	defer server.Stop()

	const want = `{"event":"sessionUp","msg":"BGP session established","peer":"tor1","ts":"1970-01-12T13:46:40Z"}` + "\n"
	lines := bufio.NewReader(printed)
	for range 2 { // the second one is of a stream that was opened again
		if got, err := lines.ReadString('\n'); err != nil || got != want {
			t.Fatalf("printed %q, %v, want %q", got, err, want)
		}
	}
	cancel()
	go io.Copy(io.Discard, lines) // ends with the pipe
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	out.Close()
	complain.Close()
}
