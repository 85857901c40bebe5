package web

import (
	"io"
	"net"
	"net/http/httptest"
	"testing"
)

func TestAnswerNamesNodeAndClient(t *testing.T) {
	for remote, want := range map[string]string{
		"10.78.0.2:4711": "node=node2 client=10.78.0.2\n",
		"[fd78::2]:4711": "node=node2 client=fd78::2\n",
	} {
		request := httptest.NewRequest("GET", "/", nil)
		request.RemoteAddr = remote
		answer := httptest.NewRecorder()
		Handler("node2").ServeHTTP(answer, request)
		body, err := io.ReadAll(answer.Result().Body)
		if err != nil || string(body) != want {
			t.Errorf("a request from %s is answered %q, %v, want %q", remote, body, err, want)
		}
	}
}

func TestDatagramsComeBack(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- Echo(server) }()
	client, err := net.Dial("udp", server.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 16)
	if n, err := client.Read(answer); err != nil || string(answer[:n]) != "hello" {
		t.Errorf("the answer is %q, %v", answer[:n], err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
