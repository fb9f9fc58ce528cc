// A server of flagd's evaluation protocol that retires its connections: every stream is ready at
// once and stays open, every other call returns true. Arguments: address, the longest age of
// a connection, and the time that it then has to finish calls in flight.
package main

import (
	"log"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Messages pass as they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error { *v.(*[]byte) = data; return nil }
func (raw) Name() string                       { return "raw" }

// A string field.
func text(tag byte, value string) []byte {
	return append([]byte{tag<<3 | 2, byte(len(value))}, value...)
}

func handle(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	var request []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	if strings.HasSuffix(method, "/EventStream") {
		ready := text(1, "provider_ready")
		if err := stream.SendMsg(&ready); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	// value, reason, variant
	answer := append([]byte{1 << 3, 1}, text(2, "TARGETING_MATCH")...)
	answer = append(answer, text(3, "on")...)
	return stream.SendMsg(&answer)
}

func duration(text string) time.Duration {
	parsed, err := time.ParseDuration(text)
	if err != nil {
		log.Fatal(err)
	}
	return parsed
}

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(
		grpc.ForceServerCodec(raw{}),
		grpc.UnknownServiceHandler(handle),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge:      duration(os.Args[2]),
			MaxConnectionAgeGrace: duration(os.Args[3]),
		}),
	)
	log.Fatal(server.Serve(listener))
}
