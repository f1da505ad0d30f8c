"""Run serving: `python -m millrace_serving`."""

from millrace_common.run import run
from millrace_serving.service import service
from millrace_serving.settings import Settings

if __name__ == "__main__":
    run(service, Settings)
