"""Suites of expectations as Dagster's asset checks: what is critical blocks everything downstream."""

from collections.abc import Callable, Mapping

import dagster as dg

from expectations.checking import Suite, SuiteResult, check
from orchestration.build_resource import Build


def suite_check(
    name: str, asset: dg.AssetKey, suite: Callable[[Build], Suite], engine: Callable[[], Mapping[str, str]]
) -> dg.AssetChecksDefinition:
    """Check that runs a build's suite when its asset is there, and before anything that reads the asset.

    `engine` is asked for DuckDB's configuration when it runs.
    """

    # As a multi check of one, because only that names its step: by the suite, like the asset's other steps.
    @dg.multi_asset_check(
        name=name,
        specs=[dg.AssetCheckSpec(name, asset=asset, blocking=True)],
        required_resource_keys={"build"},
    )
    def run(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return as_check_result(check(suite(context.resources.build), engine()))

    return run


def warning_if_raising(spec: dg.AssetCheckSpec, work: Callable[[], dict[str, int]]) -> dg.AssetCheckResult:
    """Do work that a build can do without; what it raises is a warning, unless it is `dagster.Failure`.

    It returns numbers to be shown.
    """
    try:
        metadata, failed = work(), None
    except dg.Failure:
        raise
    except Exception as error:
        metadata, failed = {}, f"warning {spec.name}: {error}"
    return dg.AssetCheckResult(
        check_name=spec.name,
        asset_key=spec.asset_key,
        passed=failed is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=failed,
        metadata=metadata,
    )


def as_check_result(result: SuiteResult) -> dg.AssetCheckResult:
    """A suite's result in Dagster's words. Only a failed check of severity ERROR blocks."""
    failed = (*result.failures, *result.warnings)
    return dg.AssetCheckResult(
        passed=not failed,
        severity=dg.AssetCheckSeverity.WARN if result.passed else dg.AssetCheckSeverity.ERROR,
        description="\n".join(f"{o.severity} {o.name}: {o.observed}" for o in failed),
        metadata={
            "expectations": dg.TableMetadataValue(
                records=[
                    dg.TableRecord(
                        {"name": o.name, "severity": o.severity, "success": o.success, "observed": o.observed}
                    )
                    for o in result.outcomes
                ],
                schema=dg.TableSchema(
                    columns=[
                        dg.TableColumn("name"),
                        dg.TableColumn("severity"),
                        dg.TableColumn("success", type="bool"),
                        dg.TableColumn("observed"),
                    ]
                ),
            )
        },
    )
