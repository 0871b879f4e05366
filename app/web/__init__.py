"""The console, and the endpoints that it uses. Imported only where CONSOLE_ENABLED is set."""
