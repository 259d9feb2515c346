"""What others need to talk to a lab: variables for the product and the AWS tools, names, addresses, passwords."""

import json
from typing import TYPE_CHECKING, Any

from farshore.lab.deploy.deployment import Deployment
from farshore.lab.ports import OUTSIDE

if TYPE_CHECKING:
    from farshore.lab.lab import Lab

APP_USER = "ledger_app"
DBNAME = "ledger"
ROTATION_DAYS = "30"  # as in production; the lab keeps no such schedule, but rotates when it is asked to


def endpoints(lab: "Lab") -> dict[str, dict[str, str]]:
    """For each region the DNS names of its writer and reader endpoints."""
    return {
        region: {
            "writer": lab.fleet.cluster_endpoint(region, lab.names.cluster(region)),
            "reader": lab.fleet.cluster_endpoint(region, lab.names.cluster(region), reader=True),
        }
        for region in lab.names.regions
    }


def product_variables(lab: "Lab") -> dict[str, str]:
    """The product's settings, as the stack gives them to its functions; the operator's verbs read them too."""
    return {
        "FARSHORE_SUFFIX": lab.names.suffix,
        "FARSHORE_PROFILE": lab.options.profile,
        "FARSHORE_MODE": "auto",
        "FARSHORE_ENDPOINTS": json.dumps(endpoints(lab)),
        "FARSHORE_PORT": str(lab.addresses.pg_port),
        "FARSHORE_DBNAME": DBNAME,
        "FARSHORE_ZONE_ID": lab.zone_id,
    }


def vpc_variables(lab: "Lab", view: str) -> dict[str, str]:
    """What stands for a VPC's resolver, which Lambda would use unasked, and for the certificates of Amazon's RDS."""
    return {
        "FARSHORE_NAMESERVER": f"{lab.addresses.view(view)}:{lab.addresses.dns_port}",
        "FARSHORE_SSLROOTCERT": str(lab.fleet.ca_file),
    }


def aws_variables(lab: "Lab", view: str, region: str) -> dict[str, str]:
    """Where the lab's AWS is for a process in a view, and that no other AWS is."""
    return {
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL": f"http://{lab.cloud.endpoint(view)}",
        "AWS_ACCESS_KEY_ID": "AKIAFARSHORELAB00000",
        "AWS_SECRET_ACCESS_KEY": "lab",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }


def deployment(lab: "Lab") -> Deployment:
    """The lab's stack: the configuration that its `Pulumi.<name>.yaml` would hold."""
    config = {
        "suffix": lab.names.suffix,
        "createdAt": lab.created_at,
        "profile": lab.options.profile,
        "mode": "auto",
        "recordTtlS": str(lab.options.ttl_s),
        "dnsTrigger": lab.options.dns_trigger,
        "port": str(lab.addresses.pg_port),
        "databaseName": DBNAME,
        "rotationDays": ROTATION_DAYS,
        "rdsCaFile": str(lab.fleet.ca_file),
        "repository": "farshore",
        "team": "lab",
    }
    return Deployment(
        stack=lab.names.suffix,
        config={f"farshore:{key}": value for key, value in config.items()},
        environ=aws_variables(lab, OUTSIDE, lab.names.home_region),
        directory=lab.directory.path / "stack",
    )


def variables(lab: "Lab", view: str) -> dict[str, str]:
    """For a process in a view: the product's settings and where AWS is. An operator works in the standby region."""
    region = lab.names.standby_region if view == OUTSIDE else view
    return {
        **product_variables(lab),
        **vpc_variables(lab, view),
        "FARSHORE_REGION": region,
        **aws_variables(lab, view, region),
    }


def described(lab: "Lab") -> dict[str, Any]:
    """Everything the drill and `farshore lab env` hand on."""
    views = (*lab.names.regions, OUTSIDE)
    return {
        "name": lab.options.name,
        "dir": str(lab.directory.path),
        "mailbox": str(lab.mail.path),
        "profile": lab.options.profile,
        "cadence": lab.options.cadence,
        "seed": lab.options.seed,
        "suffix": lab.names.suffix,
        "postgres_version": lab.binaries.version,
        "postgres_source": lab.binaries.source,
        "home_region": lab.names.home_region,
        "standby_region": lab.names.standby_region,
        "writer_name": lab.names.writer_name,
        "port": lab.addresses.pg_port,
        "ttl_s": lab.options.ttl_s,
        "sslrootcert": str(lab.fleet.ca_file),
        "dns": {view: f"{lab.addresses.view(view)}:{lab.addresses.dns_port}" for view in views},
        "endpoints": endpoints(lab),
        "function_urls": {"listening": lab.cloud.urls.listed(), "ca": str(lab.cloud.urls.ca_file)},
        "database": {
            "dbname": DBNAME,
            "admin_user": "dbadmin",
            "admin_password": lab.master_password,
            "app_user": APP_USER,
            "app_password": lab.app_password,
        },
        "env": {view: variables(lab, view) for view in views},
        "stack": deployment(lab).described(),
        "link_one_way_ms": lab.options.one_way_ms,
    }
