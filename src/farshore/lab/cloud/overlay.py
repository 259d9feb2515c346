"""How an overlay gets into moto from outside: by its url tables and its choke points, before the first request."""

from typing import Any

from moto.core.common_models import BaseModel


def swap(urls: Any, handler: Any) -> None:
    """Send every path of a moto service's `urls` module to another response class."""
    urls.url_paths = dict.fromkeys(urls.url_paths, handler.dispatch)


def patch(owner: Any, name: str, replacement: Any) -> None:
    """Replace one method of a moto class."""
    if not hasattr(owner, name):
        raise AttributeError(f"{owner.__name__} has no {name}; is this the pinned moto?")
    setattr(owner, name, replacement)


def remember_nothing() -> None:
    """Let records die that nobody holds: moto keeps every one it ever made, for a dashboard that the lab has not.

    A lab at work makes forty items a second, of some four kilobytes each: a gigabyte in two hours.
    """

    def made(cls: type[BaseModel], *_args: Any, **_values: Any) -> BaseModel:
        return object.__new__(cls)

    patch(BaseModel, "__new__", made)
