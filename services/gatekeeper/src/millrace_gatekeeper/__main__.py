"""Run the gatekeeper."""

from millrace_common.run import run
from millrace_common.settings import CommonSettings
from millrace_gatekeeper.service import service

if __name__ == "__main__":
    run(service, CommonSettings)
