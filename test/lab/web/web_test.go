package web

import (
	"io"
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
