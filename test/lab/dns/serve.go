package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"
)

// patience is how long a stream may be silent.
const patience = 5 * time.Second

// Serve answers on an address, over UDP and TCP, until ctx ends.
func Serve(ctx context.Context, s Source, address string, log *slog.Logger) error {
	datagrams, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", address)
	if err != nil {
		return err
	}
	streams, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return errors.Join(err, datagrams.Close())
	}
	defer context.AfterFunc(ctx, func() { _ = errors.Join(datagrams.Close(), streams.Close()) })()
	ended := make(chan error, 2)
	go func() { ended <- serveDatagrams(s, datagrams, log) }()
	go func() { ended <- serveStreams(s, streams, log) }()
	err = <-ended
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(err, datagrams.Close(), streams.Close())
}

func serveDatagrams(s Source, c net.PacketConn, log *slog.Logger) error {
	buffer := make([]byte, 4096)
	for {
		n, from, err := c.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			continue // ICMP says that a client is not there any more
		}
		reply, err := Reply(s, buffer[:n], false)
		if err == nil {
			_, err = c.WriteTo(reply, from)
		}
		if err != nil {
			log.Debug("a query", "from", from.String(), "error", err)
		}
	}
}

func serveStreams(s Source, l net.Listener, log *slog.Logger) error {
	slots := make(chan struct{}, 64)
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			defer conn.Close()
			if err := serveStream(s, conn); err != nil {
				log.Debug("a stream", "from", conn.RemoteAddr().String(), "error", err)
			}
		}()
	}
}

// serveStream answers the queries of one connection, each behind its length (RFC 1035 section 4.2.2).
func serveStream(s Source, conn net.Conn) error {
	for {
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return err
		}
		reply, err := Reply(s, query, true)
		if err != nil {
			return err
		}
		if len(reply) > 0xffff {
			return fmt.Errorf("an answer of %d bytes", len(reply))
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return err
		}
	}
}
