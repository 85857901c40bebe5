package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/ingot-lb/ingot/apiserver/export"
)

// Adopter gives the operator's word.
type Adopter interface {
	// Adopt makes speakers obey this store that obey one of the lineages it returns; extra are added to those that
	// are known.
	Adopt(ctx context.Context, extra []string) ([]string, error)
}

// AdoptRequest is what "apiserver adopt" asks of the running process.
type AdoptRequest struct {
	// Lineages are superseded in addition to those that connected speakers obey.
	Lineages []string `json:"lineages,omitempty"`
}

// AdoptResponse says what was adopted.
type AdoptResponse struct {
	// Lineage is the one that speakers are to obey from now on.
	Lineage string `json:"lineage"`
	// Supersedes are the lineages that it replaces.
	Supersedes []string `json:"supersedes"`
}

type adminError struct {
	Error string `json:"error"`
}

// admin answers on the admin socket. Whoever can open the socket may say the word.
type admin struct {
	adopter atomic.Pointer[adopter]
	keeper  atomic.Pointer[storeKeeper]
}

// adopter is set once both are known.
type adopter struct {
	Adopter
	lineage string
}

func (a *admin) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/adopt", func(w http.ResponseWriter, r *http.Request) {
		var request AdoptRequest
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&request); err != nil {
			reply(w, http.StatusBadRequest, adminError{fmt.Sprintf("request: %v", err)})
			return
		}
		who := a.adopter.Load()
		if who == nil {
			reply(w, http.StatusServiceUnavailable, adminError{"the apiserver is still starting; /readyz on its metrics address says what it waits for"})
			return
		}
		superseded, err := who.Adopt(r.Context(), request.Lineages)
		if err != nil {
			reply(w, http.StatusInternalServerError, adminError{err.Error()})
			return
		}
		reply(w, http.StatusOK, AdoptResponse{Lineage: who.lineage, Supersedes: superseded})
	})
	mux.HandleFunc("GET /v1/export", a.export)
	mux.HandleFunc("POST /v1/restore", a.restore)
	return mux
}

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client is gone otherwise
}

// Adopt asks the process behind a socket to say the word.
func Adopt(ctx context.Context, socket string, request AdoptRequest) (AdoptResponse, error) {
	var answer AdoptResponse
	body, err := json.Marshal(request)
	if err != nil {
		return answer, fmt.Errorf("encode the request: %w", err)
	}
	data, err := ask(ctx, socket, http.MethodPost, "/v1/adopt", body, 30*time.Second)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return answer, fmt.Errorf("read the answer: %w", err)
	}
	return answer, nil
}

// ask asks the process behind a socket.
func ask(ctx context.Context, socket, method, path string, body []byte, timeout time.Duration) ([]byte, error) {
	client := http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			},
		},
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://apiserver"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask the apiserver at %s: %w", socket, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, export.MaxFile))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var failure adminError
		if json.Unmarshal(data, &failure) == nil && failure.Error != "" {
			return nil, errors.New(failure.Error)
		}
		return nil, fmt.Errorf("the apiserver answered %s", resp.Status)
	}
	return data, nil
}
