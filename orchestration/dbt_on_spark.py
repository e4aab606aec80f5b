"""What dbt's adapter for Spark lacks for a build in one process.

It keeps names of tables in a catalog of Hive, which a folder of tables has no use for, hands models in Python
to a cluster of Databricks, and to nobody else, and lets Spark make null, or another number, of what does not
fit its type.
"""

from typing import Any

from dbt.adapters.base.impl import PythonJobHelper
from dbt.adapters.spark.connections import SparkCredentials
from dbt.adapters.spark.impl import SparkAdapter
from dbt_common.clients import agate_helper
from pyspark.sql import SparkSession


class InDriver(PythonJobHelper):
    """Runs a model in Python where dbt runs; its tables come from the cluster."""

    def __init__(self, parsed_model: dict[str, Any], credential: Any) -> None:
        pass

    def submit(self, compiled_code: str) -> None:
        """Run the code that dbt made of a model, which writes its table at the end."""
        exec(compiled_code, {"__name__": "model", "spark": SparkSession.builder.getOrCreate()})  # noqa: S102


def prepare() -> None:
    """From now on, dbt builds on Spark in this process, and forgets its tables' names with it."""
    SparkSession.Builder.enableHiveSupport = lambda builder: builder
    complete = SparkCredentials.__post_init__

    def refuse_what_does_not_fit(credentials: SparkCredentials) -> None:
        complete(credentials)
        # The adapter says false last, whatever the profile says.
        credentials.server_side_parameters["spark.sql.ansi.enabled"] = "true"

    SparkCredentials.__post_init__ = refuse_what_does_not_fit
    # In seeds, null is a word, as DuckDB reads them.
    agate_helper.build_type_tester.__defaults__ = (("",),)
    SparkAdapter.python_submission_helpers = property(lambda _: {"in_driver": InDriver})
    SparkAdapter.default_python_submission_method = property(lambda _: "in_driver")
