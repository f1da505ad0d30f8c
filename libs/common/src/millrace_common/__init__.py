"""Messages, buses, runner and adapters that the services share."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # noqa: TID251 - onnxruntime reads it when it is first imported
