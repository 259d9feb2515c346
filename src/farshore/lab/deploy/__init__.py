"""Runs the unmodified stack program and creates its resources in the lab, without the Pulumi CLI.

The program runs in its own process and speaks Pulumi's own gRPC protocol; `engine` answers it, `provisioners` create
through boto3 at the lab's gateway, `checkpoint` remembers. It does three things: up, an up that finds nothing to do,
and destroy. docs/deploy.md says what only the real engine and the real provider check.
"""

import os

# The engine's process starts servers and functions while gRPC runs; no child of it ever uses gRPC.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
