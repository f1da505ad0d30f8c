"""candidates in, promotions out."""
