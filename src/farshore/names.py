"""The seed's resource names, in one place. Every name in AWS ends in the deployment's suffix."""

from dataclasses import dataclass

ALARMS = (
    "cpu",
    "storage",
    "local-storage",
    "lag",
    "lag-unknown",
    "controller-deadlock",
    "monitor-stopped",
    "monitor-failing",
    "controller-stopped",
    "controller-failing",
    "dead-letters",
)
"""What each region has alarms about, beside the one that steers DNS."""


@dataclass(frozen=True, slots=True)
class Names:
    """Names of one deployment; `suffix` is ENVIRONMENT_SUFFIX, lower case letters, digits and hyphens."""

    suffix: str
    home_region: str = "us-east-1"
    standby_region: str = "us-west-2"
    witness_region: str = "us-east-2"

    def side(self, region: str) -> str:
        """The seed's word for a region: `primary` is the home region, whoever writes now."""
        if region == self.home_region:
            return "primary"
        if region == self.standby_region:
            return "secondary"
        raise ValueError(f"{region} is neither {self.home_region} nor {self.standby_region}")

    def other(self, region: str) -> str:
        return self.standby_region if region == self.home_region else self.home_region

    @property
    def regions(self) -> tuple[str, str]:
        return (self.home_region, self.standby_region)

    @property
    def global_cluster(self) -> str:
        return f"aurora-global-{self.suffix}"

    def cluster(self, region: str) -> str:
        return f"{self.side(region)}-aurora-cluster-{self.suffix}"

    def instance(self, region: str, number: int) -> str:
        return f"{self.side(region)}-aurora-instance-{number}-{self.suffix}"

    def function(self, kind: str, region: str) -> str:
        return f"{self.side(region)}-{kind}-function-{self.suffix}"

    def monitor_function(self, region: str) -> str:
        return self.function("monitor", region)

    def controller_function(self, region: str) -> str:
        return self.function("controller", region)

    def rotation_function(self, region: str) -> str:
        return self.function("rotation", region)

    def authority_function(self, region: str) -> str:
        return self.function("authority", region)

    def failover_function(self, region: str) -> str:
        return self.function("failover", region)

    @property
    def failover_rule(self) -> str:
        """On AWS's word about a region; the rule of this name in each region, as all that is of EventBridge."""
        return f"auto-failover-rule-{self.suffix}"

    @property
    def database_rule(self) -> str:
        """On the database's own events."""
        return f"database-event-rule-{self.suffix}"

    def runbook(self, move: str) -> str:
        """In each region; `move` is switchover, failover or failback."""
        return f"dr-{move}-{self.suffix}"

    def schedule_rule(self, region: str, what: str) -> str:
        return f"{self.side(region)}-{what}-schedule-{self.suffix}"

    @property
    def authority_table(self) -> str:
        return f"farshore-authority-{self.suffix}"

    def authority_alarm(self, region: str) -> str:
        return f"{self.side(region)}-authority-alarm-{self.suffix}"

    def alarm(self, region: str, what: str) -> str:
        return f"{self.side(region)}-{what}-alarm-{self.suffix}"

    def topic(self, region: str) -> str:
        return f"{self.side(region)}-alerts-{self.suffix}"

    @property
    def zone(self) -> str:
        return f"farshore-{self.suffix}.internal"

    @property
    def writer_name(self) -> str:
        """The DNS name clients use; it follows authority."""
        return f"db.{self.zone}"

    @property
    def master_secret(self) -> str:
        return f"aurora-master-password-{self.suffix}"

    @property
    def controller_secret(self) -> str:
        return f"farshore-controller-{self.suffix}"

    def lambda_role(self) -> str:
        return f"lambda-monitor-role-{self.suffix}"

    def function_role(self, region: str, what: str) -> str:
        """One role per function: a role's permissions end where its region ends."""
        return f"{self.side(region)}-{what}-role-{self.suffix}"

    def dead_letters(self, region: str) -> str:
        return f"{self.side(region)}-dead-letters-{self.suffix}"

    @property
    def operations_role(self) -> str:
        return f"dr-operations-role-{self.suffix}"

    @property
    def external_id(self) -> str:
        """What whoever assumes the operations role must say."""
        return f"dr-ops-{self.suffix}"

    def vpc(self, region: str) -> str:
        return f"{self.side(region)}-vpc-{self.suffix}"

    def subnet(self, region: str, number: int) -> str:
        return f"{self.side(region)}-private-subnet-{number}-{self.suffix}"

    def route_table(self, region: str) -> str:
        return f"{self.side(region)}-private-routes-{self.suffix}"

    def security_group(self, region: str, what: str) -> str:
        return f"{self.side(region)}-{what}-sg-{self.suffix}"

    def endpoint(self, region: str, service: str) -> str:
        return f"{self.side(region)}-{service}-endpoint-{self.suffix}"

    @property
    def peering(self) -> str:
        return f"vpc-peering-{self.suffix}"

    def subnet_group(self, region: str) -> str:
        return f"{self.side(region)}-aurora-subnets-{self.suffix}"

    def parameter_group(self, region: str) -> str:
        return f"{self.side(region)}-aurora-parameters-{self.suffix}"

    def final_snapshot(self, region: str) -> str:
        return f"{self.cluster(region)}-final"

    def key_alias(self, region: str, what: str) -> str:
        return f"alias/{self.side(region)}-{what}-{self.suffix}"

    def health_check(self, region: str, what: str) -> str:
        return f"{self.side(region)}-{what}-{self.suffix}"

    def dashboard(self, region: str) -> str:
        return f"{self.side(region)}-dashboard-{self.suffix}"

    def function_log_group(self, function: str) -> str:
        return f"/aws/lambda/{function}"

    def database_log_group(self, region: str) -> str:
        return f"/aws/rds/cluster/{self.cluster(region)}/postgresql"

    def flow_log_group(self, region: str) -> str:
        return f"/farshore/{self.vpc(region)}/flow"

    def flow_log_role(self, region: str) -> str:
        return f"{self.side(region)}-flow-log-role-{self.suffix}"

    @property
    def metric_namespace(self) -> str:
        return f"Farshore/{self.suffix}"
