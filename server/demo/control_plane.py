"""moto behind one door: requests go in one at a time, what they changed is saved before the answer goes out.

Errors moto reports as an HTML page or an exception come out as the service's own error document.
"""

from __future__ import annotations

import io
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl

from server.demo.blockstore import BlockStore
from server.demo.credentials import Caller
from server.demo.errors import AwsError
from server.demo.ledger import Ledger
from server.demo.wire import Reply, Request

# moto reads these when it is imported.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
os.environ.setdefault("MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "true")

from moto.backends import get_backend, list_of_moto_modules
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import run_wsgi_app

from server.demo import changes, iam, kms, moto_time, sts
from server.demo.ec2 import backend as ec2_backend
from server.demo.ec2.lifecycle import Pace
from server.demo.pricing import api as pricing
from server.demo.ssm import api as ssm
from server.demo.state import Memory

log = logging.getLogger(__name__)

READS = (
    "Describe", "Get", "List", "Search", "Lookup", "Simulate", "Head", "Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey",
)  # fmt: skip
_MODULE_OF = {"monitoring": "cloudwatch", "email": "ses", "elasticfilesystem": "efs", "elasticloadbalancing": "elbv2"}


def operation_of(request: Request) -> str:
    """The API's name of what is asked: ``DescribeInstances``; for REST services, method and path."""
    target = request.headers.get("x-amz-target")
    if target:
        return target.rsplit(".", 1)[-1]
    fields = dict(parse_qsl(request.query_string))
    if "Action" not in fields and request.body and "urlencoded" in request.headers.get("content-type", ""):
        fields = dict(parse_qsl(request.body.decode("utf-8", "replace")))
    return fields.get("Action") or f"{request.method} {request.path}"


def _backends_of(service: str) -> Any:
    return get_backend(service)  # type: ignore[call-overload]  # typed for literal names; ours come from the saved state


class ControlPlane:
    """All AWS services but EBS direct and S3. ``handle`` blocks: call it in a thread."""

    def __init__(self, ledger: Ledger, blocks: BlockStore, pace: Pace) -> None:
        self.lock = threading.RLock()  # moto is not made for concurrent changes
        self._ledger = ledger
        self._memory = Memory(ledger)
        ec2_backend.install(blocks, ledger, pace)
        moto_time.install()
        sts.install()
        kms.install()
        iam.install()
        ssm.install(pace)
        self._memory.load(_backends_of)
        self._app = DomainDispatcherApplication(create_backend_app)

    def handle(self, request: Request, caller: Caller) -> Reply:
        """Errors: AwsError for what moto does not know."""
        if caller.service == "pricing":
            return pricing.handle(request, caller)
        module = _MODULE_OF.get(caller.service, caller.service)
        if module not in list_of_moto_modules():
            raise AwsError("NotImplemented", f"The demo account has no service {caller.service!r}.", 501)
        with self.lock:
            if operation_of(request).startswith(READS):
                reply = self._ask(request, caller)
                if self._memory.grown():
                    self._memory.save()
                return reply
            with self.changing(records_only=operation_of(request) in changes.SMALL.get(module, ())):
                return self._ask(request, caller)

    @contextmanager
    def changing(self, *, records_only: bool = False) -> Iterator[None]:
        """For changes of moto's objects: the lock, one transaction, and the save.

        ``records_only``: nothing is changed but records noted as changed; saving those is quick in an account of any size.
        """
        with self.lock, self._ledger.write():
            try:
                yield
            finally:
                if records_only:
                    self._memory.save_changes()
                else:
                    self._memory.save()

    def _ask(self, request: Request, caller: Caller) -> Reply:
        try:
            chunks, status, headers = run_wsgi_app(self._app, _environ(request, caller), buffered=True)
            body = b"".join(chunks)
        except AwsError:
            raise
        except NotImplementedError as error:
            raise AwsError("NotImplemented", f"The demo account cannot do this yet: {error}", 501)
        except Exception as error:
            log.exception("moto failed on %s", operation_of(request))
            raise AwsError("InternalFailure", f"The demo account failed on this call: {error}", 500)
        code = int(status.split()[0])
        if code == 404 and "html" in headers.get("content-type", ""):
            raise AwsError("NotImplemented", f"The demo account cannot do {operation_of(request)} yet.", 501)
        kept = [(name, value) for name, value in headers.items() if name.lower() not in ("content-length", "status")]
        return Reply(code, body, kept)


def _environ(request: Request, caller: Caller) -> dict[str, Any]:
    """A WSGI environment. Region and account come from the verified signature, not from what moto would guess."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path.encode().decode("latin-1"),
        "RAW_URI": request.raw_path,
        "QUERY_STRING": request.query_string,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    unwanted = {"content-type", "content-length", "transfer-encoding", "expect", "user-agent", "content-encoding"}
    headers: Mapping[str, str] = {
        **{name: value for name, value in request.headers.items() if name not in unwanted},
        "host": "127.0.0.1",
        "x-moto-account-id": caller.account,
        "x-demo-access-key": caller.access_key,
        "x-demo-caller-arn": caller.arn,
    }
    for name, value in headers.items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    return environ
