"""The AWS control plane through boto3: one client per place and service, roles assumed and refreshed, errors translated.

The home account uses the standard credential chain (environment, profile, instance profile). A role account is entered
with AssumeRole and its external id; botocore renews the session before it ends. We retry ourselves, because botocore
would also repeat what must not happen twice: a create without a client token is repeated only if it surely never ran.
"""

from __future__ import annotations

import difflib
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

import botocore.session
from botocore.config import Config
from botocore.credentials import (
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    ResponseStreamingError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)
from botocore.paginate import Paginator
from botocore.parsers import ResponseParserError
from botocore.utils import parse_timestamp

from server.adapters import aws_errors, backoff
from server.adapters.aws_errors import Call
from server.adapters.pace import NoQuotas, Pace
from server.domain.errors import AwsCredentials, AwsRejected, HoldfastError, Throttled, Unavailable
from server.domain.workload import Place
from server.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SESSION_NAME: Final = "holdfast"
SESSION_SECONDS: Final = 3600  # what a role allows unless its owner changed it, and the limit when roles are chained
CLIENTS_MAX: Final = 96  # a client holds a few MiB
TOKENS: Final = frozenset({"ClientToken", "ClientRequestToken", "CreationToken", "IdempotencyToken"})
MAKERS: Final = ("create_", "copy_", "run_", "send_", "import_", "restore_", "allocate_", "register_", "start_")
SAFE_MAKERS: Final = frozenset({"create_tags", "start_instances"})  # doing them twice changes nothing
NO_CREDENTIALS: Final = (
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    CredentialRetrievalError,
    TokenRetrievalError,
    SSOError,
)
NEVER_SENT: Final = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
CONNECTION: Final = (BotoConnectionError, HTTPClientError, ResponseStreamingError, ResponseParserError)


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials of the moment. ``token`` None: long-lived keys."""

    access_key: str
    secret_key: str
    token: str | None

    def __repr__(self) -> str:
        return "Keys(…)"


class Boto3Aws:
    """Port ``Aws``. ``endpoint_url`` sends every service to one address (an emulator). Safe to share between threads."""

    def __init__(
        self,
        clock: Clock,
        *,
        endpoint_url: str | None = None,
        quotas: Pace | None = None,
        connect_timeout: float = 5,
        read_timeout: float = 60,
    ) -> None:
        self._clock = clock
        self._endpoint_url = endpoint_url
        self._quotas = quotas or NoQuotas()
        self._timeouts = (connect_timeout, read_timeout)
        self._lock = threading.RLock()
        self._clients: OrderedDict[tuple[Place, str], Any] = OrderedDict()
        self._sessions: dict[Place, botocore.session.Session] = {}
        self._actions: set[str] = set()

    # ---- the port

    def call(self, place: Place, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """One API call by its boto3 names. Throttling, 5xx and lost connections are retried within seconds, unless the
        call makes something, carries no client token and may have run."""
        repeatable = _repeatable(operation, params)

        def once() -> dict[str, Any]:
            client = self._client(place, service)
            call = self._describe(client, place, service, operation)
            method = getattr(client, operation)
            return cast("dict[str, Any]", self._attempts(call, lambda: method(**params), place, repeatable=repeatable))

        try:
            return once()
        except AwsCredentials as problem:
            if problem.aws_code not in aws_errors.EXPIRED:
                raise
        self.forget(place)  # the session has ended before its time: enter anew
        return once()

    def pages(self, place: Place, service: str, operation: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Each page of an operation that AWS pages, every page fetched by ``call``."""
        client = self._client(place, service)
        api_name: str = client.meta.method_to_api_mapping[operation]
        paging = self._session(place).get_paginator_model(service).get_paginator(api_name)

        def fetch(**page_params: Any) -> dict[str, Any]:
            return self.call(place, service, operation, **page_params)

        pager: Any = Paginator(cast("Any", fetch), paging, client.meta.service_model.operation_model(api_name))
        yield from pager.paginate(**params)

    # ---- for the adapters beside this one

    def s3_client(self, place: Place) -> S3Client:
        """A boto3 S3 client for the place; its caller retries and translates."""
        return cast("S3Client", self._client(place, "s3"))

    def keys(self, place: Place) -> Keys:
        """The place's credentials now, renewed when they are about to end."""
        call = Call(operation="sts:AssumeRole", region=place.region, role_arn=place.role_arn, endpoint=self._endpoint_url)
        try:
            credentials = self._session(place).get_credentials()
            if credentials is None:
                raise NoCredentialsError
            frozen = credentials.get_frozen_credentials()
        except BotoCoreError as error:
            raise self._translated(call, error) from error
        if not frozen.access_key or not frozen.secret_key:
            raise aws_errors.no_credentials(call, "they are incomplete")
        return Keys(frozen.access_key, frozen.secret_key, frozen.token)

    def endpoint(self, place: Place, service: str) -> str:
        """The address of a service in the place's Region and partition."""
        return str(self._client(place, service).meta.endpoint_url)

    def forget(self, place: Place) -> None:
        """Drop sessions and clients of a place: its credentials have ended before their time."""
        with self._lock:
            self._sessions.pop(place, None)
            for key in [key for key in self._clients if key[0] == place]:
                del self._clients[key]

    def close(self) -> None:
        """Give the clients' connections back. Calls made afterwards open new ones."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), OrderedDict()
        for client in clients:
            client.close()

    @property
    def actions(self) -> frozenset[str]:
        """Every IAM action called so far, such as ``ec2:CreateSnapshots``."""
        with self._lock:
            return frozenset(self._actions)

    def note(self, action: str) -> None:
        """Record an action called past this class (the block client does)."""
        if action not in self._actions:
            with self._lock:
                self._actions.add(action)

    # ---- clients and sessions

    def _client(self, place: Place, service: str) -> Any:
        key = (place, service)
        with self._lock:
            client = self._clients.get(key)
            if client is None:
                client = self._clients[key] = self._make_client(self._session(place), place.region, service)
                while len(self._clients) > CLIENTS_MAX:
                    self._clients.popitem(last=False)
            else:
                self._clients.move_to_end(key)
        return client

    def _make_client(self, session: botocore.session.Session, region: str, service: str) -> Any:
        self._check_region(session, region, service)
        connect, read = self._timeouts
        config = Config(
            connect_timeout=connect,
            read_timeout=read,
            retries={"total_max_attempts": 1},
            max_pool_connections=32,
            tcp_keepalive=True,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3=self._s3_settings(),
        )
        try:  # of botocore's session: a second boto3.Session around the same one would register its additions twice
            return session.create_client(service, region_name=region, endpoint_url=self._endpoint_url, config=config)
        except (BotoCoreError, ValueError) as error:
            call = Call(operation=f"{service}:*", region=region, endpoint=self._endpoint_url)
            raise self._translated(call, error) from error

    def _s3_settings(self) -> Any:
        """As botocore's ``Config`` takes them. Over TLS bodies are not hashed for the signature: S3 checks the CRC sent with
        each, for half the CPU."""
        address = self._endpoint_url or "https://"
        style = {"addressing_style": "path"} if self._endpoint_url else {}
        return style if address.startswith("http://") else {**style, "payload_signing_enabled": False}

    def _session(self, place: Place) -> botocore.session.Session:
        with self._lock:
            session = self._sessions.get(place)
            if session is None:
                session = botocore.session.get_session()
                session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=moment)
                if place.role_arn is not None:
                    provider = _Role(lambda: self._assume(place))
                    session.register_component("credential_provider", CredentialResolver(providers=[provider]))
                self._sessions[place] = session
            return session

    def _assume(self, place: Place) -> dict[str, str]:
        """Enter the role with the appliance's own identity; botocore calls this again before the session ends."""
        home = Place(place.account_id, None, None, place.region)
        external = {"ExternalId": place.external_id} if place.external_id else {}
        client = self._client(home, "sts")
        call = Call(operation="sts:AssumeRole", region=place.region, role_arn=place.role_arn, endpoint=self._endpoint_url)

        def ask() -> Any:
            return client.assume_role(
                RoleArn=place.role_arn, RoleSessionName=SESSION_NAME, DurationSeconds=SESSION_SECONDS, **external
            )

        self.note("sts:AssumeRole")
        granted = self._attempts(call, ask, home, repeatable=True)["Credentials"]
        return {
            "access_key": granted["AccessKeyId"],
            "secret_key": granted["SecretAccessKey"],
            "token": granted["SessionToken"],
            "expiry_time": granted["Expiration"].isoformat(),
        }

    def _check_region(self, session: botocore.session.Session, region: str, service: str) -> None:
        known = _regions(session)
        if region not in known:
            similar = difflib.get_close_matches(region, known, n=1, cutoff=0.7)
            raise aws_errors.unknown_region(region, similar[0] if similar else None, f"{service}:*")

    # ---- calling

    def _describe(self, client: Any, place: Place, service: str, operation: str) -> Call:
        try:
            api_name = client.meta.method_to_api_mapping[operation]
        except KeyError:
            raise AwsRejected(f"AWS has no operation {service}.{operation}.", operation=f"{service}:{operation}") from None
        action = f"{client.meta.service_model.signing_name}:{api_name}"
        self.note(action)
        return Call(operation=action, region=place.region, role_arn=place.role_arn, endpoint=client.meta.endpoint_url)

    def _attempts(self, call: Call, once: Callable[[], Any], place: Place, *, repeatable: bool) -> Any:
        failures = 0
        while True:
            self._quotas.take(place, call.operation)
            try:
                return once()
            except (BotoCoreError, ClientError, ResponseParserError) as error:
                problem = self._translated(call, error)
                cause = error
            failures += 1
            if not problem.transient or (not repeatable and _may_have_run(problem, cause)):
                raise problem from cause
            patience = backoff.THROTTLED if isinstance(problem, Throttled) else backoff.FAILED
            wait = patience.wait(failures)
            if wait is None:
                raise problem from cause
            self._clock.sleep(wait)

    def _translated(self, call: Call, error: Exception) -> HoldfastError:
        if isinstance(error, ClientError):
            code = str(error.response.get("Error", {}).get("Code", ""))
            text = str(error.response.get("Error", {}).get("Message", ""))
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400))
            if call.operation == "sts:AssumeRole" and code in aws_errors.DENIED:
                return aws_errors.not_assumed(call, code, text)
            return aws_errors.translate(call, code, text, status=status)
        if isinstance(error, NO_CREDENTIALS):
            return aws_errors.no_credentials(call, str(error))
        if isinstance(error, CONNECTION):
            return aws_errors.unreachable(call, str(error))
        if isinstance(error, ParamValidationError):
            return AwsRejected(f"{call.operation} was called wrongly: {error}", operation=call.operation)
        return AwsRejected(f"{call.operation} in {call.region} is not possible: {error}", operation=call.operation)


