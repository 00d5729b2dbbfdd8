"""To a Ray cluster and away from it: what was started here is stopped, what others run is left alone."""

import os
import socket
from typing import Any

from ray.exceptions import RayError

from bloomery.cluster.api import ray
from bloomery.errors import ClusterError

_ADDRESS = "RAY_ADDRESS"
_KNOCK_SECONDS = 10
# Nothing is sent to Ray's makers, nor does Ray write to the terminal of the person who waits for us. A node without
# power does not hang up: that it does not answer either is noticed within a minute, not seven.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
    "RAY_grpc_client_keepalive_time_ms": "40000",
    "RAY_grpc_client_keepalive_timeout_ms": "20000",
}


def connect(address: str | None) -> bool:
    """Connects this process, unless it is; returns whether it was done here.

    Args:
        address: Of a cluster; "auto" for the one that this machine is part of; None for the one that RAY_ADDRESS names,
            as in jobs that Ray was given, else for a cluster that is started on this machine.

    Raises:
        ClusterError: There is no cluster there.
    """
    if ray.is_initialized():
        return False
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    address = address or os.environ.get(_ADDRESS)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        options |= {"num_cpus": processors(), "include_dashboard": False}
    try:
        if address is not None:
            _knock(address)
        ray.init(address or "local", **options)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise ClusterError(
            f"no Ray cluster at {address or 'this machine'}: {error}; start one with `ray start --head`, or leave the "
            f"address out"
        ) from error
    return True


def _knock(address: str) -> None:
    """Sees that somebody listens at a host and port: Ray itself tries for minutes, and then ends the process."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), _KNOCK_SECONDS).close()


def disconnect() -> None:
    """Leaves the cluster; one that was started here ends."""
    ray.shutdown()


def processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processors_of_nodes() -> list[int]:
    """The processors of each node that has any, as Ray counts them."""
    counts = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    return [count for count in counts if count > 0]
