"""Run ingest."""

from millrace_common.run import run
from millrace_ingest.service import service
from millrace_ingest.settings import Settings

if __name__ == "__main__":
    run(service, Settings)
