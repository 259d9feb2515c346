"""Where a regional component is made: a region of the deployment, its names, its provider."""

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from farshore.names import Names


@dataclass(frozen=True, slots=True)
class Site:
    """`account` is the deployment's; resources of global services belong to the home site."""

    names: Names
    region: str
    provider: aws.Provider
    account: pulumi.Output[str]

    @property
    def side(self) -> str:
        """The seed's word, `primary` or `secondary`: also the DR-Role tag, whoever writes now."""
        return self.names.side(self.region)

    def options(self, parent: pulumi.Resource, **others: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=parent, provider=self.provider, **others)

    def arn(self, service: str, resource: str) -> pulumi.Output[str]:
        """An ARN of this region and account, for what is named before it exists."""
        return pulumi.Output.format("arn:aws:{0}:{1}:{2}:{3}", service, self.region, self.account, resource)


def tagged(name: str) -> dict[str, str]:
    """The Name tag; the seven tags of every resource come from the provider's default tags."""
    return {"Name": name}
