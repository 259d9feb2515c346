"""The seven tags that every resource carries, as the default tags of each region's provider."""

from farshore.infra.config import StackConfig

TAGS = ("Environment", "DR-Role", "Repository", "Author", "PRNumber", "Team", "CreatedAt")


def tags(config: StackConfig, region: str) -> dict[str, str]:
    """CreatedAt is configuration, so that a second `up` changes nothing."""
    return {
        "Environment": config.environment,
        "DR-Role": config.names.side(region),
        "Repository": config.repository,
        "Author": config.author,
        "PRNumber": config.pr_number,
        "Team": config.team,
        "CreatedAt": config.created_at,
    }
