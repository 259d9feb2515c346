"""How an overlay gets into moto from outside: by its url tables and its choke points, before the first request."""

from typing import Any


def swap(urls: Any, handler: Any) -> None:
    """Send every path of a moto service's `urls` module to another response class."""
    urls.url_paths = dict.fromkeys(urls.url_paths, handler.dispatch)


def patch(owner: Any, name: str, replacement: Any) -> None:
    """Replace one method of a moto class."""
    if not hasattr(owner, name):
        raise AttributeError(f"{owner.__name__} has no {name}; is this the pinned moto?")
    setattr(owner, name, replacement)
