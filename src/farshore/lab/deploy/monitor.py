"""The two gRPC services that a Pulumi program talks to, in front of one engine.

Protocol: https://github.com/pulumi/pulumi/tree/master/proto/pulumi (resource.proto, engine.proto). Secrets are the
only optional feature offered: without the others the SDK sends plain values and complains itself when a program
needs more.
"""

import logging
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, resource_pb2, resource_pb2_grpc

from farshore.lab.deploy.engine import Engine, Tell

AT_ONCE = 64
_MESSAGE_MAX = 400 * 1024 * 1024  # as the SDK's own limit
_log = logging.getLogger(__name__)


class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """The names of the methods are the protocol's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def GetDeploymentInfo(self, _request: Any, _context: Any) -> Any:
        return resource_pb2.DeploymentInfo(supportedFeatures=[resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS])

    def SupportsFeature(self, request: Any, _context: Any) -> Any:
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id == "secrets")

    def RegisterResource(self, request: Any, _context: Any) -> Any:
        return self._engine.register(request)

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:
        with _told(context):
            self._engine.registered_outputs(request)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        with _told(context):
            found = self._engine.invoke(request.tok, request.args, request.provider)
            return resource_pb2.ResourceInvokeResponse(**{"return": found})

    def SignalAndWaitForShutdown(self, _request: Any, _context: Any) -> Any:
        return empty_pb2.Empty()


class EngineLog(engine_pb2_grpc.EngineServicer):
    """Hears what the SDK has to say; keeps errors."""

    def __init__(self, tell: Tell) -> None:
        self.errors: list[str] = []
        self._tell = tell

    def Log(self, request: Any, _context: Any) -> Any:
        if request.severity >= engine_pb2.WARNING:
            self._tell(f"the program says: {request.message.strip()}")
        if request.severity >= engine_pb2.ERROR:
            self.errors.append(request.message.strip())
        return empty_pb2.Empty()

    def GetRootResource(self, _request: Any, _context: Any) -> Any:
        return engine_pb2.GetRootResourceResponse()

    def SetRootResource(self, _request: Any, _context: Any) -> Any:
        return engine_pb2.SetRootResourceResponse()

    def RequirePulumiVersion(self, _request: Any, _context: Any) -> Any:
        return engine_pb2.RequirePulumiVersionResponse()


@contextmanager
def serving(engine: Engine, log: EngineLog) -> Iterator[str]:
    """The address of both services. On leaving, whatever is being created is finished first."""
    with futures.ThreadPoolExecutor(AT_ONCE, thread_name_prefix="deploy") as pool:
        options = [("grpc.max_receive_message_length", _MESSAGE_MAX), ("grpc.so_reuseport", 0)]
        server = grpc.server(pool, options=options)
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(Monitor(engine), server)
        engine_pb2_grpc.add_EngineServicer_to_server(log, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(grace=None).wait()


@contextmanager
def _told(context: Any) -> Iterator[None]:
    """A failure as an answer the SDK shows; `abort` itself raises."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - it must reach the program as a refusal, not as a broken line
        _log.debug("refused", exc_info=True)
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
