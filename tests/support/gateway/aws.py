"""The part of AWS that the seeds' tools need: a proxy that answers in its place, so that nothing leaves the machine."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from support.http_server import Handler, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = """<CreateAccessKeyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><CreateAccessKeyResult><AccessKey>
<UserName>{user}</UserName><AccessKeyId>AKIAIOSFODNN7EXAMPLE</AccessKeyId><Status>Active</Status>
<SecretAccessKey>not-a-secret</SecretAccessKey><CreateDate>2026-01-01T00:00:00Z</CreateDate>
</AccessKey></CreateAccessKeyResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></CreateAccessKeyResponse>"""
IMAGE_SET = re.compile(r"/datastore/(?P<datastore>\w+)/imageSet/(?P<set>\w+)/updateImageSetMetadata")


@dataclass
class Aws:
    """The requests that it got, as names of its operations."""

    port: int
    asked: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The environment by which a program finds it, without other variables."""
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
            # Without TLS, so that a proxy can answer; no name is resolved.
            "AWS_ENDPOINT_URL": "http://aws.test",
            "HTTP_PROXY": f"http://127.0.0.1:{self.port}",
            "HTTPS_PROXY": f"http://127.0.0.1:{self.port}",
            "NO_PROXY": "127.0.0.1,localhost",
        }


@contextmanager
def aws() -> Iterator[Aws]:
    """Answers on a free port until the end."""
    running = Aws(0)

    class Endpoint(Handler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            form = parse_qs(body)
            url = urlsplit(self.path)
            if form.get("Action") == ["CreateAccessKey"]:
                running.asked.append("CreateAccessKey")
                self.answer(200, "text/xml", KEY.format(user=form["UserName"][0]))
            elif found := IMAGE_SET.fullmatch(url.path):
                running.asked.append("UpdateImageSetMetadata")
                version = int(parse_qs(url.query)["latestVersion"][0])
                said: dict[str, Any] = {"datastoreId": found["datastore"], "imageSetId": found["set"]}
                said.update(latestVersionId=str(version + 1), imageSetState="LOCKED", imageSetWorkflowStatus="UPDATING")
                self.answer(200, "application/json", json.dumps(said))
            else:
                self.refuse()

        def refuse(self) -> None:
            self.close_connection = True
            self.answer(403, "text/plain", "there is no such place")

        # CONNECT is the method of encrypted connections.
        do_GET = do_CONNECT = refuse

    with serving(Endpoint) as running.port:
        yield running
