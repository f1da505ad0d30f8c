"""Run the trainer."""

from millrace_common.run import run
from millrace_trainer.service import service
from millrace_trainer.settings import Settings

if __name__ == "__main__":
    run(service, Settings)
