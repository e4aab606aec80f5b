"""Days as all pages and sentences of the API write them: `May 2, 2026`, `May 2 - 31, 2026` with a dash."""

from datetime import date


def written_day(day: date) -> str:
    """`May 2, 2026`."""
    return f"{day:%b} {day.day}, {day.year}"


def written_range(first: date, last: date) -> str:
    """As in `May 2 - 31, 2026`, `May 2 - Jun 5, 2026`, or with both years; one day by itself."""
    if first == last:
        return written_day(last)
    if first.year != last.year:
        return f"{written_day(first)} \N{EN DASH} {written_day(last)}"
    if first.month != last.month:
        return f"{first:%b} {first.day} \N{EN DASH} {written_day(last)}"
    return f"{first:%b} {first.day} \N{EN DASH} {last.day}, {last.year}"
