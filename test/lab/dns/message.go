package dns

import (
	"errors"
	"fmt"

	"golang.org/x/net/dns/dnsmessage"
)

// plain is how large an answer over UDP may be for who says nothing else (RFC 1035 section 4.2.1); most is what is sent to
// who says more.
const (
	plain = 512
	most  = 1232
)

// Reply answers a query as it came from the network. An answer that is larger than who asks takes in a datagram is left out, and
// says that a stream has it. The error says that there is nothing to answer.
func Reply(s Source, query []byte, stream bool) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if header.Response {
		return nil, errors.New("an answer where a question was expected")
	}
	questions, err := parser.AllQuestions()
	if err != nil || len(questions) != 1 || header.OpCode != 0 {
		return pack(header, nil, Answer{Code: dnsmessage.RCodeFormatError}, 0)
	}
	limit := 0
	if !stream {
		limit = size(&parser)
	}
	q := questions[0]
	answer := Answer{Code: dnsmessage.RCodeRefused}
	if q.Class == dnsmessage.ClassINET {
		answer = Lookup(s, q.Name.String(), q.Type)
	}
	return pack(header, &q, answer, limit)
}

// size is how large an answer may be, by the query's OPT record (RFC 6891 section 6.2.3).
func size(parser *dnsmessage.Parser) int {
	if parser.SkipAllAnswers() != nil || parser.SkipAllAuthorities() != nil {
		return plain
	}
	for {
		h, err := parser.AdditionalHeader()
		if err != nil {
			return plain
		}
		if h.Type == dnsmessage.TypeOPT {
			return min(max(int(h.Class), plain), most)
		}
		if parser.SkipAdditional() != nil {
			return plain
		}
	}
}

func pack(asked dnsmessage.Header, q *dnsmessage.Question, a Answer, limit int) ([]byte, error) {
	m := dnsmessage.Message{Header: dnsmessage.Header{
		ID: asked.ID, Response: true, OpCode: asked.OpCode, RecursionDesired: asked.RecursionDesired, RecursionAvailable: true,
		Authoritative: a.Code == dnsmessage.RCodeSuccess || a.Code == dnsmessage.RCodeNameError, RCode: a.Code,
	}}
	if q != nil {
		m.Questions = []dnsmessage.Question{*q}
	}
	add := func(kind dnsmessage.Type, body dnsmessage.ResourceBody) {
		header := dnsmessage.ResourceHeader{Name: q.Name, Type: kind, Class: dnsmessage.ClassINET, TTL: ttl}
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: body})
	}
	for _, address := range a.Addresses {
		if address.Is4() {
			add(dnsmessage.TypeA, &dnsmessage.AResource{A: address.As4()})
		} else {
			add(dnsmessage.TypeAAAA, &dnsmessage.AAAAResource{AAAA: address.As16()})
		}
	}
	for _, pointer := range a.Pointers {
		name, err := dnsmessage.NewName(pointer)
		if err != nil {
			return nil, err
		}
		add(dnsmessage.TypePTR, &dnsmessage.PTRResource{PTR: name})
	}
	packed, err := m.Pack()
	if err != nil || limit == 0 || len(packed) <= limit {
		return packed, err
	}
	m.Answers, m.Truncated = nil, true
	return m.Pack()
}
