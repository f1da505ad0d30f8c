"""What a candidate must show, and what is then recorded: arrays and frozen values in, verdicts and promotions out."""
