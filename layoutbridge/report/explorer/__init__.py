"""The explorer: one HTML page that needs nothing beside it, in which operations are looked at and made."""
