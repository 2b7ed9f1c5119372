"""`grpc_probe.py TARGET SERVICE TIMEOUT_S`: exits with 0 if the service is served, else with 1."""

import sys

import grpc
from grpc_health.v1 import health_pb2

target, service, timeout_s = sys.argv[1:]
with grpc.insecure_channel(target) as channel:
    ask = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    try:
        answer = ask(health_pb2.HealthCheckRequest(service=service), timeout=float(timeout_s))
    except grpc.RpcError:
        sys.exit(1)
sys.exit(0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1)
