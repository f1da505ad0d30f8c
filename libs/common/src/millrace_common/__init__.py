"""Messages, buses, runner and adapters that the services share."""
