"""The command that writes networks and operations for frameworks."""
