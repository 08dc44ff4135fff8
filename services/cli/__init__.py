"""The command line: ``backups``. A module per group of commands; all of them call the same services as the pages."""
