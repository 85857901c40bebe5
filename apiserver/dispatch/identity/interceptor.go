package identity

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

type callerKey struct{}

// FromContext returns the caller that an interceptor of this package admitted.
func FromContext(ctx context.Context) (Caller, bool) {
	caller, ok := ctx.Value(callerKey{}).(Caller)
	return caller, ok
}

// StreamInterceptor admits callers of the services whose full names (with the slashes, as in "/pkg.Service/")
// begin with one of guarded; other methods, such as health and reflection, need no token.
func (a *Authenticator) StreamInterceptor(guarded ...string) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if !covers(guarded, info.FullMethod) {
			return handler(srv, stream)
		}
		ctx, err := a.admit(stream.Context())
		if err != nil {
			a.refuse(stream.Context(), err)
			return err
		}
		return handler(srv, &admitted{ServerStream: stream, ctx: ctx})
	}
}

// UnaryInterceptor does for unary calls what StreamInterceptor does for streams.
func (a *Authenticator) UnaryInterceptor(guarded ...string) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if !covers(guarded, info.FullMethod) {
			return handler(ctx, req)
		}
		admitted, err := a.admit(ctx)
		if err != nil {
			a.refuse(ctx, err)
			return nil, err
		}
		return handler(admitted, req)
	}
}

// refuse says in the log who was not admitted; callers wait longer and longer before they try again.
func (a *Authenticator) refuse(ctx context.Context, err error) {
	from := "unknown"
	if p, ok := peer.FromContext(ctx); ok {
		from = p.Addr.String()
	}
	a.log.Warn("caller refused", "event", "callerRefused", "from", from, "code", status.Code(err).String(), "error", status.Convert(err).Message())
}

func covers(guarded []string, method string) bool {
	for _, prefix := range guarded {
		if strings.HasPrefix(method, prefix) {
			return true
		}
	}
	return false
}

// admit returns ctx with the caller in it, or a gRPC status that tells the caller what to mend.
func (a *Authenticator) admit(ctx context.Context) (context.Context, error) {
	token, err := bearer(ctx)
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	caller, err := a.Authenticate(ctx, token)
	var rejected *RejectedError
	switch {
	case err == nil:
		return context.WithValue(ctx, callerKey{}, caller), nil
	case errors.As(err, &rejected):
		return nil, status.Error(codes.Unauthenticated, rejected.Reason)
	case ctx.Err() != nil:
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	return nil, status.Error(codes.Unavailable, err.Error())
}

func bearer(ctx context.Context) (string, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	values := md.Get("authorization")
	if len(values) == 0 {
		return "", errors.New(`no bearer token: "authorization: Bearer <token>" metadata is required, with a ServiceAccount token of audience "` + Audience + `"`)
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if len(values) > 1 || !ok || !strings.EqualFold(scheme, "bearer") || token == "" {
		return "", errors.New(`no bearer token: the "authorization" metadata must be "Bearer <token>", once`)
	}
	return token, nil
}

// admitted is a stream whose context knows the caller.
type admitted struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s *admitted) Context() context.Context { return s.ctx }
