"""What `funnelhouse init` writes: extensions that build, are tested, and show how each kind is made.

The files lie beside this one, in `skeleton_files/`; a name that begins with `dot_` gets its dot.
"""

from pathlib import Path

_FILES = Path(__file__).with_name("skeleton_files")


class SkeletonError(Exception):
    """The folder can't be written; the message says why."""


def write_skeleton(folder: Path) -> None:
    """Write the files. Raises SkeletonError where anything of this name is there."""
    if folder.exists():
        raise SkeletonError(f"{folder} is there already.")
    for file in sorted(path for path in _FILES.rglob("*") if path.is_file()):
        name = file.relative_to(_FILES).as_posix()
        # A package's data has no hidden folders.
        path = folder / name.replace("dot_", ".", 1) if name.startswith("dot_") else folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.read_bytes())
