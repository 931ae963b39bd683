"""Load LLM usage logs into a lake every night (Airflow 3).

What needs the table goes behind `load`. `look` fails, and so does the run, where
the load was published but a person should look (exit code 3).
"""

from datetime import datetime, timedelta

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

USAGELAKE = "/usr/local/bin/usagelake"
CONFIG = "/etc/usagelake/usagelake.yaml"


def usagelake(command: str) -> int:
    """Run a command. Only exit code 75, another run has the lake, is tried again."""
    code = SubprocessHook().run_command([USAGELAKE, command, "--config", CONFIG]).exit_code
    if code == 75:
        raise AirflowException("another run has the lake")
    if code not in (0, 3):
        raise AirflowFailException(f"usagelake {command}: exit code {code}, see the lines above")
    return code


@dag(
    dag_id="usagelake",
    schedule="10 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,  # a load takes all that is new
    max_active_runs=1,
    default_args={"retries": 5, "retry_delay": timedelta(minutes=10), "execution_timeout": timedelta(hours=6)},
)
def nightly():
    @task
    def load() -> int:
        return usagelake("load")

    @task
    def look(code: int) -> None:
        if code == 3:
            raise AirflowFailException("published, but a person should look; the log of load says at what")

    @task
    def verify() -> None:
        usagelake("verify")

    loaded = load()
    look(loaded)
    loaded >> verify()


nightly()
