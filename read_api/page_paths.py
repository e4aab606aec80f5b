"""Page paths as the models compare them: the same forms that `macros/web.sql` and `macros/rules.sql` make."""

import re
from urllib.parse import unquote

_ESCAPE = re.compile("%[0-9a-fA-F]{2}")
_NO_ESCAPE = re.compile("%(?![0-9a-fA-F]{2})")
_STAYING = re.compile("%(?=2[35F]|3F|5C|[01][0-9A-F]|7F)|%(?=C2%[89][0-9A-F])|(?<=%C2)%(?=[89][0-9A-F])")
"""The `%` of escapes that stay: of `/ ? # % \\` and of control characters."""


def decoded(path: str) -> str:
    """A path, percent-decoded; whole, with its escapes in upper case, where it can't be."""
    escaped = _ESCAPE.sub(lambda escape: escape[0].upper(), path)
    if _NO_ESCAPE.search(escaped):
        return escaped
    try:
        return unquote(_STAYING.sub("%25", escaped), errors="strict")
    except UnicodeDecodeError:
        return escaped


def normal(path: str) -> str:
    """A path, decoded and without a slash at its end but for `/`."""
    return decoded(path).rstrip("/") or path[:1]


def wildcard_pieces(wildcard: str) -> list[str]:
    """The texts between the stars of a wildcard, which ignores a slash at its end as well."""
    *pieces, last = wildcard.split("*")
    if not pieces:
        return [normal(last)]
    return [*map(decoded, pieces), decoded(last).rstrip("/")]
