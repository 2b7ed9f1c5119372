// OPA's library behind a plain grpc-go handler of Envoy's external authorization: what of OPA for Envoy the Go module proxy
// has here.
//
// `opa LISTEN POLICY.rego` asks `data.envoy.authz.allow` about `input.parsed_body`, the request's JSON body. It does less
// than opa-envoy-plugin: no further input, no decision log, no metrics, no bundles. So the plugin is no faster than this.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net"
	"os"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type server struct {
	auth.UnimplementedAuthorizationServer
	query rego.PreparedEvalQuery
}

func (s *server) Check(ctx context.Context, request *auth.CheckRequest) (*auth.CheckResponse, error) {
	var body any
	raw := request.GetAttributes().GetRequest().GetHttp().GetRawBody()
	if err := json.Unmarshal(raw, &body); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	input, err := ast.InterfaceToValue(map[string]any{"parsed_body": body})
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	results, err := s.query.Eval(ctx, rego.EvalParsedInput(input))
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	if !results.Allowed() {
		return &auth.CheckResponse{Status: &rpc.Status{Code: int32(codes.PermissionDenied)}}, nil
	}
	return &auth.CheckResponse{Status: &rpc.Status{Code: int32(codes.OK)}}, nil
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("expected LISTEN and POLICY.rego")
	}
	policy, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	module := rego.Module(os.Args[2], string(policy))
	query, err := rego.New(rego.Query("data.envoy.authz.allow"), module).PrepareForEval(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	transport := grpc.NewServer()
	auth.RegisterAuthorizationServer(transport, &server{query: query})
	log.Fatal(transport.Serve(listener))
}
