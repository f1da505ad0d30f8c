"""Run the features service: `python -m millrace_features`."""

from millrace_common.run import run
from millrace_features.service import service
from millrace_features.settings import Settings

if __name__ == "__main__":
    run(service, Settings, bus="faust")
