"""The lab's `aws`: the real AWS CLI, held to the lab's gateway.

Version 1 of the CLI ignores AWS_ENDPOINT_URL for some services (rds in us-east-1 among them) and AWS_REGION for all,
and would ask AWS itself. This wrapper stands first on PATH, names endpoint and region, refuses another endpoint, and
leads whatever would still go out over HTTPS to a closed door.
"""

import os
from pathlib import Path

_SCRIPT = r"""#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
case "$AWS_ENDPOINT_URL" in
  http://127.*) ;;
  *) echo "farshore: AWS_ENDPOINT_URL is not a lab's; eval \"\$(farshore lab env)\" again." >&2; exit 2 ;;
esac
for given in "$@"; do
  case "${given%%=*}" in
    --endp|--endpo|--endpoi|--endpoin|--endpoint|--endpoint-|--endpoint-u|--endpoint-ur|--endpoint-url)
      echo "farshore: in a lab's shell aws has one endpoint, $AWS_ENDPOINT_URL." >&2; exit 2 ;;
  esac
done
found=
IFS=:
for place in $PATH; do
  if [ -x "$place/aws" ] && [ "$(cd "$place" && pwd)" != "$here" ]; then found=$place/aws; break; fi
done
unset IFS
if [ -z "$found" ]; then echo "farshore: no AWS CLI on PATH: pip install awscli" >&2; exit 127; fi
unset HTTP_PROXY http_proxy ALL_PROXY all_proxy NO_PROXY no_proxy AWS_PROFILE AWS_DEFAULT_PROFILE
export HTTPS_PROXY=http://127.0.0.1:1 https_proxy=http://127.0.0.1:1
export AWS_EC2_METADATA_DISABLED=true AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_PAGER=
exec "$found" --endpoint-url "$AWS_ENDPOINT_URL" --region "${AWS_REGION:-$AWS_DEFAULT_REGION}" "$@"
"""


def install(directory: Path) -> Path:
    """Write the wrapper into a lab's directory; returns the directory that belongs first on PATH."""
    place = directory / "bin"
    place.mkdir(exist_ok=True)
    script = place / "aws"
    unfinished = place / f".aws.{os.getpid()}"
    unfinished.write_text(_SCRIPT)
    unfinished.chmod(0o755)
    unfinished.replace(script)
    return place