def default_region() -> str:
    """What environment or configuration files say, else us-east-1. AwsCredentials when they name a profile there is not."""
    try:
        configured = botocore.session.get_session().get_config_variable("region")
    except BotoCoreError as error:
        raise aws_errors.no_credentials(Call(operation="sts:*", region="-"), str(error)) from error
    return os.environ.get("AWS_REGION") or configured or "us-east-1"


class _Role(CredentialProvider):
    """Credentials of an assumed role, fetched when first needed and renewed by botocore."""

    METHOD = "sts-assume-role"

    def __init__(self, assume: Callable[[], dict[str, str]]) -> None:
        super().__init__()
        self._assume = assume

    def load(self) -> DeferredRefreshableCredentials:
        return DeferredRefreshableCredentials(refresh_using=self._assume, method=self.METHOD)


_USUAL_DATE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def moment(text: Any) -> datetime:
    """What botocore makes of a date. It takes half of all the work of reading a long list; the usual form is quickly read."""
    if isinstance(text, str) and _USUAL_DATE.fullmatch(text):
        return datetime.fromisoformat(text)
    found: datetime = parse_timestamp(text)
    return found


def _repeatable(operation: str, params: dict[str, Any]) -> bool:
    """Whether calling it a second time makes nothing a second time."""
    return not operation.startswith(MAKERS) or operation in SAFE_MAKERS or not TOKENS.isdisjoint(params)


def _may_have_run(problem: HoldfastError, cause: Exception) -> bool:
    return isinstance(problem, Unavailable) and not isinstance(problem, Throttled) and not isinstance(cause, NEVER_SENT)


def _regions(session: botocore.session.Session) -> frozenset[str]:
    partitions = session.get_available_partitions()
    return frozenset(region for name in partitions for region in session.get_available_regions("ec2", name))
