"""A floor for comparison: a grpcio aio handler that parses the arguments and allows whatever is asked."""

from __future__ import annotations

import argparse
import asyncio
import json

import grpc
import grpc.aio
import uvloop

from callgate._proto.callgate.decision.v1 import decision_pb2

SERVICE = "callgate.decision.v1.DecisionService"


async def check(
    request: decision_pb2.CheckRequest, _context: grpc.aio.ServicerContext[decision_pb2.CheckRequest, object]
) -> decision_pb2.CheckResponse:
    """Allows, once the arguments are JSON."""
    json.loads(request.args_json)
    return decision_pb2.CheckResponse(outcome=decision_pb2.OUTCOME_ALLOW)


async def serve(listen: str) -> None:
    """Serves until the process is stopped."""
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        check,
        request_deserializer=decision_pb2.CheckRequest.FromString,
        response_serializer=decision_pb2.CheckResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Check": handler}),))
    server.add_insecure_port(listen)
    await server.start()
    await server.wait_for_termination()


def main() -> None:
    """Reads the command line and serves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", required=True, help="address, such as 127.0.0.1:9201")
    uvloop.install()
    asyncio.run(serve(parser.parse_args().listen))


if __name__ == "__main__":
    main()
