"""Telemetry of a running sidecar, and of one without a collector."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.collector import attributes, grpc_collector
from support.planes import wait_until
from support.program import TIMEOUT_S, run
from support.replicas import replica


def test_a_sidecar_sends_what_waits_before_it_ends(tmp_path: Path) -> None:
    with grpc_collector() as collector:
        telemetry = {"endpoint": collector.endpoint, "sample_allows": 1}
        with replica(tmp_path, None, telemetry=telemetry) as one:
            wait_until(lambda: not one.rule(tool="first") and collector.spans())
            # Changes of the command line are in the store, and so are they in the log.
            done = run("freeze", "--server", "s", "--reason", "a test", "--state", tmp_path / "state")
            assert done.code == 0, done
            collector.wait(lambda: collector.logs("callgate.admin_change"))
            one.rule(tool="last")
            code, log = one.running.stop()
        assert (code, "telemetry_failed" in log) == (0, False), log
        tools = [attributes(span)["gen_ai.tool.name"] for span in collector.spans("callgate.decide")]
        resource = attributes(collector.traces[0].resource_spans[0].resource)
    assert tools[-1] == "last"
    assert resource["service.name"] == "callgate"
    assert {"service.version", "host.name"} <= resource.keys()


def test_a_sidecar_without_a_collector_imports_no_library_of_it() -> None:
    code = (
        "import sys, callgate.cli.control_plane, callgate.control.telemetry, callgate.control.notices; "
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'standardwebhooks'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=TIMEOUT_S)
    assert done.stdout == "[]\n"
