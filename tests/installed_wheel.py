"""The wheel of this checkout, in an environment that has nothing else of it: as `pip install` leaves it.

What the wheel requires is not installed again: it is that of the running environment.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from funnelhouse.settings import CHECKOUT, Settings

# Hidden folders are git's, the environment's and those of tools; a home may lie in the checkout.
_NOT_OF_THE_SOURCE = (".*", "__pycache__", "*.egg-info", "build", "dist", "data", "target", "logs")


class Wheel:
    """An environment below `folder` with the wheel."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = folder / "environment"
        self.command = self._environment / "bin" / "funnelhouse"
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self.packages = self._environment / "lib" / version / "site-packages"

    def make(self) -> None:
        """Build the wheel from a copy of the checkout, which stays as it is, and install it."""
        source, wheels = self._folder / "source", self._folder / "wheels"
        shutil.copytree(CHECKOUT, source, ignore=shutil.ignore_patterns(*_NOT_OF_THE_SOURCE))
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        offline = ["--no-deps", "--no-index"]
        _run([*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", str(wheels), str(source)])
        _run([sys.executable, "-m", "venv", "--without-pip", str(self._environment)])
        python = self._environment / "bin" / "python"
        (wheel,) = wheels.glob("funnelhouse-*.whl")
        _run([*pip, "--python", str(python), "install", *offline, str(wheel)])
        (self.packages / "tests.pth").write_text(sysconfig.get_path("purelib"))
        # pip makes the command of a package that it installs.
        dbt = python.with_name("dbt")
        dbt.write_text(f"#!{python}\nfrom dbt.cli.main import cli\n\ncli()\n")
        dbt.chmod(0o755)
        # Where commands are started may be folders that are called like packages.
        for name in ("command_line", "orchestration", "record"):
            (self._folder / name).mkdir()
            (self._folder / name / "__init__.py").write_text("raise ImportError('not of the wheel')\n")

    def environment(self, settings: Settings) -> dict[str, str]:
        """Variables for a command: these settings, and no way to the checkout."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHONPATH", "VIRTUAL_ENV", "FUNNELHOUSE_"))
        }
        return {
            **inherited,
            "FUNNELHOUSE_HOME": str(settings.home_dir),
            "FUNNELHOUSE_INGEST_PORT": str(settings.ingest_port),
            "FUNNELHOUSE_READ_PORT": str(settings.read_port),
            "FUNNELHOUSE_DAGSTER_PORT": str(settings.dagster_port),
            "FUNNELHOUSE_DEMO_SHOP_PORT": str(settings.demo_shop_port),
        }

    def start(self, settings: Settings, *arguments: str, **options: object) -> subprocess.Popen[str]:
        """Start a command outside of the checkout; the caller ends it."""
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            [self.command, *arguments],
            cwd=self._folder,
            env=self.environment(settings),
            stdin=subprocess.DEVNULL,
            text=True,
            **options,
        )

    def run(self, settings: Settings, *arguments: str, within_s: float = 600) -> str:
        """What a command, which must do well, says."""
        process = self.start(settings, *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = process.communicate(timeout=within_s)
        assert process.returncode == 0, said
        return said

    def files(self) -> set[Path]:
        """All that lies in the environment."""
        return {
            path.relative_to(self._environment)
            for path in self._environment.rglob("*")
            if "__pycache__" not in path.parts
        }


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
