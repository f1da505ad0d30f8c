"""Run the monitor."""

from millrace_common.run import run
from millrace_monitor.service import service
from millrace_monitor.settings import Settings

if __name__ == "__main__":
    run(service, Settings)
